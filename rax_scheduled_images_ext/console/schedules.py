"""Prints schedules as rows and in the documented form, changes and forecasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.formats import Column, attribute, print_rows
from rax_scheduled_images_ext.console.images import decision_columns, size_for_people
from rax_scheduled_images_ext.console.report import ConsoleReport
from rax_scheduled_images_ext.console.terminal import put, say
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.keep import NO_RULES, Keep
from rax_scheduled_images_ext.model.outlook import TERMS, Outlook
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.model.schedule import (
    ImageSchedule,
    ScheduleSettings,
    further_fields,
    parse_every,
)
from rax_scheduled_images_ext.model.schedule_tags import schedule_tag
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.operations.forecast import (
    Forecast,
    forecast,
)
from rax_scheduled_images_ext.operations.schedules import ScheduleChange
from rax_scheduled_images_ext.operations.space import quota_forecast, snapshot_sizes
from rax_scheduled_images_ext.operations.targets import Target

#: The hint for a cloud that itself makes no scheduled images.
NEEDS_SERVICE = (
    "This cloud makes no scheduled images itself: they are made only while a"
    " scheduled-images-service runs for the project."
)


def schedule_columns(
    of: Callable[[Any], ImageSchedule | None],
) -> tuple[Column[Any], ...]:
    """Return the columns that every schedule has.

    :param of: returns the schedule of a row, None for none.
    """
    return (
        Column("schedule", "Schedule", lambda row: getattr(of(row), "short", None)),
        Column("day_of_week", "Day", lambda row: getattr(of(row), "day_of_week", None)),
        Column(
            "retention", "Retention", lambda row: getattr(of(row), "retention", None)
        ),
    )


def further_columns(
    of: Callable[[Any], ImageSchedule | None],
) -> tuple[Column[Any], ...]:
    """Return the columns of schedules beyond daily, weekly and a number."""

    def field(name: str) -> Callable[[Any], Any]:
        return lambda row: further_fields(of(row)).get(name)

    return (
        Column("every", "Every", field("every"), further=True),
        Column("at", "At", field("at"), further=True),
        Column("keep", "Keep", field("keep"), lambda v: Keep(**v).words, further=True),
        Column("most", "At most", field("most"), further=True),
    )


@dataclass(frozen=True)
class ShownSchedule:
    """A server, as the user typed it, and its schedule; None if it has none."""

    server: str
    id: str
    schedule: ImageSchedule | None = None


def _schedule(row: ShownSchedule) -> ImageSchedule | None:
    return row.schedule


SCHEDULES: tuple[Column[ShownSchedule], ...] = (
    attribute("server", "Server"),
    attribute("id", "ID"),
    *schedule_columns(_schedule),
    *further_columns(_schedule),
)


def print_schedules(rows: list[ShownSchedule], form: str) -> None:
    """Print schedules as rows; no table for none."""
    if rows or form != "table":
        print_rows(SCHEDULES, rows, form)


def print_schedule(schedule: ImageSchedule) -> None:
    """Print one schedule as it is documented."""
    day = f" on: {schedule.day_of_week}" if schedule.day_of_week else ""
    time = f" at: {schedule.at}" if schedule.at else ""
    put(f"Schedule type: {schedule.every.capitalize()}{day}{time}")
    if schedule.retention is None:
        put(f"Keep: {schedule.keep.words}")
    else:
        put(f"Retention: {schedule.retention}")


def say_change(server: Target, change: ScheduleChange) -> None:
    """Report on stderr a schedule before and after a change."""
    before = described(change.before, change.invalid_tag)
    after = described(change.after)
    text = f"still {after}" if before == after else f"was {before}; is {after}"
    say(f"{server.label}: {text}")


def print_forecasts(
    cloud: Cloud,
    targets: list[Target],
    wanted: ScheduleSettings | None,
    report: Callable[[Callable[[Target, Forecast], None]], ConsoleReport],
) -> bool:
    """Print what a change of schedules would do; return whether all is known.

    :param report: makes the report of what calls back with each forecast.
    """

    def print_one(server: Target, found: Forecast) -> None:
        sizes = snapshot_sizes(cloud, (each.image for each in found.expiring))
        print_forecast(server, found, sizes)

    with report(print_one) as found:
        done = forecast(cloud, targets, wanted, found)
    outlooks = [e.value.outlook for e in done if e.value and e.value.outlook]
    quota = quota_forecast(cloud, outlooks)
    if quota is not None:
        (say if quota.quota.problem else put)(quota_line(quota))
    return found.ok


def print_forecast(server: Target, forecast: Forecast, sizes: Sizes) -> None:
    """Print what a change of a schedule would do.

    :param sizes: those of the volume snapshots that expiring images name.
    """
    old, new = described(forecast.current, forecast.invalid_tag), forecast.new
    change = "no change" if forecast.current == new else f"now {old}"
    put(f"{server.label}: {described(new)} ({change})")
    if forecast.expiring:
        put("These images expire with the next scheduled image:")
        print_rows(decision_columns(sizes), forecast.expiring, "table")
    elif new is None:
        put("Its images stay, and no more are made.")
    else:
        put("No image expires with the next scheduled image.")
    if forecast.outlook is not None:
        put(expected_line(forecast.outlook))


def expected_line(*outlooks: Outlook) -> str:
    """Return how many images of servers there will be, and how large they are."""
    found, parts = [each.expected for each in outlooks], []
    for term in TERMS:
        number = sum(len(each[term]) for each in found)
        size = sum(each[term].size or 0 for each in found)
        images = "1 image" if number == 1 else f"{number:,} images"
        large = f" ({size_for_people(size)})" if size else ""
        parts.append(f"in {term} {images}{large}")
    return f"Expected: {', '.join(parts)}."


def quota_line(found: FullQuota) -> str:
    """Return when the project's quota of images is reached."""
    quota = found.quota
    if quota.problem is not None:
        return f"The project's image quota is not known: {quota.problem}"
    limits = [f"{quota.number.most} images"] if quota.number else []
    limits += [size_for_people(quota.size.most)] if quota.size else []
    name = f"The project's quota of {' and '.join(limits)}"
    if found.day is None:
        return f"{name} is not reached within a year by these servers."
    return f"{name} is reached about {found.day.day} {found.day:%B %Y}."


