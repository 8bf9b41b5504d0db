"""How many images a project may have, and when a schedule reaches that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.model.outlook import Outlook, There

_DAY = timedelta(days=1)
_WEEK, _YEAR = 7, 365


@dataclass(frozen=True)
class Limit:
    """The most that a project may have of something, and what it has."""

    most: int
    used: int


@dataclass(frozen=True)
class ImageQuota:
    """The limits of a project's images: their number and their bytes; None for none.

    ``problem`` is why they are not known; both are None then.
    """

    number: Limit | None
    size: Limit | None
    problem: str | None = None


@dataclass(frozen=True)
class FullQuota:
    """The day on which a quota is reached: that of the number of images, or of bytes.

    ``limit`` is the one reached; ``day`` is None if none is within a year.
    """

    quota: ImageQuota
    day: datetime | None = None
    limit: Limit | None = None


def day_full(quota: ImageQuota, outlooks: Sequence[Outlook]) -> FullQuota:
    """Return when the images of some servers fill a quota; all others stay as many."""
    now = outlooks[0].now
    number, size = _total(each.there for each in outlooks)

    def full(days: int) -> Limit | None:
        then = _total(each.at(each.now + days * _DAY) for each in outlooks)
        more = (then[0] - number, then[1] - size)
        for limit, added in zip((quota.number, quota.size), more, strict=True):
            if limit is not None and limit.used + added >= limit.most:
                return limit
        return None

    # A day of many servers takes long.
    before = -1
    for days in (*range(_WEEK), *range(_WEEK, _YEAR + 1, _WEEK), _YEAR):
        if full(days) is not None:
            first = next(day for day in range(before + 1, days + 1) if full(day))
            return FullQuota(quota, now + first * _DAY, full(first))
        before = days
    return FullQuota(quota)


def _total(there: Iterable[There]) -> tuple[int, int]:
    """Return the number of images, and their bytes as far as known."""
    number = size = 0
    for each in there:
        number, size = number + len(each), size + (each.size or 0)
    return number, size
