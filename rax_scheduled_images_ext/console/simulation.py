"""Prints a simulated schedule: a calendar, or what is left after a year."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from rax_scheduled_images_ext.console.formats import Column, print_rows
from rax_scheduled_images_ext.console.images import rules_of
from rax_scheduled_images_ext.console.schedules import as_schedule, settings_of
from rax_scheduled_images_ext.console.terminal import put
from rax_scheduled_images_ext.model.keep import kept_words
from rax_scheduled_images_ext.model.outlook import TERMS
from rax_scheduled_images_ext.model.simulation import (
    GONE,
    LETTERS,
    SimulatedImage,
    Simulation,
)
from rax_scheduled_images_ext.model.times import write_time

_DAYS = 31


LEFT: tuple[Column[SimulatedImage], ...] = (
    Column("created", "Created", lambda row: write_time(row.created)),
    Column("kept", "Kept as", lambda row: kept_words(row.kept_by, row.created)),
    Column(
        "kept_by",
        "Kept by",
        lambda row: rules_of(row.kept_by, row.created),
        further=True,
    ),
)


def simulate(args: Any) -> None:
    """Print a simulated year of the schedule that arguments ask for.

    :raises InvalidValue: for arguments that do not go together.
    """
    schedule = as_schedule(settings_of(args, args.retention))
    start = args.start or datetime.now(timezone.utc).date()
    found = Simulation.of(schedule, start)
    if args.format == "calendar":
        put("\n".join(calendar_lines(found)))
    else:
        print_rows(LEFT, found.left, args.format)


def calendar_lines(found: Simulation) -> list[str]:
    """Return a simulated year as lines."""
    ruler = "".join(f"{day:<5}" for day in range(1, _DAYS, 5))
    used = {each.rule for image in found.left for each in image.kept_by}
    letters = [f"{LETTERS[rule]} {rule}" for rule in LETTERS if rule in used]
    return [
        found.schedule.words,
        summary(found),
        "",
        f"{'':10}{ruler}".rstrip(),
        *(f"{month.first:%b %Y}  {month.days}".rstrip() for month in found.months),
        "",
        f"{', '.join(letters)}: kept by that rule; {GONE} deleted",
    ]


def summary(found: Simulation) -> str:
    """Return how many images there are in a sentence."""
    there = [
        f"{found.there(found.start + length)} after {term}"
        for term, length in TERMS.items()
    ]
    return (
        f"{len(found.images)} images are made in a year; there are {', '.join(there)},"
        f" and never more than {found.schedule.most}."
    )
