"""What a schedule keeps: rules, each of which keeps the newest image of some periods.

As restic 0.14 does: a rule keeps the newest image of each of the newest N hours, days,
ISO weeks, months or years that have one; ``last`` keeps the newest N, ``within_days``
what is less than so many days older than the newest. An image stays if any rule keeps
it. Periods are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from rax_scheduled_images_ext.errors import InvalidValue

#: The minimum and maximum number of images that a rule keeps.
LEAST_RETENTION, MOST_RETENTION = 1, 65535
#: The fewest images that ``last`` keeps beside ``within``: after a gap the first new
#: image would otherwise free all others.
LEAST_LAST = 2
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class KeptBy:
    """A rule that keeps an image.

    ``rank`` is the image's place among those that the rule keeps, 1 for the newest, and
    ``limit`` how many it keeps at most; for ``within``, the number of days.
    """

    rule: str
    rank: int
    limit: int


@dataclass(frozen=True)
class Keep:
    """How much each rule keeps, 0 without the rule. A lone ``last`` is a number.

    ``within_days`` keeps all that is less than so many days older than the newest.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within_days: int = 0

    @classmethod
    def of(cls, keep: Keep | int) -> Keep:
        """Return what a number keeps, or the rules as they are."""
        return keep if isinstance(keep, Keep) else cls(last=keep)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.rules.items())
        return f"Keep({given})"

    @property
    def rules(self) -> dict[str, int]:
        """The rules that there are, by name, in the order in which they are written."""
        return {name: value for name, value in vars(self).items() if value}

    @property
    def number(self) -> int | None:
        """How many of the newest images stay if that is the only rule, else None."""
        given = [name for name, value in vars(self).items() if value]
        return self.last if given == ["last"] else None

    @property
    def words(self) -> str:
        """The rules in short form, such as ``8 last + 7 daily + within 30 days``."""
        return " + ".join(
            within_words(value) if name == WITHIN else f"{value} {name}"
            for name, value in self.rules.items()
        )

    def __or__(self, other: Keep) -> Keep:
        """Return the rules that keep what either keeps."""
        ours, theirs = vars(self), vars(other)
        return Keep(**{name: max(ours[name], theirs[name]) for name in ours})

    def checked(self) -> Keep:
        """Return the same.

        :raises InvalidValue: for rules that cannot be.
        """
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidValue(f"{value!r} is not a number of images: {name}")
            if value and not LEAST_RETENTION <= value <= MOST_RETENTION:
                raise _not_a_number(name, value)
        if not self:
            raise InvalidValue(f"no rules: use at least one of {', '.join(RULES)}")
        if self.within_days and self.last < LEAST_LAST:
            raise InvalidValue(
                f"keeping by age requires last={LEAST_LAST} or more: otherwise the"
                " first image after a gap would let all others be deleted"
            )
        return self

    def most(self, interval: timedelta) -> int:
        """Return how many images are kept at most, if one is made in each interval.

        What a rule keeps of the newest periods, rules of shorter ones keep as well.
        """
        by_age = -(-self.within_days * _DAY // interval)
        total = max(self.last, by_age)
        finer = [(interval, total)] if total else []
        for rule, limit in self.rules.items():
            if rule in PERIODS:
                length = LENGTHS[rule]
                both = [1 + (n - 1) // -(-length // shorter) for shorter, n in finer]
                total += max(0, limit - max(both, default=0))
                # Weeks are no parts of months.
                if rule != "weekly":
                    finer.append((max(length, interval), limit))
        return total

    def decide(self, moments: Sequence[datetime]) -> Sequence[tuple[KeptBy, ...]]:
        """Return the rules that keep each image, none for one that goes.

        :param moments: when the images were made, the newest first, in UTC.
        """
        if self.number is not None:
            return _newest(self.number, len(moments))
        kept: list[tuple[KeptBy, ...]] = [()] * len(moments)
        for rule, limit in self.rules.items():
            for rank, place in enumerate(_places(rule, limit, moments), 1):
                kept[place] += (KeptBy(rule, rank, limit),)
        return kept


#: No rules.
NO_RULES = Keep()
#: The names of the rules, in the order in which they are written.
RULES = tuple(field.name for field in fields(Keep))
WITHIN = RULES[-1]
#: What each rule of the calendar counts: a number that grows with time.
PERIODS: Mapping[str, Callable[[datetime], int]] = {
    "hourly": lambda moment: moment.toordinal() * 24 + moment.hour,
    "daily": datetime.toordinal,
    # The first day of year 1 was a Monday.
    "weekly": lambda moment: (moment.toordinal() - 1) // 7,
    "monthly": lambda moment: moment.year * 12 + moment.month,
    "yearly": lambda moment: moment.year,
}

#: The longest of each.
LENGTHS = {
    "hourly": timedelta(hours=1),
    "daily": _DAY,
    "weekly": 7 * _DAY,
    "monthly": 31 * _DAY,
    "yearly": 366 * _DAY,
}


@lru_cache(maxsize=1024)
def _newest(limit: int, number: int) -> tuple[tuple[KeptBy, ...], ...]:
    """Return what keeps each of ``number`` images if the newest ``limit`` stay.

    The newest image is the first. Most servers of a fleet have the same result.
    """
    return tuple(
        (KeptBy("last", rank, limit),) if rank <= limit else ()
        for rank in range(1, number + 1)
    )


def _places(rule: str, limit: int, moments: Sequence[datetime]) -> list[int]:
    """Return the places of the images that a rule keeps, the newest first."""
    if rule == "last":
        return list(range(min(limit, len(moments))))
    if rule == WITHIN:
        age = limit * _DAY
        return [n for n, moment in enumerate(moments) if moments[0] - moment < age]
    period, places, before = PERIODS[rule], [], None
    for place, moment in enumerate(moments):
        number = period(moment)
        if number != before:
            places.append(place)
            before = number
            if len(places) == limit:
                break
    return places


def period_start(rule: str, moment: datetime) -> datetime:
    """Return the start of the period that a moment is in."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    midnight = hour.replace(hour=0)
    return {
        "hourly": hour,
        "daily": midnight,
        "weekly": midnight - midnight.weekday() * _DAY,
        "monthly": midnight.replace(day=1),
        "yearly": midnight.replace(month=1, day=1),
    }[rule]


def period_after(rule: str, moment: datetime) -> datetime:
    """Return the start of the period after the one that a moment is in.

    :raises OverflowError: after the last year that there is.
    """
    start = period_start(rule, moment)
    return period_start(rule, start + LENGTHS[rule])


def period_name(rule: str, moment: datetime) -> str | None:
    """Return the period of a calendar's rule, such as ``2026-W01``; None for others."""
    if rule == "weekly":
        year, week, _ = moment.isocalendar()
        return f"{year:04}-W{week:02}"
    form = {"hourly": "%Y-%m-%dT%H", "daily": "%Y-%m-%d", "monthly": "%Y-%m"}
    if rule == "yearly":
        return f"{moment.year:04}"
    return moment.strftime(form[rule]) if rule in form else None


def period_words(rule: str, moment: datetime) -> str:
    """Return the period of a calendar's rule, such as ``5 January`` or ``week 1``."""
    day = f"{moment.day} {moment:%B}"
    return {
        "hourly": f"{moment:%H}:00 on {day}",
        "daily": day,
        "weekly": f"week {moment.isocalendar()[1]}",
        "monthly": f"{moment:%B} {moment.year}",
        "yearly": str(moment.year),
    }[rule]


def within_words(days: int) -> str:
    """Return the rule that keeps by age in words."""
    return f"within {days} day{'s' if days > 1 else ''}"


def kept_words(kept_by: Iterable[KeptBy], created: datetime) -> str:
    """Return what rules keep an image as, such as ``daily of 5 January``.

    :param created: when the image was made.
    """
    return ", ".join(_kept_words(kept, created) for kept in kept_by)


def _kept_words(kept: KeptBy, created: datetime) -> str:
    if kept.rule in PERIODS:
        return f"{kept.rule} of {period_words(kept.rule, created)}"
    if kept.rule == WITHIN:
        return within_words(kept.limit)
    if kept.limit == 1:
        return "the newest"
    rank = "last" if kept.rank == kept.limit else f"number {kept.rank}"
    return f"{rank} of the newest {kept.limit}"


def parse_keep(text: str) -> Keep:
    """Parse rules as people write them, such as ``last=8,daily=7``.

    :raises InvalidValue: for anything else.
    """
    given: dict[str, int] = {}
    for part in text.split(","):
        found = re.fullmatch(r"([a-z]+)=([0-9]{1,9})", part.strip(), re.ASCII)
        if found is None or found[1] not in RULES[:-1] or found[1] in given:
            raise InvalidValue(
                f"'{text}' is not a list of rules such as last=8,daily=7: use each of"
                f" {', '.join(RULES[:-1])} at most once"
            )
        given[found[1]] = int(found[2])
        if not LEAST_RETENTION <= given[found[1]] <= MOST_RETENTION:
            raise _not_a_number(found[1], given[found[1]])
    return Keep(**given)


def parse_within(text: str) -> int:
    """Parse a number of days, such as ``30d``.

    :raises InvalidValue: for anything else.
    """
    found = re.fullmatch("0*([0-9]{1,5})d", text, re.ASCII)
    days = int(found[1]) if found else 0
    if not LEAST_RETENTION <= days <= MOST_RETENTION:
        raise InvalidValue(
            f"'{text}' is not an age: {LEAST_RETENTION}d to {MOST_RETENTION}d"
        )
    return days


def read_keep(part: Any) -> Keep:
    """Read rules from the JSON object that describes them.

    :raises InvalidValue: for anything else.
    """
    if not isinstance(part, dict) or not part.keys() <= set(RULES):
        raise InvalidValue(f"'keep' must be an object with some of {', '.join(RULES)}")
    if not all(part.values()):
        raise InvalidValue("omit a rule instead of setting it to 0")
    return Keep(**part).checked()


def _not_a_number(rule: str, value: int) -> InvalidValue:
    return InvalidValue(
        f"'{value}' is not a number of images: {rule}={LEAST_RETENTION} to"
        f" {MOST_RETENTION}"
    )
