"""Schedules of server images, and how users write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rax_scheduled_images_ext.errors import InvalidValue

DAYS = (
    "SUNDAY",
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
)
#: The minimum and maximum number of images that a schedule keeps.
LEAST_RETENTION, MOST_RETENTION = 1, 65535
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class ImageSchedule:
    """A schedule: how many images stay, and on which UTC day of the week one is made.

    ``day_of_week`` is an upper-case English name, None for a daily schedule.
    """

    retention: int
    day_of_week: str | None = None

    @classmethod
    def checked(cls, retention: int, day_of_week: str | None = None) -> ImageSchedule:
        """Return the schedule of a retention and a day, which :func:`parse_day` parses.

        :raises InvalidValue: for an invalid retention or day.
        """
        if isinstance(retention, bool) or not isinstance(retention, int):
            raise InvalidValue(f"{retention!r} is not a retention: it must be an int")
        day = None if day_of_week is None else parse_day(day_of_week)
        return cls(parse_retention(str(retention)), day)

    @property
    def kind(self) -> str:
        """``daily`` or ``weekly``."""
        return "weekly" if self.day_of_week else "daily"

    def next_due(self, last: datetime, now: datetime) -> datetime:
        """Predict when the next image is due.

        The service makes the images at the same time of day, which it may change.

        :param last: when the latest scheduled image was made, an aware UTC time.
        :returns: the first such time after ``now``, on a day of the schedule.
        """
        due = last + max(1, (now - last) // _DAY + 1) * _DAY
        if self.day_of_week in DAYS:
            wanted = DAYS.index(self.day_of_week)
            due += (wanted - due.isoweekday()) % 7 * _DAY
        return due

    @classmethod
    def from_object(cls, part: Mapping[str, Any]) -> ImageSchedule:
        """Read a schedule from the JSON object that describes it.

        The retention may be a string: the service echoes what it was sent.

        :raises ValueError: for anything that is not a schedule; the text says why.
        """
        retention, day = part.get("retention"), part.get("day_of_week")
        if isinstance(retention, bool) or not re.fullmatch(
            "[0-9]{1,9}", str(retention), re.ASCII
        ):
            raise ValueError("without a 'retention' that is a number")
        if not (day is None or (isinstance(day, str) and day)):
            raise ValueError("with a 'day_of_week' that is not a day")
        return cls(int(str(retention)), day.upper() if day else None)


@dataclass(frozen=True)
class ScheduleSettings:
    """Changes to a schedule; what is not given stays as it is.

    ``day_of_week`` asks for a weekly schedule, ``daily`` for a daily one.
    """

    retention: int | None = None
    day_of_week: str | None = None
    daily: bool = False

    @classmethod
    def of(cls, schedule: ImageSchedule) -> ScheduleSettings:
        """Return the settings that replace any schedule by this one."""
        day = schedule.day_of_week
        return cls(schedule.retention, day, daily=day is None)

    @property
    def complete(self) -> bool:
        """Whether they replace the whole schedule."""
        return self.retention is not None and bool(self.daily or self.day_of_week)

    def checked(self) -> ScheduleSettings:
        """Return the same with the day's full name.

        :raises InvalidValue: for an invalid retention or day, for both a day and
            ``daily``, and if nothing is given.
        """
        if self.daily and self.day_of_week is not None:
            raise InvalidValue("a schedule cannot be both daily and weekly")
        if self == ScheduleSettings():
            raise InvalidValue("no change to the schedule is given")
        retention = 1 if self.retention is None else self.retention
        day = ImageSchedule.checked(retention, self.day_of_week).day_of_week
        return ScheduleSettings(self.retention, day, self.daily)

    def applied_to(self, current: ImageSchedule | None) -> ImageSchedule | None:
        """Return a schedule with these changes.

        None if there is no retention: none is given, and there is no schedule.
        """
        if current is None:
            wanted = self.retention, self.day_of_week
        else:
            day = None if self.daily else current.day_of_week
            wanted = self.retention or current.retention, self.day_of_week or day
        retention, day_of_week = wanted
        return None if retention is None else ImageSchedule(retention, day_of_week)


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
