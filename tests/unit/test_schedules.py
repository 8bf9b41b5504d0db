"""Retentions, days of the week, and schedules in answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.schedules.extension import read_schedule
from rax_scheduled_images_ext.errors import InvalidValue, UnexpectedAnswer
from rax_scheduled_images_ext.model.extension import schedule_body
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    ImageSchedule,
    ScheduleSettings,
    parse_day,
    parse_retention,
)


def answer(body: Any, status: int = 200) -> ApiResponse:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(body).encode()
    return ApiResponse("compute", "GET", "/x", response)


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
    assert [ImageSchedule(7).every, ImageSchedule(4, "SATURDAY").every] == [
        "daily",
        "weekly",
    ]


RULES_OF_6H = ImageSchedule(hours=6, at="02:30", keep=Keep(last=8, daily=7))


def test_a_schedule_says_all_of_itself() -> None:
    assert repr(ImageSchedule(7)) == "ImageSchedule(retention=7, day_of_week=None)"
    assert eval(repr(RULES_OF_6H)) == RULES_OF_6H
    number = ImageSchedule(14, hours=12)
    assert repr(number) == "ImageSchedule(retention=14, hours=12)"
    assert ImageSchedule(keep=Keep(last=7)) == ImageSchedule(7)
    assert (RULES_OF_6H.retention, ImageSchedule(7).keep) == (None, Keep(last=7))
    with pytest.raises(ValueError, match="retention 7 is not"):
        ImageSchedule(7, keep=Keep(last=8))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (ImageSchedule(), "no rules: use at least one of"),
        (ImageSchedule(0), "'0' is not a retention"),
        (ImageSchedule(7, hours=5), "'5h' is not an interval: use one of"),
        (ImageSchedule(7, "SUNDAY", hours=6), "both weekly and several times a day"),
        (ImageSchedule(7, at="2:30"), "'2:30' is not a time of day"),
        (ImageSchedule(7, hours=6, at="06:00"), "'06:00' is not the first time"),
        (ImageSchedule(keep=Keep(within_days=3)), "keeping by age requires last=2"),
        (ImageSchedule(keep=Keep(daily=70000)), "'70000' is not a number of images"),
    ],
)
def test_a_schedule_that_cannot_be_is_named(
    schedule: ImageSchedule, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        schedule.checked()


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        (ScheduleSettings(7), RULES_OF_6H, ImageSchedule(7, hours=6, at="02:30")),
        (ScheduleSettings(at="auto"), RULES_OF_6H, replace(RULES_OF_6H, at=None)),
        (ScheduleSettings(at="01:00"), RULES_OF_6H, replace(RULES_OF_6H, at="01:00")),
        # Each keeps one of its times.
        (
            ScheduleSettings(hours=2),
            RULES_OF_6H,
            replace(RULES_OF_6H, hours=2, at="00:30"),
        ),
        (ScheduleSettings(daily=True), RULES_OF_6H, replace(RULES_OF_6H, hours=None)),
        (
            ScheduleSettings(day_of_week="sat"),
            RULES_OF_6H,
            replace(RULES_OF_6H, hours=None, day_of_week="SATURDAY"),
        ),
        (
            ScheduleSettings(within_days=30),
            RULES_OF_6H,
            replace(RULES_OF_6H, keep=Keep(last=8, daily=7, within_days=30)),
        ),
        (
            ScheduleSettings(keep=Keep(last=2, weekly=4)),
            ImageSchedule(keep=Keep(last=3, within_days=5)),
            ImageSchedule(keep=Keep(last=2, weekly=4, within_days=5)),
        ),
        (
            ScheduleSettings(within_days=0),
            ImageSchedule(keep=Keep(last=3, within_days=5)),
            ImageSchedule(3),
        ),
        (ScheduleSettings(keep=Keep(daily=7)), None, ImageSchedule(keep=Keep(daily=7))),
        (ScheduleSettings(hours=6), None, None),
    ],
)
def test_settings_change_what_they_name(
    settings: ScheduleSettings,
    before: ImageSchedule | None,
    after: ImageSchedule | None,
) -> None:
    assert settings.checked().applied_to(before) == after
    if after is not None:
        whole = ScheduleSettings.of(after)
        assert whole.complete
        assert whole.checked().applied_to(before) == after
        assert whole.checked().applied_to(None) == after


@pytest.mark.parametrize(
    "settings",
    [
        ScheduleSettings(),
        ScheduleSettings(7, keep=Keep(daily=7)),
        ScheduleSettings(7, within_days=3),
        ScheduleSettings(daily=True, hours=6),
        ScheduleSettings(day_of_week="sat", hours=6),
        ScheduleSettings(hours=6, at="07:00"),
        ScheduleSettings(within_days=70000),
        ScheduleSettings(within_days=-1),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: ScheduleSettings) -> None:
    with pytest.raises(InvalidValue):
        settings.checked()


def test_settings_that_do_not_fit_are_refused() -> None:
    daily = ImageSchedule(keep=Keep(daily=7))
    with pytest.raises(InvalidValue, match="keeping by age requires last=2"):
        ScheduleSettings(within_days=30).checked().applied_to(daily)
    with pytest.raises(InvalidValue, match="'07:00' is not the first time"):
        ScheduleSettings(at="07:00").checked().applied_to(RULES_OF_6H)


@pytest.mark.parametrize(
    "schedule",
    [
        RULES_OF_6H,
        ImageSchedule(14, hours=12),
        ImageSchedule(7, at="02:30"),
        ImageSchedule(day_of_week="SUNDAY", keep=Keep(weekly=4, yearly=2)),
    ],
)
def test_older_clients_see_the_greatest_number_of_a_schedule_with_rules(
    schedule: ImageSchedule,
) -> None:
    body = schedule_body(schedule)["image_schedule"]
    assert (body["retention"], body["most"]) == (65535, schedule.most)
    assert body.get("day_of_week") == schedule.day_of_week
    assert json.loads(json.dumps(body)) == body
    assert ImageSchedule.from_object(body) == schedule
    with pytest.raises(ValueError, match="not a schedule: 'x' is not an interval"):
        ImageSchedule.from_object({**body, "every": "x"})


@pytest.mark.parametrize("shown", [None, True, 5, "daily", [], ["every"], {}, [[]]])
def test_what_is_no_object_is_no_schedule(shown: object) -> None:
    """Nor is it an error of any other kind: a list of servers goes on."""
    with pytest.raises(ValueError, match=r"that is not a JSON object|without a 'ret"):
        ImageSchedule.from_object(shown)
