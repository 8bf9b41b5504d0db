"""``nova help``: what it says of each of this package's commands."""

from __future__ import annotations

import re
from importlib.metadata import entry_points

import pytest

from ..novashell import Nova

NAMES = sorted(
    name[3:].replace("_", "-")
    for each in entry_points(group="novaclient.extension")
    if each.value.startswith("rax_")
    for name in dir(each.load())
    if name.startswith("do_")
)
STATUSES = "Exit status: 0 everything was done, 1 something failed, 2 wrong usage,"


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_is_plain_and_has_its_exit_statuses(
    nova: Nova, name: str
) -> None:
    text = " ".join(nova.ok("help", name).split())
    assert STATUSES in text
    # Markup of reStructuredText, which help texts are not.
    assert not re.search(r"``|:\w+:`|\*\*|\|\w+\|", text)


def test_the_list_of_commands_has_one_sentence_of_each(nova: Nova) -> None:
    listed = " ".join(nova.ok("help").split())
    assert "Exit status" not in listed
    assert {"scheduled-images-enable", "snapshot-create"} <= set(NAMES)
    for name in NAMES:
        assert f" {name} " in listed
