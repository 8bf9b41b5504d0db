"""A schedule simulated: a year of images, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from rax_scheduled_images_ext.model.keep import RULES, WITHIN, KeptBy
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule

_DAY = timedelta(days=1)
_YEAR = 365 * _DAY
#: The letter of each rule in a calendar; what no rule keeps is a dot.
LETTERS = dict(zip(RULES, "lhdwmyi", strict=True))
GONE = "."


@dataclass(frozen=True)
class SimulatedImage:
    """An image, when it was made, and the rules that keep it."""

    created: datetime
    kept_by: tuple[KeptBy, ...]


@dataclass(frozen=True)
class Month:
    """A month of a calendar: its first day, and a character for each day.

    That is the letter of the rule with the longest periods that keeps an image of the
    day, a dot if all are gone, and a blank if none was made.
    """

    first: date
    days: str


@dataclass(frozen=True)
class Simulation:
    """All images that a schedule makes in a year, newest first, as they are then.

    Each is made when it is due. Where that follows from the server's ID, it is the
    start of the day, or of its hours.
    """

    schedule: ImageSchedule
    start: datetime
    images: list[SimulatedImage]

    @classmethod
    def of(cls, schedule: ImageSchedule, start: date) -> Simulation:
        """Simulate a year from the beginning of a day, in UTC."""
        begin = datetime(start.year, start.month, start.day, tzinfo=timezone.utc)
        moments = list(_due(schedule, begin))[::-1]
        kept = schedule.keep.decide(moments)
        return cls(schedule, begin, list(map(SimulatedImage, moments, kept)))

    @property
    def end(self) -> datetime:
        """When the year is over."""
        return self.start + _YEAR

    @property
    def left(self) -> list[SimulatedImage]:
        """The images that are there at the end, newest first."""
        return [image for image in self.images if image.kept_by]

    def there(self, moment: datetime) -> int:
        """Return how many images are there before a moment."""
        made = [image.created for image in self.images if image.created < moment]
        return sum(map(bool, self.schedule.keep.decide(made)))

    @property
    def months(self) -> list[Month]:
        """The calendar of the year."""
        marks: dict[date, str] = {}
        for image in self.images:
            day = image.created.date()
            marks[day] = max(marks.get(day, GONE), _letter(image), key=_order)
        months, day = list[Month](), self.start.date()
        while day < self.end.date():
            after = (day.replace(day=1) + 31 * _DAY).replace(day=1)
            first, end = day.replace(day=1), min(after, self.end.date())
            shown = (first + n * _DAY for n in range((end - first).days))
            months.append(Month(first, "".join(marks.get(d, " ") for d in shown)))
            day = after
        return months


def _due(schedule: ImageSchedule, start: datetime) -> Iterator[datetime]:
    """Yield when images are due in a year."""
    end, step = start + _YEAR, min(schedule.interval, _DAY)
    due = start
    if schedule.at is not None:
        hour, minute = map(int, schedule.at.split(":"))
        due += timedelta(hours=hour, minutes=minute)
    while due < end:
        if schedule.day_of_week in (None, DAYS[due.isoweekday() % 7]):
            yield due
        due += step


def _letter(image: SimulatedImage) -> str:
    letters = [LETTERS[kept.rule] for kept in image.kept_by]
    return max(letters, key=_order, default=GONE)


def _order(letter: str) -> int:
    """Return a sort key, greater for rules with longer periods."""
    return (GONE, LETTERS[WITHIN], *LETTERS.values()).index(letter)
