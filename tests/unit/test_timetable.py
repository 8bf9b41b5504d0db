"""When scheduled images fall due."""

from __future__ import annotations

import random
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.timetable import (
    DAY,
    DAYS,
    HOUR,
    next_run,
    second_of_day,
)

MOMENTS = st.floats(0, 4e9)
SECONDS = st.integers(0, DAY // 60 - 1).map(lambda minute: 60 * minute)


@given(MOMENTS, SECONDS)
def test_a_daily_run_is_due_within_a_day(after: float, second: int) -> None:
    due = next_run(after, second, None)
    assert after < due <= after + DAY
    assert due % DAY == second


@given(MOMENTS, SECONDS, st.sampled_from(DAYS))
def test_a_weekly_run_is_due_on_its_day(after: float, second: int, day: str) -> None:
    due = next_run(after, second, day)
    assert after < due <= after + 7 * DAY
    assert due % DAY == second
    assert f"{datetime.fromtimestamp(due, timezone.utc):%A}".upper() == day


@pytest.mark.parametrize("day", ["", "saturday", "SAT", "FUNDAY"])
def test_another_day_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match=f"^'{day}' is no day: one of MONDAY, TUESDAY"):
        next_run(0.0, 0, day)


@given(MOMENTS, st.integers())
def test_a_new_schedule_is_due_in_one_to_twenty_three_hours(
    now: float, seed: int
) -> None:
    due = next_run(now, second_of_day(now, random.Random(seed)), None)
    # Down to the full minute.
    assert HOUR - 60 <= due - now <= 23 * HOUR
