"""The real nova shell, in this process, against any cloud."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import novaclient.v2.shell
import pytest
from novaclient import base, client, shell

from .shell import Shell

#: Whether novaclient has image commands of its own, as release 7 does.
HAS_IMAGE_COMMANDS = hasattr(novaclient.v2.shell, "do_image_list")
image_commands_are_ours = pytest.mark.skipif(
    HAS_IMAGE_COMMANDS, reason="this novaclient has image commands of its own"
)

# What releases of novaclient say first of all: later ones of nova itself,
# release 7 of its image commands.
DEPRECATION = re.compile(
    r"\Anova CLI is deprecated and will be removed in a future release\n"
    r"|\AWARNING: Command image-\w+ is deprecated and will be removed after Nova"
    r" 15\.0\.0 is released\. Use python-glanceclient or openstackclient instead\n"
)


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


class Nova(Shell):
    """The real ``nova`` shell."""

    def main(self, argv: list[str]) -> int:
        # novaclient 7's main takes no arguments, later ones take argv at import.
        parameters: tuple[Any, ...] = (argv,) if shell.main.__defaults__ else ()
        with (
            mock.patch.object(sys, "argv", ["nova", *argv]),
            mock.patch.object(base.HookableMixin, "_hooks_map", {}),
            mock.patch.multiple(client, **FINDING),
            mock.patch.object(
                shell.OpenStackComputeShell, "_find_actions", find_actions
            ),
        ):
            shell.main(*parameters)
        return 0

    def told(self, err: str) -> str:
        return DEPRECATION.sub("", err)
