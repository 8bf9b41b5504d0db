"""When the images of a server are due: slots, and the names by which they are claimed.

A slot is a moment. It follows from the schedule and the server's ID alone, so it needs
no memory. Times are aware and UTC.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.image import SLOT_KEY, ServerImage, named_weekly
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule

_DAY = 24 * 3600
_ONE_DAY = timedelta(days=1)
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(\d\d)?(?:-(\d{1,2})h)?)?", re.ASCII)


@dataclass(frozen=True)
class Window:
    """The part of each UTC day in which snapshots start; it may span midnight.

    It holds for daily and weekly schedules without a time of their own. ``start`` is in
    seconds after midnight, ``length`` in seconds.
    """

    start: int = 0
    length: int = _DAY

    def second_of_day(self, server_id: str) -> int:
        """Return a server's time of day, in seconds after midnight.

        It depends on the ID alone, and IDs are spread evenly over the window.
        """
        return (self.start + int(share_of(server_id) * self.length)) % _DAY

    def contains(self, moment: datetime) -> bool:
        """Whether a moment is in the window."""
        second = moment.hour * 3600 + moment.minute * 60 + moment.second
        return (second - self.start) % _DAY < self.length


#: A window without limits.
WHOLE_DAY = Window()


def parse_window(text: str) -> Window:
    """Parse a window such as ``22:00-06:00``.

    :raises InvalidValue: for anything else.
    """
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text, re.ASCII)
    if found:
        hour, minute, last_hour, last_minute = map(int, found.groups())
        start, end = hour * 60 + minute, last_hour * 60 + last_minute
        right = hour < 24 and last_hour < 24 and minute < 60 and last_minute < 60
        if right and start != end:
            return Window(start * 60, (end - start) * 60 % _DAY)
    raise InvalidValue(
        f"'{text}' is not a window: two different UTC times of day such as 22:00-06:00"
    )


@dataclass(frozen=True)
class Slot:
    """A moment from which on an image of a server is due.

    ``name`` is for claims and for the metadata of images: the day, such as
    ``2026-01-05``; ``2026-01-05T0230`` with a time of the schedule's own;
    ``2026-01-05T06-6h`` or ``2026-01-05T0830-6h`` for one of several a day.
    """

    name: str
    due: datetime


def next_slot(
    server_id: str, schedule: ImageSchedule, now: datetime, window: Window
) -> Slot:
    """Return the slot whose image is due next, after ``now``."""
    return slots_around(server_id, schedule, now, window)[1]


def slots_around(
    server_id: str, schedule: ImageSchedule, now: datetime, window: Window
) -> tuple[Slot, Slot]:
    """Return the slot whose image was due last, and the one that is due next."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    step = min(schedule.interval, _ONE_DAY)
    offset = _offset(server_id, schedule, window)
    first = midnight + offset
    latest = first + (now - first) // step * step
    following = latest + step
    while not _falls_on(schedule, latest):
        latest -= _ONE_DAY
    while not _falls_on(schedule, following):
        following += _ONE_DAY

    def slot(due: datetime) -> Slot:
        return Slot(_name(schedule, due, offset), due)

    return slot(latest), slot(following)


def due_of(name: str, server_id: str, window: Window) -> datetime | None:
    """Return when the slot of a name was due, None if it is not the name of one."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    day, hour, minute, hours = found.groups()
    schedule = ImageSchedule(1, hours=int(hours) if hours else None)
    time = f"{hour or '00'}:{minute or '00'}:00+00:00"
    try:
        start = datetime.fromisoformat(f"{day}T{time}")
    except ValueError:
        return None
    if minute is not None:
        return start
    return start + _offset(server_id, schedule, window)


def period_of(image: ServerImage) -> timedelta:
    """Return the time between images by the schedule that an image was made for."""
    found = _NAME.fullmatch(image.metadata.get(SLOT_KEY, ""))
    if found is not None and found[4]:
        return timedelta(hours=int(found[4]))
    return 7 * _ONE_DAY if named_weekly(image) else _ONE_DAY


def share_of(server_id: str) -> float:
    """Return a server's place in what is spread evenly over all servers, 0 to 1.

    It depends on the ID alone.
    """
    digest = hashlib.sha256(server_id.lower().encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _offset(server_id: str, schedule: ImageSchedule, window: Window) -> timedelta:
    """Return how long after the start of a day, or of its part, an image is due."""
    if schedule.at is not None:
        hour, minute = map(int, schedule.at.split(":"))
        return timedelta(hours=hour, minutes=minute)
    if schedule.hours is not None:
        return timedelta(seconds=int(share_of(server_id) * schedule.hours * 3600))
    return timedelta(seconds=window.second_of_day(server_id))


def _name(schedule: ImageSchedule, due: datetime, offset: timedelta) -> str:
    """Return the name of the slot that is due so long after the start of its part."""
    hours = f"-{schedule.hours}h" if schedule.hours is not None else ""
    text = due.isoformat()
    if schedule.at is not None:
        return f"{text[:13]}{text[14:16]}{hours}"
    return f"{(due - offset).isoformat()[:13]}{hours}" if hours else text[:10]


def _falls_on(schedule: ImageSchedule, day: date) -> bool:
    wanted = schedule.day_of_week
    return wanted is None or DAYS[day.isoweekday() % 7] == wanted
