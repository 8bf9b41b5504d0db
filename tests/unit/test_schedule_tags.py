"""Schedules as tags: every schedule has one, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import MalformedTag
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    read_schedule_tags,
    schedule_tag,
)

SCHEDULES = st.builds(
    ImageSchedule, st.integers(1, 65535), st.one_of(st.none(), st.sampled_from(DAYS))
)
OTHERS = st.lists(st.sampled_from(["web", "tier:gold", "scheduled-image:daily:7"]))


@given(SCHEDULES, OTHERS)
def test_what_is_written_is_read(schedule: ImageSchedule, others: list[str]) -> None:
    tag = schedule_tag(schedule)
    assert len(tag) <= 60
    assert not set("/,") & set(tag)
    assert read_schedule_tags([*others, tag, MARKER_TAG]) == schedule
    # Without the marker it is off.
    assert read_schedule_tags([*others, tag]) is None


@given(SCHEDULES, SCHEDULES)
def test_of_two_schedules_the_one_counts_that_deletes_less(
    one: ImageSchedule, other: ImageSchedule
) -> None:
    tags = [MARKER_TAG, schedule_tag(one), schedule_tag(other)]
    found = read_schedule_tags(tags)
    assert found in (one, other)
    assert found == read_schedule_tags(reversed(tags))
    assert found.retention == max(one.retention, other.retention)
    if one.retention == other.retention and one.kind != other.kind:
        assert found.kind == "weekly"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "daily",
        "daily:",
        "daily:0",
        "daily:07",
        "daily:65536",
        "daily:999999",
        "daily:-1",
        "daily:7 ",
        "daily:7:7",
        "daily:\u0667",
        "Daily:7",
        "hourly:7",
        "weekly:7",
        "weekly-sat:7",
        "weekly-SATURDAY:7",
        "weekly-someday:7",
    ],
)
def test_anything_else_is_named_and_no_schedule(value: str) -> None:
    tag = f"scheduled-images:{value}"
    for others in ([], ["scheduled-images:daily:3"]):
        with pytest.raises(MalformedTag) as told:
            read_schedule_tags([MARKER_TAG, *others, tag])
        assert told.value.tag == tag
    assert read_schedule_tags([tag]) is None


def test_a_marker_alone_is_named() -> None:
    with pytest.raises(MalformedTag) as told:
        read_schedule_tags([MARKER_TAG, "web"])
    assert told.value.tag == MARKER_TAG
