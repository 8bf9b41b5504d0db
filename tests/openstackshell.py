"""The real openstack shell, in this process, against any cloud."""

from __future__ import annotations

import json
import warnings
from typing import Any
from unittest import mock

import novaclient
import pytest

from .shell import Shell

# It wants a table library that novaclient 7 cannot use.
not_beside_novaclient_7 = pytest.mark.skipif(
    novaclient.__version__.startswith("7."),
    reason="python-openstackclient and openstacksdk do not install with novaclient 7",
)


def _forget_clients() -> None:
    """Make the shell create new clients: it keeps them as long as its process."""
    from osc_lib.clientmanager import ClientCache, ClientManager

    for value in vars(ClientManager).values():
        if isinstance(value, ClientCache):
            value._handle = None


class OpenStack(Shell):
    """The real ``openstack`` shell."""

    def main(self, argv: list[str]) -> int:
        with warnings.catch_warnings():
            # The shell hides the warnings of its libraries from its users.
            warnings.simplefilter("ignore")
            from cliff.app import App
            from openstackclient import shell

            _forget_clients()
            # It is called as the program of this process.
            with mock.patch.object(App, "NAME", "openstack"):
                return int(shell.main(argv))

    def json(self, *argv: str, **options: Any) -> Any:
        """Run a command as :meth:`ok` does, and return its JSON."""
        return json.loads(self.ok(*argv, "-f", "json", **options))
