"""How many images a project may have, and when a schedule reaches that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.model.outlook import Outlook

_DAY = timedelta(days=1)
_YEAR = 365


@dataclass(frozen=True)
class Limit:
    """The most that a project may have of something, and what it has."""

    most: int
    used: int


@dataclass(frozen=True)
class ImageQuota:
    """The limits of a project's images: their number and their bytes; None for none."""

    number: Limit | None
    size: Limit | None


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
    today = [each.there for each in outlooks]
    for days in range(_YEAR + 1):
        there = [each.at(each.now + days * _DAY) for each in outlooks]
        number = sum(map(len, there)) - sum(map(len, today))
        size = sum(each.size or 0 for each in there) - sum(
            each.size or 0 for each in today
        )
        for limit, more in ((quota.number, number), (quota.size, size)):
            if limit is not None and limit.used + more >= limit.most:
                return FullQuota(quota, outlooks[0].now + days * _DAY, limit)
    return FullQuota(quota)
