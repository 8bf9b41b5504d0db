"""When a quota of images is reached."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.outlook import Outlook, Runs
from rax_scheduled_images_ext.model.quota import ImageQuota, Limit, day_full

from .test_keep import keeps

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def outlook(keep: Keep, hours: int = 24) -> Outlook:
    """What is there in time of a server without images."""
    return Outlook([], keep, Runs(NOW + DAY / 2, timedelta(hours=hours)), NOW)


@given(
    st.lists(keeps(), min_size=1, max_size=3),
    st.integers(0, 40),
    st.integers(0, 60),
)
def test_the_day_is_the_first_on_which_there_are_as_many(
    rules: list[Keep], used: int, most: int
) -> None:
    outlooks = [outlook(keep) for keep in rules]
    quota = ImageQuota(Limit(most, used), None)
    found = day_full(quota, outlooks)
    totals = [
        used + sum(len(o.at(NOW + n * DAY)) for o in outlooks) for n in range(366)
    ]
    if found.day is None:
        # Between two looks a week apart there may be one more for a day or two.
        assert min(totals) < most
        assert max(totals) - 3 * len(rules) < most
        return
    assert found.limit == quota.number
    place = (found.day - NOW).days
    assert totals[place] >= most
    assert place == 0 or totals[place - 1] < most


@pytest.mark.parametrize(("most", "day"), [(7, 7), (3, 3), (8, None)])
def test_a_number_is_reached_after_as_many_days(most: int, day: int | None) -> None:
    quota = ImageQuota(Limit(most, 0), None)
    found = day_full(quota, [outlook(Keep(last=7))])
    assert found.day == (None if day is None else NOW + day * DAY)


def test_without_sizes_bytes_are_not_reached() -> None:
    quota = ImageQuota(None, Limit(10, 5))
    assert day_full(quota, [outlook(Keep(last=7))]).day is None
    full = ImageQuota(None, Limit(10, 10))
    assert day_full(full, [outlook(Keep(last=7))]).day == NOW
