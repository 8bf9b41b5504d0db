"""Schedules of server images: when they are made, and what is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.keep import (
    LEAST_LAST,
    LEAST_RETENTION,
    MOST_RETENTION,
    NO_RULES,
    Keep,
    read_keep,
    within_words,
)

DAYS = (
    "SUNDAY",
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
)
#: How many hours apart images of one day may be due.
HOURS = (12, 8, 6, 4, 3, 2, 1)
#: The same as they are written.
INTERVALS = tuple(f"{hours}h" for hours in HOURS)
#: The time of day that follows from the server's ID, in settings.
AUTO = "auto"
_DAY = timedelta(days=1)


@dataclass(frozen=True, repr=False)
class ImageSchedule:
    """A schedule: when images are made, and what is kept.

    ``retention`` is how many images stay, None if rules say what stays; ``keep`` says
    the same as rules. ``day_of_week`` is an upper-case English name, None if images are
    not made weekly. ``hours`` is how many hours apart they are due, None if daily or
    weekly. ``at`` is a UTC time such as ``02:30`` at which they are due, None for the
    one that follows from the server's ID; with ``hours``, the first time of the day.
    """

    retention: int | None = None
    day_of_week: str | None = None
    hours: int | None = None
    at: str | None = None
    keep: Keep = NO_RULES

    def __post_init__(self) -> None:
        keep = self.keep or Keep(last=self.retention or 0)
        if self.retention and self.retention != keep.number:
            raise ValueError(f"retention {self.retention} is not {keep}")
        object.__setattr__(self, "keep", keep)
        if keep:
            object.__setattr__(self, "retention", keep.number)

    def __repr__(self) -> str:
        if self.is_simple:
            shown = {"retention": self.retention, "day_of_week": self.day_of_week}
        else:
            parts = vars(self).items()
            shown = {name: part for name, part in parts if part is not None}
            shown.pop("keep" if self.retention else "retention", None)
        return f"ImageSchedule({', '.join(f'{n}={p!r}' for n, p in shown.items())})"

    def checked(self) -> ImageSchedule:
        """Return the schedule with the day's full name.

        :raises InvalidValue: for a schedule that cannot be.
        """
        if self.keep.number is None and (self.keep or self.retention is None):
            keep = self.keep.checked()
        else:
            retention = self.retention
            if isinstance(retention, bool) or not isinstance(retention, int):
                message = f"{retention!r} is not a retention: it must be an int"
                raise InvalidValue(message)
            keep = Keep(last=parse_retention(str(retention)))
        day = None if self.day_of_week is None else parse_day(self.day_of_week)
        if self.hours is not None:
            if isinstance(self.hours, bool) or self.hours not in HOURS:
                raise _not_an_interval(f"{self.hours}h")
            if day is not None:
                raise InvalidValue(
                    "a schedule cannot be both weekly and several times a day"
                )
        at = None if self.at is None else parse_at(self.at)
        if at is not None and self.hours is not None and int(at[:2]) >= self.hours:
            raise InvalidValue(
                f"'{at}' is not the first time of a day for images every"
                f" {self.hours}h: use 00:00 to {self.hours - 1:02}:59"
            )
        return ImageSchedule(day_of_week=day, hours=self.hours, at=at, keep=keep)

    @property
    def every(self) -> str:
        """How often an image is made: ``daily``, ``weekly``, or such as ``6h``."""
        if self.hours is not None:
            return f"{self.hours}h"
        return "weekly" if self.day_of_week else "daily"

    @property
    def interval(self) -> timedelta:
        """The time between two images."""
        if self.hours is not None:
            return timedelta(hours=self.hours)
        return 7 * _DAY if self.day_of_week else _DAY

    @property
    def is_simple(self) -> bool:
        """Whether it is daily or weekly, keeps a number, and leaves the hour open."""
        return self.retention is not None and self.hours is None and self.at is None

    @property
    def most(self) -> int:
        """How many images it keeps at most, if each is made when it is due."""
        return self.keep.most(self.interval)

    @property
    def when(self) -> str:
        """When images are made, such as ``weekly on SATURDAY at 02:30``."""
        day = f" on {self.day_of_week}" if self.day_of_week else ""
        return f"{self.every}{day}" + (f" at {self.at}" if self.at else "")

    @property
    def words(self) -> str:
        """The schedule in short form, such as ``6h, keep 8 last + 7 daily``."""
        if self.retention is not None:
            return f"{self.when}, retention {self.retention}"
        return f"{self.when}, keep {self.keep.words}"

    @property
    def short(self) -> str:
        """The word that it is, or all of it if it is more than daily or weekly."""
        return self.every if self.is_simple else self.words

    def next_due(self, last: datetime, now: datetime) -> datetime:
        """Predict when the next image is due.

        The service makes the images at the same time of day, which it may change.

        :param last: when the latest scheduled image was made, an aware UTC time.
        :returns: the first such time after ``now``, on a day of the schedule.
        """
        if self.at is not None:
            hour, minute = map(int, self.at.split(":"))
            last = now.replace(hour=hour, minute=minute, second=0, microsecond=0) - _DAY
        step = min(self.interval, _DAY)
        due = last + max(1, (now - last) // step + 1) * step
        if self.day_of_week in DAYS:
            wanted = DAYS.index(self.day_of_week)
            due += (wanted - due.isoweekday()) % 7 * _DAY
        return due

    @staticmethod
    def from_object(part: object) -> ImageSchedule:
        """Read a schedule from the JSON object that describes it.

        The retention may be a string: the service echoes what it was sent.

        :raises ValueError: for anything that is not a schedule; the text says why.
        """
        if not isinstance(part, Mapping):
            raise ValueError("that is not a JSON object")
        if "every" in part:
            try:
                return read_schedule(part)
            except InvalidValue as error:
                raise ValueError(f"that is not a schedule: {error}") from None
        retention, day = part.get("retention"), part.get("day_of_week")
        if isinstance(retention, bool) or not re.fullmatch(
            "[0-9]{1,9}", str(retention), re.ASCII
        ):
            raise ValueError("without a 'retention' that is a number")
        if not (day is None or (isinstance(day, str) and day)):
            raise ValueError("with a 'day_of_week' that is not a day")
        return _simple(int(str(retention)), day.upper() if day else None)


@lru_cache(maxsize=1024)
def _simple(retention: int, day_of_week: str | None) -> ImageSchedule:
    """Return a simple schedule; a fleet has few different ones."""
    return ImageSchedule(retention, day_of_week)


def schedule_fields(schedule: ImageSchedule) -> dict[str, Any]:
    """Return all that a schedule says, for JSON; :func:`read_schedule` reads it."""
    return {
        "every": schedule.every,
        **({"day_of_week": schedule.day_of_week} if schedule.day_of_week else {}),
        **({"at": schedule.at} if schedule.at else {}),
        "keep": schedule.keep.rules,
    }


def further_fields(schedule: ImageSchedule | None) -> dict[str, Any]:
    """Return what a schedule says beyond daily, weekly and a number; else nothing.

    That is all of it, and how many images it keeps at most.
    """
    if schedule is None or schedule.is_simple:
        return {}
    return {**schedule_fields(schedule), "most": schedule.most}


def read_schedule(part: Mapping[str, Any]) -> ImageSchedule:
    """Read a schedule from its :func:`schedule_fields`; others are ignored.

    :raises InvalidValue: for anything else.
    """
    every, day, at = part.get("every"), part.get("day_of_week"), part.get("at")
    if not (isinstance(every, str) and isinstance(day or "", str)):
        raise _not_an_interval(every)
    daily, hours = parse_every(every)
    if bool(day) == (daily or hours is not None):
        raise InvalidValue(
            f"'{every}' has no day of the week: only weekly has one"
            if day
            else "weekly requires day_of_week, such as sunday"
        )
    if not isinstance(at or "", str):
        raise _not_a_time(at)
    keep = read_keep(part.get("keep"))
    return ImageSchedule(day_of_week=day, hours=hours, at=at, keep=keep).checked()


@dataclass(frozen=True)
class ScheduleSettings:
    """Changes to a schedule; what is not given stays as it is.

    ``day_of_week`` asks for a weekly schedule, ``daily`` for a daily one, ``hours`` for
    one of several images a day. ``at`` is a time such as ``02:30``, or ``auto`` for the
    one that follows from the server's ID. ``retention`` replaces all rules by a number,
    ``keep`` all but ``within_days``, of which 0 takes that rule away.
    """

    retention: int | None = None
    day_of_week: str | None = None
    daily: bool = False
    hours: int | None = None
    at: str | None = None
    keep: Keep = NO_RULES
    within_days: int | None = None

    @classmethod
    def of(cls, schedule: ImageSchedule) -> ScheduleSettings:
        """Return the settings that replace any schedule by this one."""
        number, keep = schedule.retention, schedule.keep
        return cls(
            number,
            schedule.day_of_week,
            daily=schedule.every == "daily",
            hours=schedule.hours,
            at=schedule.at or AUTO,
            keep=Keep() if number is not None else replace(keep, within_days=0),
            within_days=None if number is not None else keep.within_days,
        )

    @property
    def complete(self) -> bool:
        """Whether they say both when images are made and what is kept.

        So they replace a schedule of which nothing can be read.
        """
        when = self.daily or self.day_of_week or self.hours
        return bool(when and (self.keep or self.retention is not None))

    def checked(self) -> ScheduleSettings:
        """Return the same with the day's full name.

        :raises InvalidValue: for what cannot be, and if nothing is given.
        """
        if self.daily and self.day_of_week is not None:
            raise InvalidValue("a schedule cannot be both daily and weekly")
        if self.daily and self.hours is not None:
            raise InvalidValue(
                "a schedule cannot be both daily and several times a day"
            )
        if self == ScheduleSettings():
            raise InvalidValue("no change to the schedule was given")
        if self.retention is not None and (self.keep or self.within_days):
            raise InvalidValue("a schedule keeps images either by number or by rules")
        keep = replace(self.keep, within_days=0)
        # What else it takes beside an age, the present schedule may have.
        if self.within_days:
            Keep(last=2, within_days=self.within_days).checked()
        any_keep = self.retention is None and not keep
        plain = ImageSchedule(
            1 if any_keep else self.retention,
            self.day_of_week,
            self.hours,
            None if self.at == AUTO else self.at,
            keep,
        ).checked()
        at = AUTO if self.at == AUTO else plain.at
        return replace(self, day_of_week=plain.day_of_week, at=at, keep=keep)

    def applied_to(self, current: ImageSchedule | None) -> ImageSchedule | None:
        """Return a schedule with these changes.

        None if nothing is kept: neither is that given, nor is there a schedule.

        :raises InvalidValue: if they do not fit the schedule that there is.
        """
        before = current or ImageSchedule()
        day, hours, at = before.day_of_week, before.hours, before.at
        if self.daily or self.day_of_week or self.hours:
            day, hours = self.day_of_week, self.hours
            if at is not None and hours is not None:
                # It stays one of the times.
                at = f"{int(at[:2]) % hours:02}{at[2:]}"
        if self.at is not None:
            at = None if self.at == AUTO else self.at
        keep = before.keep
        if self.retention is not None:
            keep = Keep(last=self.retention)
        elif self.keep:
            keep = replace(self.keep, within_days=keep.within_days)
            if keep.within_days and self.within_days is None and keep.last < LEAST_LAST:
                raise InvalidValue(
                    f"the schedule also keeps images {within_words(keep.within_days)},"
                    f" which requires last={LEAST_LAST} or more: add that, or remove"
                    " that rule with --keep-within 0d"
                )
        if self.retention is None and self.within_days is not None:
            keep = replace(keep, within_days=self.within_days)
        if not keep:
            return None
        return ImageSchedule(day_of_week=day, hours=hours, at=at, keep=keep).checked()


def parse_retention(text: str) -> int:
    """Parse the number of images to keep.

    :raises InvalidValue: for anything but a whole number from 1 to 65535.
    """
    if re.fullmatch("0*[0-9]{1,5}", text, re.ASCII):
        number = int(text)
        if LEAST_RETENTION <= number <= MOST_RETENTION:
            return number
    raise InvalidValue(
        f"'{text}' is not a retention: a whole number from {LEAST_RETENTION} to"
        f" {MOST_RETENTION}"
    )


def parse_day(text: str) -> str:
    """Return the upper-case day of the week that ``text`` names or abbreviates.

    :raises InvalidValue: for a text that names no day, or could name two.
    """
    days = [day for day in DAYS if text.isascii() and day.startswith(text.upper())]
    if len(days) == 1:
        return days[0]
    allowed = ", ".join(day.lower() for day in DAYS)
    if text and days:
        both = " or ".join(day.lower() for day in days)
        raise InvalidValue(f"'{text}' is ambiguous: {both}")
    raise InvalidValue(f"'{text}' is not a day of the week: use one of {allowed}")


def parse_every(text: str) -> tuple[bool, int | None]:
    """Parse how often an image is made: whether daily, or the hours between two.

    ``weekly`` is neither.

    :raises InvalidValue: for anything else.
    """
    if text in ("daily", "weekly"):
        return text == "daily", None
    if text in INTERVALS:
        return False, int(text[:-1])
    raise _not_an_interval(text)


def parse_at(text: str) -> str:
    """Parse a UTC time of day, such as ``02:30``.

    :raises InvalidValue: for anything else.
    """
    if re.fullmatch("(?:[01][0-9]|2[0-3]):[0-5][0-9]", text, re.ASCII):
        return text
    raise _not_a_time(text)


def _not_an_interval(value: object) -> InvalidValue:
    return InvalidValue(
        f"'{value}' is not an interval: use one of daily, weekly,"
        f" {', '.join(INTERVALS)}"
    )


def _not_a_time(value: object) -> InvalidValue:
    return InvalidValue(f"'{value}' is not a time of day: a UTC time such as 02:30")
