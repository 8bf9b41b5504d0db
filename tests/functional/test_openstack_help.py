"""The commands describe themselves: help, completion, and what they are called."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..openstackshell import OpenStack, not_beside_novaclient_7

pytestmark = [
    not_beside_novaclient_7,
    # What osc-lib imports of its own is deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# Of reStructuredText, which help texts are not.
MARKUP = re.compile(r"``|:\w+:`|\*\*|\|\w+\|")
COMMANDS = {
    each.name.replace("_", " "): each
    for each in entry_points(group="openstack.compute.v2")
    if each.value.startswith("rax_")
}


def own_actions(command: Any) -> list[argparse.Action]:
    """The arguments of a command that are not all commands'."""
    parser = argparse.ArgumentParser(add_help=False)
    for each in command.arguments:
        each.add_to(parser)
    return parser._actions


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_argument_is_described(name: str) -> None:
    command = COMMANDS[name].load()(None, None)
    first = command.get_description().split("\n\n")[0]
    assert first.endswith(".")
    assert first[0].isupper()
    for action in own_actions(command):
        assert action.help
        assert action.help.endswith("."), action.help
        if action.nargs != 0:
            assert str(action.metavar).startswith("<"), action


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_plain_text_and_names_exit_statuses(name: str) -> None:
    parser = COMMANDS[name].load()(None, None).get_parser(name)
    text = " ".join(parser.format_help().split())
    assert (
        "Exit status: 0 everything was done, 1 something failed, 2 wrong usage," in text
    )
    assert not MARKUP.search(text)


def test_help(openstack: OpenStack) -> None:
    words = ("server", "image", "schedule", "set")
    out = openstack.ok("help", *words)
    assert out == openstack.ok(*words, "--help")
    flat = " ".join(out.split())
    assert "Set the schedules of servers, or change parts of them." in flat
    assert "--weekly <day> Make one image a week, on this UTC day" in flat
    assert "provided by the rax-scheduled-images-ext plugin." in flat
    listed = openstack.ok("help")
    for name in COMMANDS:
        assert f"\n  {name} " in listed


def test_completion_knows_the_commands(openstack: OpenStack) -> None:
    out = openstack.ok("complete")
    assert "server_image_schedule='check list set show simulate unset'\n" in out
    assert (
        "server_snapshot='create list protect prune restore unprotect verify watch'\n"
        in out
    )
    for name in COMMANDS:
        lines = re.findall(f"cmds_{name.replace(' ', '_')}='([^']*)'", out)
        assert len(lines) == 1, name
        command = COMMANDS[name].load()(None, None)
        for action in own_actions(command):
            assert set(action.option_strings) <= set(lines[0].split()), name


def test_the_program_itself(cloud: Sandbox) -> None:
    program = Path(sys.executable).with_name("openstack")
    argv = ("server", "image", "schedule", "list", "-f", "value", "-c", "Server")
    done = subprocess.run(
        [program, *argv], env=cloud.environ(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["check-my-task-state", "db1", "myserver", "web1"]
