"""What the extension's bodies and filter may say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.extension import (
    parse_filter,
    read_schedule_request,
    schedule_body,
)
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule

SCHEDULES = st.builds(
    ImageSchedule, st.integers(1, 65535), st.none() | st.sampled_from(DAYS)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def request(retention: Any, **more: Any) -> Any:
    return {"image_schedule": {"retention": retention, **more}}


@given(SCHEDULES)
def test_what_is_answered_can_be_asked_for(schedule: ImageSchedule) -> None:
    assert read_schedule_request(schedule_body(schedule)) == schedule


@given(SCHEDULES, st.sampled_from([str.upper, str.lower, str.title]))
def test_digits_and_days_of_any_case(schedule: ImageSchedule, spell: Any) -> None:
    day = schedule.day_of_week
    more = {} if day is None else {"day_of_week": spell(day)}
    body = request(str(schedule.retention), **more)
    assert read_schedule_request(body) == schedule


@given(
    st.one_of(
        st.integers(max_value=0),
        st.integers(min_value=65536),
        st.floats(),
        st.booleans(),
        st.none(),
        st.lists(st.integers()),
        st.text().filter(lambda t: not (t.isascii() and t.isdigit())),
    )
)
def test_not_a_retention(value: Any) -> None:
    with pytest.raises(InvalidValue, match="a whole number from 1 to 65535, not"):
        read_schedule_request(request(value))


@given(JSON.filter(lambda day: str(day).upper() not in DAYS))
def test_not_a_day(day: Any) -> None:
    with pytest.raises(InvalidValue, match="day_of_week must be one of SUNDAY, MONDAY"):
        read_schedule_request(request(7, day_of_week=day))


@given(JSON)
def test_any_other_body_is_refused(body: Any) -> None:
    with pytest.raises(InvalidValue):
        read_schedule_request(body)


@pytest.mark.parametrize("text", ["True", "true", "TRUE", "1"])
def test_with_a_schedule(text: str) -> None:
    assert parse_filter(text) is True


@pytest.mark.parametrize("text", ["False", "false", "FALSE", "0"])
def test_without_a_schedule(text: str) -> None:
    assert parse_filter(text) is False


@pytest.mark.parametrize("text", ["", "2", "*", "None", "yes", " true"])
def test_any_other_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=rf"Value: {re.escape(text)}\. It must be"):
        parse_filter(text)
