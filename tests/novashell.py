"""The real nova shell, in this process, against any cloud."""

from __future__ import annotations

import functools
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol
from unittest import mock

import novaclient.v2.shell
from novaclient import base, client, shell

# What releases of novaclient say first of all: later ones of nova itself,
# release 7 of its image commands.
DEPRECATION = re.compile(
    r"\Anova CLI is deprecated and will be removed in a future release\n"
    r"|\AWARNING: Command image-\w+ is deprecated and will be removed after Nova"
    r" 15\.0\.0 is released\. Use python-glanceclient or openstackclient instead\n"
)


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


@functools.cache
def found(find: Callable[[], Any]) -> list[Any]:
    """The extensions that one way of novaclient's finds; looking takes long."""
    return list(find())


FINDING: dict[str, Any] = {
    name: functools.partial(found, getattr(client, name))
    for name in ("_discover_via_python_path", "_discover_via_entry_points")
}


# novaclient's way to make parsers, and what it made: parsers by name, lines of help.
FIND_ACTIONS = shell.OpenStackComputeShell._find_actions
ACTIONS: dict[tuple[int, int, bool], tuple[dict[str, Any], list[Any]]] = {}


def find_actions(
    self: Any, subparsers: Any, module: Any, version: Any, do_help: bool
) -> None:
    """Make the parsers of novaclient's own commands once: that takes long."""
    if module is not novaclient.v2.shell:
        FIND_ACTIONS(self, subparsers, module, version, do_help)
        return
    key = (version.ver_major, version.ver_minor, do_help)
    if key not in ACTIONS:
        names, lines = len(subparsers.choices), len(subparsers._choices_actions)
        FIND_ACTIONS(self, subparsers, module, version, do_help)
        made = dict(list(subparsers.choices.items())[names:])
        ACTIONS[key] = made, subparsers._choices_actions[lines:]
        return
    made, more = ACTIONS[key]
    subparsers.choices.update(made)
    subparsers._choices_actions.extend(more)
    self.subcommands.update(made)


@contextmanager
def untouched_logging() -> Iterator[None]:
    """Take back what ``--debug`` does to the root logger and novaclient's own."""
    loggers = [logging.getLogger(name) for name in (None, "novaclient.client")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers


class Cloud(Protocol):
    """What has users, such as a sandbox."""

    def env(self, user: str = "admin") -> dict[str, str]:
        """Return the OS_* variables of a user."""


@dataclass(frozen=True)
class Nova:
    """``nova(*argv)``: the real shell's ``main``, as a fresh process would run it.

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
            mock.patch.object(sys, "argv", ["nova", *argv]),
            mock.patch.dict(
                "os.environ", {k: v for k, v in environ.items() if v is not None}
            ),
            mock.patch.object(base.HookableMixin, "_hooks_map", {}),
            mock.patch.multiple(client, **FINDING),
            mock.patch.object(
                shell.OpenStackComputeShell, "_find_actions", find_actions
            ),
            untouched_logging(),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            status = self._main(list(argv))
        return Result(status, out.getvalue(), DEPRECATION.sub("", err.getvalue()))

    def _main(self, argv: list[str]) -> int:
        # novaclient 7's main takes no arguments, later ones take argv at import.
        parameters: tuple[Any, ...] = (argv,) if shell.main.__defaults__ else ()
        try:
            shell.main(*parameters)
        except SystemExit as exit_:
            if isinstance(exit_.code, str):
                print(exit_.code, file=sys.stderr)
                return 1
            return exit_.code or 0
        return 0

    def ok(self, *argv: str, **options: Any) -> str:
        """Run a command that must succeed and stay silent on stderr; its output."""
        result = self(*argv, **options)
        assert (result.status, result.err) == (0, ""), result
        return result.out