# -- settings


def settings_of(args: Any, retention: int | None) -> ScheduleSettings:
    """Return the settings that the options of a command ask for.

    :raises InvalidValue: for options that do not go together.
    """
    every, day = args.every, args.day_of_week
    daily, hours = parse_every(every) if every else (False, None)
    if every == "weekly" and day is None:
        # `openstack` has options that exclude each other.
        use = "add --day-of-week" if not hasattr(args, "daily") else "use --weekly"
        raise InvalidValue(f"a weekly schedule requires a day of the week: {use}")
    settings = ScheduleSettings(
        retention,
        day,
        daily or getattr(args, "daily", False),
        hours,
        args.at,
        args.keep or NO_RULES,
        args.keep_within,
    )
    if settings == ScheduleSettings():
        return settings
    if settings.complete:
        as_schedule(settings)
    return settings.checked()


def as_schedule(settings: ScheduleSettings) -> ImageSchedule:
    """Return the schedule that settings alone ask for.

    :raises InvalidValue: for one that cannot be.
    """
    schedule = settings.checked().applied_to(None)
    if schedule is None:
        raise InvalidValue("specify how many images to keep: a retention or rules")
    # As long as a tag may be.
    schedule_tag(schedule)
    return schedule


def described(schedule: ImageSchedule | None, invalid_tag: str | None = None) -> str:
    """Return a short description of a schedule, or of the tag that is no valid one."""
    if schedule is None:
        return f"the invalid tag '{invalid_tag}'" if invalid_tag else "no schedule"
    return schedule.words
