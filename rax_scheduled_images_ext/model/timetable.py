"""When scheduled images fall due; all times are unix seconds, all days UTC."""

from __future__ import annotations

import random

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
HOUR = 3600
DAY = 24 * HOUR


def second_of_day(now: float, chance: random.Random) -> int:
    """Return a time of day, in seconds after midnight, for a new schedule.

    It lies between one and twenty-three hours ahead, at a full minute.
    """
    return int((now + chance.uniform(HOUR, 23 * HOUR)) % DAY) // 60 * 60


def next_run(after: float, second: int, day_of_week: str | None) -> float:
    """Return the first moment after ``after`` at which a run is due.

    :param day_of_week: one of ``DAYS``; None for every day.
    :raises ValueError: for another day, on which a run would never be due.
    """
    if day_of_week is not None and day_of_week not in DAYS:
        raise ValueError(f"{day_of_week!r} is no day: one of {', '.join(DAYS)}")
    day = int(after // DAY)
    while day * DAY + second <= after or (
        # The first day of unix time was a Thursday.
        day_of_week is not None and DAYS[(day + 3) % 7] != day_of_week
    ):
        day += 1
    return float(day * DAY + second)
