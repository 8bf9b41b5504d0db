"""What becomes of a server's images in time: until when each stays, what is there.

It assumes that each image is made when it is due, so every moment is "about".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import (
    PERIODS,
    WITHIN,
    Keep,
    KeptBy,
    period_after,
    period_start,
)
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.schedule import ImageSchedule

_DAY = timedelta(days=1)
#: After how long it is said how many images there are.
TERMS = {"a week": 7 * _DAY, "a month": 30 * _DAY, "a year": 365 * _DAY}
_NEVER = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Runs:
    """The moments at which images are due: the first one, and the time between two."""

    first: datetime
    interval: timedelta

    def at(self, number: int) -> datetime:
        """Return when the image of a number is due, 1 for the first."""
        return self.first + (number - 1) * self.interval

    def since(self, moment: datetime) -> datetime:
        """Return when the first image is due that is not due before a moment."""
        return self.at(1 + max(0, -((self.first - moment) // self.interval)))

    def before(self, moment: datetime) -> datetime | None:
        """Return when the last image is due before a moment, None if none is."""
        number = -((self.first - moment) // self.interval)
        return self.at(number) if number > 0 else None


@dataclass(frozen=True)
class There:
    """What is there at a moment: of the images of today, and of those made since.

    ``each`` is how large one of those made is likely to be, None if unknown.
    """

    images: list[ServerImage]
    made: list[datetime]
    each: float | None = None

    def __len__(self) -> int:
        return len(self.images) + len(self.made)

    @property
    def size(self) -> int | None:
        """How many bytes that is by the sizes so far, None if unknown."""
        if self.each is None and len(self):
            return None
        each = self.each or 0.0
        return round(
            sum(each if image.size is None else image.size for image in self.images)
            + len(self.made) * each
        )


@dataclass(frozen=True)
class Outlook:
    """What becomes of a server's counted images under a schedule.

    ``decisions`` are those on its images by that schedule, newest first; ``runs`` is
    None if nothing is made, and then all stay as they are. ``now`` is the moment from
    which it is looked out.
    """

    decisions: list[Decision]
    keep: Keep | None
    runs: Runs | None
    now: datetime

    @classmethod
    def of(
        cls,
        decisions: Iterable[Decision],
        schedule: ImageSchedule | None,
        now: datetime,
        next_due: datetime | None = None,
    ) -> Outlook:
        """Return the outlook by a schedule, None for none.

        :param next_due: when the next image is due, None if that follows from the
            newest one; without one, an interval from now.
        """
        counted = [each for each in decisions if each.counted]
        if schedule is None or not schedule.keep:
            return cls(counted, None, None, now)
        if next_due is None:
            newest = counted[0].image.created if counted else None
            next_due = schedule.next_due(newest or now, now)
        return cls(counted, schedule.keep, Runs(next_due, schedule.interval), now)

    def dated(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Return decisions with the days on which images are deleted.

        Where a number decides, they count the images until then, and stay as they are.
        """
        if self.keep is None or self.keep.number is not None:
            return list(decisions)
        ends = {each.image.id: self.until(each) for each in self.decisions}
        first = self.runs.first if self.runs else None
        return [
            replace(each, until=end, goes_next=end == first)
            if (end := ends.get(each.image.id))
            else each
            for each in decisions
        ]

    @property
    def expiring(self) -> list[Decision]:
        """The same as :attr:`going_next` with their days, oldest first."""
        return self.dated(self.going_next[::-1])

    @property
    def going_next(self) -> list[Decision]:
        """The decisions on the images that the next scheduled image deletes."""
        if self.runs is None or self.keep is None:
            return []
        # Where a number decides, the newest stay, whenever they were made.
        stay = self.keep.number - 1 if self.keep.number else 0
        first, old = self.runs.first, self.decisions[stay:]
        return [each for each in old if self.until(each) == first]

    @property
    def soonest(self) -> list[Decision]:
        """The decisions on the images that are deleted first, the oldest first."""
        ends = [(self.until(each), each) for each in reversed(self.decisions)]
        first = min((end for end, _ in ends if end), default=None)
        return [each for end, each in ends if first and end == first]

    def until(self, decision: Decision) -> datetime | None:
        """Return about when an image is deleted; None if never."""
        if self.runs is None or not decision.counted or decision.is_never_deleted:
            return None
        ends = [self._ends(each, decision) for each in decision.kept_by]
        end = max(ends, default=self.runs.first)
        return None if end == _NEVER else end

    @property
    def there(self) -> There:
        """What is there now."""
        images = [each.image for each in self.decisions]
        sizes = [image.size for image in images if image.size]
        return There(images, [], sum(sizes) / len(sizes) if sizes else None)

    @property
    def expected(self) -> dict[str, There]:
        """What is there in a week, in a month and in a year, by those words."""
        return {term: self.at(self.now + length) for term, length in TERMS.items()}

    def at(self, moment: datetime) -> There:
        """Return what is there at a moment, after all that was due by then."""
        newest = None
        if self.runs is not None:
            newest = self.runs.before(moment + timedelta.resolution)
        if self.keep is None or newest is None:
            return self.there
        made = sorted(self._kept_of_runs(self.keep, newest), reverse=True)
        # What was to be made before the images that there are already is not made.
        moments = [*made, *map(_made, self.decisions)]
        order = sorted(range(len(moments)), key=lambda n: moments[n], reverse=True)
        kept = self.keep.decide([moments[n] for n in order])
        stay = {n for n, by in zip(order, kept, strict=True) if by}
        return There(
            [
                each.image
                for n, each in enumerate(self.decisions, len(made))
                if n in stay or self.until(each) is None
            ],
            [due for n, due in enumerate(made) if n in stay],
            self.there.each,
        )

    def _ends(self, kept: KeptBy, decision: Decision) -> datetime:
        """Return when a rule no longer keeps an image."""
        assert self.runs is not None
        created, newest = _made(decision), _made(self.decisions[0])
        try:
            if kept.rule == "last":
                return self.runs.at(kept.limit - kept.rank + 1)
            if kept.rule == WITHIN:
                return self.runs.since(created + kept.limit * _DAY)
            period, left = PERIODS[kept.rule], kept.limit - kept.rank + 1
            due, before = self.runs.first, period(newest)
            while True:
                number = period(due)
                left -= number != before
                # It is no longer the newest of its period, or its period is too old.
                if number == period(created) or not left:
                    return due
                before = number
                due = self.runs.since(period_after(kept.rule, due))
        except OverflowError:
            return _NEVER

    def _kept_of_runs(self, keep: Keep, newest: datetime) -> set[datetime]:
        """Return what rules keep of the images due until then; others are not made."""
        assert self.runs is not None
        first, interval = self.runs.first, self.runs.interval
        found = set()
        for rule, limit in keep.rules.items():
            if rule in PERIODS:
                due: datetime | None = newest
                for _ in range(limit):
                    if due is None:
                        break
                    found.add(due)
                    due = self.runs.before(period_start(rule, due))
            else:
                days = rule == WITHIN
                wanted = -(-limit * _DAY // interval) if days else limit
                made = min(wanted, (newest - first) // interval + 1)
                found.update(newest - n * interval for n in range(made))
        return found


def _made(decision: Decision) -> datetime:
    """Return when an image was made: one without a date does not count."""
    assert decision.image.created is not None
    return decision.image.created
