"""Asks before new rules let many images of a server expire at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rax_scheduled_images_ext.console.report import ConsoleReport
from rax_scheduled_images_ext.console.terminal import agreed, can_ask, say
from rax_scheduled_images_ext.errors import FreesMany
from rax_scheduled_images_ext.operations.forecast import refuse_many
from rax_scheduled_images_ext.operations.schedules import Guard
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome

#: Changes the schedules of targets, unless a guard objects.
Act = Callable[[list[Target], Guard | None], list[Outcome[Target, Any]]]


class ChangeReport(ConsoleReport):
    """Reports changes of schedules, except those that need consent first."""

    asks = True

    def ended(self, outcome: Outcome[Any, Any]) -> None:
        if not (self.asks and isinstance(outcome.error, FreesMany)):
            super().ended(outcome)


def with_consent(
    act: Act, targets: list[Target], report: ChangeReport, *, yes: bool
) -> list[Outcome[Target, Any]]:
    """Change schedules; ask before new rules let many images expire at once.

    :param act: changes the schedules of targets, and calls back the report.
    :param yes: do not ask.
    """
    report.asks = not yes and can_ask()
    done = act(targets, None if yes else refuse_many)
    held = {e.item: e.error for e in done if isinstance(e.error, FreesMany)}
    if not (held and report.asks):
        return done
    for server, error in held.items():
        say(f"{server.label}: was {error.before}; would be {error.after}")
        say(f"{error.number} of its images would expire with the next scheduled image.")
    if agreed("Change the schedule anyway?"):
        return [e for e in done if e.item not in held] + act(list(held), None)
    nothing = len(held) == len(done)
    say("Nothing was changed." if nothing else "The other schedules were changed.")
    report.ok = False
    return done
