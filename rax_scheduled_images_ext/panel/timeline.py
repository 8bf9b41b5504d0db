"""The images of a server on a time line, as numbers for a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.model.retention import Decision, retention_status
from rax_scheduled_images_ext.operations.server import ServerDetails

#: The width of the picture, and the margin on both sides.
WIDTH, MARGIN = 1000, 40
_TICKS = 8


@dataclass(frozen=True)
class Point:
    """One image: its position, and ``kind``, which is how it is drawn."""

    x: float
    kind: str
    decision: Decision


@dataclass(frozen=True)
class DayMark:
    """A day that is labelled below the line."""

    x: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """The points, oldest first, the ticks, and the position of now."""

    points: list[Point]
    ticks: list[DayMark]
    now: float


def timeline(details: ServerDetails) -> Timeline | None:
    """Return the time line of a server's images, None if none has a date."""
    dated = [each for each in reversed(details.images) if each.image.created]
    if not dated:
        return None
    times = [each.image.created for each in dated if each.image.created]
    begin = min(times)
    span = max(details.now - begin, timedelta(hours=1))

    def x(moment: datetime) -> float:
        return round(MARGIN + (moment - begin) / span * (WIDTH - 2 * MARGIN), 1)

    points = [
        Point(x(time), kind_of(each), each)
        for time, each in zip(times, dated, strict=True)
    ]
    ticks = [DayMark(x(day), day.strftime("%d %b")) for day in _days(begin, span)]
    return Timeline(points, ticks, x(begin + span))


def kind_of(decision: Decision) -> str:
    """Return how an image is drawn: kept, exempt, expires or other."""
    status = retention_status(decision)
    if status == "kept (exempt)":
        return "exempt"
    if status == "expires next":
        return "expires"
    return "kept" if decision.counted else "other"


def _days(begin: datetime, span: timedelta) -> Iterator[datetime]:
    """Yield a few midnights within the span."""
    step = timedelta(days=max(1, -(-span.days // _TICKS)))
    day = begin.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while day <= begin + span:
        yield day
        day += step
