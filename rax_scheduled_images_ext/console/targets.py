"""Asks before servers chosen by --all or --name are changed."""

from __future__ import annotations

import re
from collections.abc import Sized

from rax_scheduled_images_ext.console.terminal import agreed, can_ask, say


def confirmed(found: Sized, name: re.Pattern[str] | None, *, yes: bool) -> bool:
    """Report how many servers are to be changed, and ask for confirmation on a
    terminal.

    A single server is changed without a report or a question.

    :param name: the pattern of their names, None for all servers.
    :param yes: whether to skip the question.
    """
    if len(found) == 1:
        return True
    which = "in this project" if name is None else f"whose names match '{name.pattern}'"
    say(f"About to change {len(found)} servers {which}.")
    if yes or not can_ask() or agreed("Change the schedules of all of them?"):
        return True
    say("Nothing was changed.")
    return False
