"""What the commands about the retention of images print: rows, columns, sentences.

Imported by commands only once there is something to print.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rax_scheduled_images_ext.model import retention_status
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.retention import Outcome
from rax_scheduled_images_ext.output.console import put
from rax_scheduled_images_ext.output.formats import Column, attribute
from rax_scheduled_images_ext.output.views import print_rows


@dataclass(frozen=True)
class Plan:
    """What is to go, the oldest first, of a server that the user called ``server``."""

    server: str
    server_id: str
    decisions: Sequence[Decision]

    def within(self, others: Iterable[Plan]) -> Plan:
        """Return what of this plan is in others as well."""
        known = {decision.image.id for other in others for decision in other.decisions}
        kept = [decision for decision in self.decisions if decision.image.id in known]
        return replace(self, decisions=kept)


@dataclass(frozen=True)
class Pruned:
    """An image that was to go, of a server as the user named it."""

    server: str
    image: ServerImage
    action: str
    reason: str

    @classmethod
    def planned(cls, server: str, decision: Decision) -> Pruned:
        """Return what would be done."""
        action = "skip" if decision.image.protected else "delete"
        return cls(server, decision.image, action, retention_status.reason(decision))

    @classmethod
    def done(cls, server: str, outcome: Outcome) -> Pruned:
        """Return what was done."""
        return cls(server, outcome.image, outcome.action, outcome.reason)

    @classmethod
    def failed(cls, server: str, decision: Decision, error: Exception) -> Pruned:
        """Return what could not be done."""
        return cls(server, decision.image, "failed", str(error))


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
    Column("created", "Created", lambda row: write_time(row.image.created)),
    Column("size", "Size", lambda row: row.image.size, size_for_people),
)
IMAGES: tuple[Column[Any], ...] = (
    *_IMAGE,
    Column("status", "Status", lambda decision: decision.image.status),
    Column("retention_status", "Retention", retention_status.retention_status),
    Column("reason", "Reason", retention_status.reason),
)
#: The same for programs, with what is told in words as data as well.
IMAGES_AS_DATA: tuple[Column[Any], ...] = (
    *IMAGES,
    Column("code", "Code", lambda decision: decision.reason.value),
    Column("counted", "Counted", lambda decision: decision.counted),
    Column("expires_in_runs", "Runs left", retention_status.expires_in_runs),
    Column("protected", "Protected", lambda decision: decision.image.protected),
)
PRUNED: tuple[Column[Pruned], ...] = (
    attribute("server", "Server"),
    *_IMAGE,
    attribute("action", "Action"),
    attribute("reason", "Reason"),
)


def print_images(decisions: Sequence[Decision], form: str) -> None:
    """Print images, each with its retention status."""
    print_rows(IMAGES if form == "table" else IMAGES_AS_DATA, decisions, form)


def print_pruned(rows: Sequence[Pruned], form: str) -> None:
    """Print images that were or are to go; no table for none."""
    if rows or form != "table":
        print_rows(PRUNED, rows, form)


def print_forecast(
    server: str,
    old: ImageSchedule | None,
    new: ImageSchedule,
    going: Sequence[Decision],
) -> None:
    """Print what a change of a schedule would do."""
    change = "no change" if old == new else f"now {described(old)}"
    put(f"{server}: {described(new)} ({change})")
    if going:
        put("The next scheduled image makes these go:")
        print_rows(IMAGES, going, "table")
    else:
        put("The next scheduled image makes none go.")


def described(schedule: ImageSchedule | None) -> str:
    """Return a schedule in a few words."""
    if schedule is None:
        return "no schedule"
    day = f" on {schedule.day_of_week}" if schedule.day_of_week else ""
    return f"{schedule.kind}{day}, retention {schedule.retention}"


def what_goes_next(server_id: str, decisions: Sequence[Decision]) -> str:
    """Return a line that says which images of a server go before all others."""
    going = retention_status.next_to_expire(reversed(decisions))
    if not going:
        return f"Nothing is to go of server {server_id}"
    images = ", ".join(f"{v.image.name} ({v.image.id})" for v in going)
    left = retention_status.expires_in_runs(going[0])
    when = "with the next scheduled image" if left == 1 else f"in {left} runs"
    return f"Next to go of server {server_id}: {images}, {when}"
