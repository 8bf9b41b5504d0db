"""What the commands about the fate of images print: rows, columns and sentences.

Imported by commands only once there is something to print.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import fates
from ..formatting import Column, attribute
from ..images import ServerImage
from ..keeping import Outcome
from ..narration import put
from ..retention import Verdict
from ..schedules import ImageSchedule
from .views import print_rows, written


@dataclass(frozen=True)
class Plan:
    """What is to go, the oldest first, of a server that the user called ``server``."""

    server: str
    server_id: str
    verdicts: Sequence[Verdict]

    def within(self, others: Iterable[Plan]) -> Plan:
        """Return what of this plan is in others as well."""
        known = {verdict.image.id for other in others for verdict in other.verdicts}
        kept = [verdict for verdict in self.verdicts if verdict.image.id in known]
        return replace(self, verdicts=kept)


@dataclass(frozen=True)
class Pruned:
    """An image that was to go, of a server as the user named it."""

    server: str
    image: ServerImage
    action: str
    reason: str

    @classmethod
    def planned(cls, server: str, verdict: Verdict) -> Pruned:
        """Return what would be done."""
        action = "skip" if verdict.image.protected else "delete"
        return cls(server, verdict.image, action, fates.reason(verdict))

    @classmethod
    def done(cls, server: str, outcome: Outcome) -> Pruned:
        """Return what was done."""
        return cls(server, outcome.image, outcome.action, outcome.reason)

    @classmethod
    def failed(cls, server: str, verdict: Verdict, error: Exception) -> Pruned:
        """Return what could not be done."""
        return cls(server, verdict.image, "failed", str(error))


def size_for_people(size: int | None) -> str:
    """Return a number of bytes in the largest unit of which there is one."""
    if size is None:
        return "-"
    number, units = float(size), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while number >= 1024 and unit != "TiB":
        number, unit = number / 1024, next(units)
    return (
        f"{number:.0f} {unit}"
        if number >= 10 or unit == "B"
        else f"{number:.1f} {unit}"
    )


# The rows below have the image they tell of as `image`.
_IMAGE: tuple[Column[Any], ...] = (
    Column("id", "ID", lambda row: row.image.id),
    Column("name", "Name", lambda row: row.image.name),
    Column("created", "Created", lambda row: written(row.image.created)),
    Column("size", "Size", lambda row: row.image.size, size_for_people),
)
FATES: tuple[Column[Any], ...] = (
    *_IMAGE,
    Column("status", "Status", lambda verdict: verdict.image.status),
    Column("fate", "Fate", fates.fate),
    Column("reason", "Reason", fates.reason),
)
#: The same for programs, with what is told in words as data as well.
FATES_AS_DATA: tuple[Column[Any], ...] = (
    *FATES,
    Column("code", "Code", lambda verdict: verdict.reason.value),
    Column("counted", "Counted", lambda verdict: verdict.counted),
    Column("runs_left", "Runs left", fates.runs_left),
    Column("protected", "Protected", lambda verdict: verdict.image.protected),
)
PRUNED: tuple[Column[Pruned], ...] = (
    attribute("server", "Server"),
    *_IMAGE,
    attribute("action", "Action"),
    attribute("reason", "Reason"),
)


def print_fates(verdicts: Sequence[Verdict], form: str) -> None:
    """Print images, each with its fate."""
    print_rows(FATES if form == "table" else FATES_AS_DATA, verdicts, form)


def print_pruned(rows: Sequence[Pruned], form: str) -> None:
    """Print images that were or are to go; no table for none."""
    if rows or form != "table":
        print_rows(PRUNED, rows, form)


def print_forecast(
    server: str,
    old: ImageSchedule | None,
    new: ImageSchedule,
    going: Sequence[Verdict],
) -> None:
    """Print what a change of a schedule would do."""
    change = "no change" if old == new else f"now {described(old)}"
    put(f"{server}: {described(new)} ({change})")
    if going:
        put("The next scheduled image makes these go:")
        print_rows(FATES, going, "table")
    else:
        put("The next scheduled image makes none go.")


def described(schedule: ImageSchedule | None) -> str:
    """Return a schedule in a few words."""
    if schedule is None:
        return "no schedule"
    day = f" on {schedule.day_of_week}" if schedule.day_of_week else ""
    return f"{schedule.kind}{day}, retention {schedule.retention}"


def what_goes_next(server_id: str, verdicts: Sequence[Verdict]) -> str:
    """Return a line that says which images of a server go before all others."""
    going = fates.next_to_go(reversed(verdicts))
    if not going:
        return f"Nothing is to go of server {server_id}"
    images = ", ".join(f"{v.image.name} ({v.image.id})" for v in going)
    left = fates.runs_left(going[0])
    when = "with the next scheduled image" if left == 1 else f"in {left} runs"
    return f"Next to go of server {server_id}: {images}, {when}"
