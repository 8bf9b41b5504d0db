"""Schedules as they are printed: rows, the documented form, changes and forecasts."""

from __future__ import annotations

from dataclasses import dataclass

from rax_scheduled_images_ext.console.formats import Column, attribute, print_rows
from rax_scheduled_images_ext.console.images import IMAGES
from rax_scheduled_images_ext.console.terminal import put, say
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations.forecast import Forecast
from rax_scheduled_images_ext.operations.schedules import ScheduleChange
from rax_scheduled_images_ext.operations.targets import Target

#: What is said where the cloud itself makes no scheduled images.
NEEDS_SERVICE = (
    "This cloud makes no scheduled images itself: they are made only while a"
    " scheduled-images-service works for the project."
)
SCHEDULES: tuple[Column[ShownSchedule], ...] = (
    attribute("server", "Server"),
    attribute("id", "ID"),
    attribute("schedule", "Schedule"),
    attribute("day_of_week", "Day"),
    attribute("retention", "Retention"),
)


@dataclass(frozen=True)
class ShownSchedule:
    """A server, as the user named it, and its schedule; all None where it has none."""

    server: str
    id: str
    schedule: str | None = None
    day_of_week: str | None = None
    retention: int | None = None

    @classmethod
    def of(cls, server: str, server_id: str, found: ImageSchedule) -> ShownSchedule:
        """Return the row of a server that the user called ``server``."""
        return cls(server, server_id, found.every, found.day_of_week, found.retention)


def print_schedules(rows: list[ShownSchedule], form: str) -> None:
    """Print schedules as rows; no table for none."""
    if rows or form != "table":
        print_rows(SCHEDULES, rows, form)


def print_schedule(row: ShownSchedule) -> None:
    """Print one schedule as it is documented."""
    day = f" on: {row.day_of_week}" if row.day_of_week else ""
    put(f"Schedule type: {str(row.schedule).title()}{day}")
    put(f"Retention: {row.retention}")


def say_change(server: Target, change: ScheduleChange) -> None:
    """Report on stderr what a change has made of a schedule."""
    before = described(change.before, change.invalid_tag)
    after = described(change.after)
    text = f"still {after}" if before == after else f"was {before}; is {after}"
    say(f"{server.label}: {text}")


def print_forecast(server: Target, forecast: Forecast) -> None:
    """Print what a change of a schedule would do."""
    old, new = described(forecast.current, forecast.invalid_tag), forecast.new
    change = "no change" if forecast.current == new else f"now {old}"
    put(f"{server.label}: {described(new)} ({change})")
    if forecast.expiring:
        put("These images expire with the next scheduled image:")
        print_rows(IMAGES, forecast.expiring, "table")
    elif new is None:
        put("The images stay, and no more are made.")
    else:
        put("No image expires with the next scheduled image.")


def described(schedule: ImageSchedule | None, invalid_tag: str | None = None) -> str:
    """Return a schedule, or the tag that should be one, in a few words."""
    if schedule is None:
        return f"the invalid tag '{invalid_tag}'" if invalid_tag else "no schedule"
    return schedule.words
