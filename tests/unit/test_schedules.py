"""Retentions, days of the week, and schedules in answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.schedules.extension import read_schedule
from rax_scheduled_images_ext.errors import InvalidValue, UnexpectedAnswer
from rax_scheduled_images_ext.model.extension import schedule_body
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    ImageSchedule,
    parse_day,
    parse_retention,
)


def answer(body: Any, status: int = 200) -> ApiResponse:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(body).encode()
    return ApiResponse("compute", "GET", "/x", response, body)


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("7", 7), ("65535", 65535), ("007", 7)]
)
def test_a_retention_is_a_number_of_images(text: str, number: int) -> None:
    assert parse_retention(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "00",
        "-1",
        "65536",
        "1.5",
        "abc",
        "",
        " 7",
        "7 ",
        "+7",
        "1_0",
        "७",
        "9" * 5000,
    ],
)
def test_any_other_retention_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidValue) as told:
        parse_retention(text)
    assert str(told.value) == (
        f"'{text}' is not a retention: a whole number from 1 to 65535"
    )


@pytest.mark.parametrize("day", DAYS)
def test_a_day_has_any_case_and_may_be_cut_to_three_letters(day: str) -> None:
    for text in (day, day.lower(), day.title(), day[:3], day[:3].lower()):
        assert parse_day(text) == day


def test_a_day_may_be_cut_as_short_as_it_is_the_only_one() -> None:
    days = [parse_day(text) for text in ("su", "m", "tu", "W", "th", "f", "sa")]
    assert days == list(DAYS)


@pytest.mark.parametrize(
    ("text", "both"), [("s", "sunday or saturday"), ("T", "tuesday or thursday")]
)
def test_an_ambiguous_day_is_refused(text: str, both: str) -> None:
    with pytest.raises(InvalidValue, match=f"^'{text}' is ambiguous: {both}$"):
        parse_day(text)


@pytest.mark.parametrize(
    "text", ["", "someday", "0", "saturdays", " sat", "\u017fat", "sat,sun"]
)
def test_any_other_day_is_refused_with_the_days_there_are(text: str) -> None:
    with pytest.raises(InvalidValue) as told:
        parse_day(text)
    assert str(told.value) == (
        f"'{text}' is not a day of the week: use one of sunday, monday, tuesday,"
        " wednesday, thursday, friday, saturday"
    )


@pytest.mark.parametrize(
    ("part", "schedule"),
    [
        ({"retention": 7}, ImageSchedule(7)),
        ({"retention": "7"}, ImageSchedule(7)),
        ({"retention": 4, "day_of_week": None}, ImageSchedule(4)),
        ({"retention": 4, "day_of_week": "saturday"}, ImageSchedule(4, "SATURDAY")),
        (
            {"retention": 4, "day_of_week": "SATURDAY", "new": 1},
            ImageSchedule(4, "SATURDAY"),
        ),
    ],
)
def test_an_answer_is_read(part: dict[str, Any], schedule: ImageSchedule) -> None:
    assert read_schedule(answer({"image_schedule": part})) == schedule


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"image_schedule": None},
        {"image_schedule": [7]},
        {"image_schedule": {}},
        {"image_schedule": {"retention": None}},
        {"image_schedule": {"retention": True}},
        {"image_schedule": {"retention": 1.5}},
        {"image_schedule": {"retention": -1}},
        {"image_schedule": {"retention": "many"}},
        {"image_schedule": {"retention": 7, "day_of_week": 6}},
        {"image_schedule": {"retention": 7, "day_of_week": ""}},
    ],
)
def test_a_malformed_schedule_in_a_response_is_refused(body: Any) -> None:
    with pytest.raises(UnexpectedAnswer, match="service answered GET /x with 200"):
        read_schedule(answer(body))


def test_a_schedule_is_sent_with_a_day_only_if_it_has_one() -> None:
    assert schedule_body(ImageSchedule(7)) == {"image_schedule": {"retention": 7}}
    assert schedule_body(ImageSchedule(4, "SATURDAY")) == {
        "image_schedule": {"retention": 4, "day_of_week": "SATURDAY"}
    }
    assert [ImageSchedule(7).kind, ImageSchedule(4, "SATURDAY").kind] == [
        "daily",
        "weekly",
    ]
