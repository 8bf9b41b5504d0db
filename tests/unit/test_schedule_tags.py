"""Schedules as tags: every schedule has one, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import InvalidValue, MalformedTag
from rax_scheduled_images_ext.model.keep import RULES, Keep
from rax_scheduled_images_ext.model.schedule import DAYS, HOURS, ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    LONGEST_TAG,
    MARKER_TAG,
    read_schedule_tags,
    schedule_tag,
)

# Like everything here, of a form that versions before rules know.
SCHEDULES = st.builds(
    ImageSchedule, st.integers(1, 65535), st.one_of(st.none(), st.sampled_from(DAYS))
)


@st.composite
def schedules(draw: st.DrawFn) -> ImageSchedule:
    """Draw a schedule of any form."""
    number = st.one_of(st.just(0), st.integers(1, 40), st.integers(1, 65535))
    rules = {rule: draw(number) for rule in RULES}
    if rules["last"] < 2:
        rules["within_days"] = 0
    keep = Keep(**rules) or Keep(last=7)
    day = draw(st.one_of(st.none(), st.sampled_from(DAYS)))
    hours = None if day else draw(st.one_of(st.none(), st.sampled_from(HOURS)))
    minute = draw(st.one_of(st.none(), st.integers(0, (hours or 24) * 60 - 1)))
    at = None if minute is None else f"{minute // 60:02}:{minute % 60:02}"
    return ImageSchedule(day_of_week=day, hours=hours, at=at, keep=keep)


OTHERS = st.lists(st.sampled_from(["web", "tier:gold", "scheduled-image:daily:7"]))


@given(SCHEDULES, OTHERS)
def test_what_is_written_is_read(schedule: ImageSchedule, others: list[str]) -> None:
    tag = schedule_tag(schedule)
    assert len(tag) <= 60
    assert not set("/,") & set(tag)
    assert read_schedule_tags([*others, tag, MARKER_TAG]) == schedule
    # Without the marker it is off.
    assert read_schedule_tags([*others, tag]) is None


@given(schedules())
def test_a_schedule_of_any_form_has_one_spelling(schedule: ImageSchedule) -> None:
    assert schedule.checked() == schedule
    try:
        tag = schedule_tag(schedule)
    except InvalidValue:
        assert len(schedule.keep.rules) > 1
        return
    assert len(tag) <= LONGEST_TAG
    assert not set("/,") & set(tag)
    # Nova compares without letter case.
    assert tag == tag.lower()
    assert read_schedule_tags([tag, MARKER_TAG]) == schedule


def test_a_tag_that_is_too_long_is_named() -> None:
    numbers = dict.fromkeys(RULES, 65535)
    with pytest.raises(InvalidValue, match=f" a tag at most {LONGEST_TAG}: use fewer"):
        schedule_tag(ImageSchedule(keep=Keep(**numbers)))


@given(st.text("0123456789lhdwmyin+:@ W-", max_size=20), st.sampled_from(["", "6h:"]))
def test_no_other_spelling_is_read(text: str, start: str) -> None:
    tag = f"scheduled-images:{start}{text}"
    try:
        found = read_schedule_tags([tag, MARKER_TAG])
    except MalformedTag:
        return
    assert found is not None
    assert schedule_tag(found) == tag


@pytest.mark.parametrize(
    ("tag", "schedule", "words"),
    [
        ("daily:7", ImageSchedule(7), "daily, retention 7"),
        (
            "weekly-saturday:4",
            ImageSchedule(4, "SATURDAY"),
            "weekly on SATURDAY, retention 4",
        ),
        ("12h:14", ImageSchedule(14, hours=12), "12h, retention 14"),
        (
            "6h:8l+7d+4w+12m+2y",
            ImageSchedule(
                hours=6, keep=Keep(last=8, daily=7, weekly=4, monthly=12, yearly=2)
            ),
            "6h, keep 8 last + 7 daily + 4 weekly + 12 monthly + 2 yearly",
        ),
        (
            "daily@02:30:7d+4w+12m",
            ImageSchedule(at="02:30", keep=Keep(daily=7, weekly=4, monthly=12)),
            "daily at 02:30, keep 7 daily + 4 weekly + 12 monthly",
        ),
        (
            "weekly-wednesday@02:30:4w+12m+5y",
            ImageSchedule(
                day_of_week="WEDNESDAY",
                at="02:30",
                keep=Keep(weekly=4, monthly=12, yearly=5),
            ),
            "weekly on WEDNESDAY at 02:30, keep 4 weekly + 12 monthly + 5 yearly",
        ),
        (
            "1h@00:05:24h",
            ImageSchedule(hours=1, at="00:05", keep=Keep(hourly=24)),
            "1h at 00:05, keep 24 hourly",
        ),
        (
            "daily:2l+in30d",
            ImageSchedule(keep=Keep(last=2, within_days=30)),
            "daily, keep 2 last + within 30 days",
        ),
    ],
)
def test_each_form(tag: str, schedule: ImageSchedule, words: str) -> None:
    assert schedule_tag(schedule) == f"scheduled-images:{tag}"
    found = read_schedule_tags([f"scheduled-images:{tag}", MARKER_TAG])
    assert found == schedule
    assert found.words == words


@given(schedules(), schedules())
def test_of_two_schedules_of_any_form_what_either_keeps_stays(
    one: ImageSchedule, other: ImageSchedule
) -> None:
    try:
        tags = [MARKER_TAG, schedule_tag(one), schedule_tag(other)]
    except InvalidValue:
        return
    found = read_schedule_tags(tags)
    assert found == read_schedule_tags(reversed(tags))
    assert found is not None
    assert found.keep == one.keep | other.keep
    assert found.when in (one.when, other.when)


@given(SCHEDULES, SCHEDULES)
def test_of_two_schedules_the_one_counts_that_deletes_less(
    one: ImageSchedule, other: ImageSchedule
) -> None:
    tags = [MARKER_TAG, schedule_tag(one), schedule_tag(other)]
    found = read_schedule_tags(tags)
    assert found in (one, other)
    assert found == read_schedule_tags(reversed(tags))
    assert found.retention == max(one.keep.last, other.keep.last)
    if one.retention == other.retention and one.every != other.every:
        assert found.every == "weekly"


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
        "daily-saturday:7",
        "weekly-:7",
        "5h:7",
        "24h:7",
        "06h:7",
        "6h-saturday:7",
        "daily@2:30:7",
        "daily@24:00:7",
        "6h@06:00:7",
        "daily@:7",
        "daily:7l",
        "daily:7d+8l",
        "daily:7d+7d",
        "daily:7d+",
        "daily:0d+4w",
        "daily:07d",
        "daily:7D",
        "daily:7x",
        "daily:in30d",
        "daily:1l+in30d",
        "daily:2l+30d+in7d+4w",
        "daily:2l+in030d",
        "daily:65536d",
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
