"""The real openstack shell, in this process, against any cloud."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

import novaclient
import pytest

from .novashell import Cloud, Result

# It wants a table library that novaclient 7 cannot use.
not_beside_novaclient_7 = pytest.mark.skipif(
    novaclient.__version__.startswith("7."),
    reason="python-openstackclient and openstacksdk do not install with novaclient 7",
)


@contextmanager
def untouched_logging() -> Iterator[None]:
    """Take back what a shell does to loggers."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]


def _forget_clients() -> None:
    """Let the shell make its clients anew: it keeps them as long as its process."""
    from osc_lib.clientmanager import ClientCache, ClientManager

    for value in vars(ClientManager).values():
        if isinstance(value, ClientCache):
            value._handle = None


@dataclass(frozen=True)
class OpenStack:
    """``openstack(*argv)``: the real shell's ``main``, as a fresh process would run it.

    ``cloud`` takes another cloud than the test's own, ``user`` another user,
    ``env`` further variables; a value of None takes a variable away.
    """

    cloud: Cloud

    def __call__(
        self,
        *argv: str,
        cloud: Cloud | None = None,
        user: str = "admin",
        env: dict[str, str | None] | None = None,
    ) -> Result:
        environ: dict[str, str | None] = {**(cloud or self.cloud).env(user)}
        environ.update(env or {})
        out, err = io.StringIO(), io.StringIO()
        with (
            warnings.catch_warnings(),
            mock.patch.dict(
                "os.environ", {k: v for k, v in environ.items() if v is not None}
            ),
            untouched_logging(),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            # The shell hides the warnings of its libraries from its users.
            warnings.simplefilter("ignore")
            from cliff.app import App
            from openstackclient import shell

            _forget_clients()
            try:
                # It is called as the program of this process.
                with mock.patch.object(App, "NAME", "openstack"):
                    status = shell.main(list(argv))
            except SystemExit as exit_:
                status = int(exit_.code or 0)
        return Result(status, out.getvalue(), err.getvalue())

    def ok(self, *argv: str, **options: Any) -> str:
        """Run a command that must succeed and stay silent on stderr; its output."""
        result = self(*argv, **options)
        assert (result.status, result.err) == (0, ""), result
        return result.out

    def json(self, *argv: str, **options: Any) -> Any:
        """Run such a command and return its JSON."""
        return json.loads(self.ok(*argv, "-f", "json", **options))
