"""The laws of freshness."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.freshness import (
    InventoryServer,
    State,
    limit_of,
    schedule_status,
)
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    OWN_KEY,
    PENDING,
    PENDING_KEY,
    RUN_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.retention import Rules, apply_policy
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MAX_AGE = timedelta(hours=26)
OLD = NOW - timedelta(days=100)
HOUR = timedelta(hours=1)
MARKED = {MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT}
DAILY, WEEKLY = ImageSchedule(3), ImageSchedule(3, "SATURDAY")


def server(schedule: ImageSchedule | None = DAILY, **fields: Any) -> InventoryServer:
    return InventoryServer(
        "mine",
        "web",
        **{"created": OLD, "schedule": schedule, "project_id": "ours", **fields},
    )


def image(age: timedelta, **fields: Any) -> ServerImage:
    made = NOW - age
    plain: dict[str, Any] = {
        "id": f"image {age}",
        "name": f"Daily-web-{int(made.timestamp())}",
        "status": "ACTIVE",
        "created": made,
        "server_id": "mine",
        "owner": "ours",
        "metadata": MARKED,
    }
    return ServerImage(**{**plain, **fields})


schedules = st.builds(
    ImageSchedule, st.integers(1, 9), st.sampled_from([None, None, *DAYS])
)
images = st.lists(
    st.builds(
        lambda hours, **fields: image(hours * HOUR, **fields),
        st.integers(0, 400),
        status=st.sampled_from(["ACTIVE"] * 4 + ["SAVING", "ERROR"]),
        metadata=st.sampled_from([MARKED, MARKED, {}, {MARKER_KEY: "somebody"}]),
        name=st.sampled_from(["Daily-web-1767541140", "Weekly-web-1767541140", "mine"]),
    ),
    max_size=12,
    unique_by=lambda each: each.id,
)


@given(images, schedules, st.randoms())
def test_the_order_of_the_images_is_irrelevant(
    found: list[ServerImage], schedule: ImageSchedule, chance: Any
) -> None:
    mixed = chance.sample(found, len(found))
    assert schedule_status(server(schedule), found, NOW, MAX_AGE) == schedule_status(
        server(schedule), mixed, NOW, MAX_AGE
    )


@given(images, schedules)
def test_the_counting_is_that_of_the_retention(
    found: list[ServerImage], schedule: ImageSchedule
) -> None:
    told = schedule_status(server(schedule), found, NOW, MAX_AGE)
    decisions = apply_policy(found, "mine", schedule.retention, "ours")
    assert told.counted == sum(decision.counted for decision in decisions)
    # With one image more, exactly these would be over.
    one_more = [*found, image(timedelta(0), id="the next")]
    after = apply_policy(one_more, "mine", schedule.retention, "ours")
    assert {i.id for i in told.expires_next} == {v.image.id for v in after if v.surplus}


@given(images, schedules, st.integers(1, 200))
def test_a_fresh_image_is_never_called_late(
    found: list[ServerImage], schedule: ImageSchedule, hours: int
) -> None:
    limit = hours * HOUR
    told = schedule_status(server(schedule), found, NOW, limit)
    fresh = [i for i in found if i.status == "ACTIVE" and i.scheduled]
    fresh = [i for i in fresh if i.created and NOW - i.created <= limit]
    if fresh:
        assert (told.state, told.stale) == (State.OK, False)


@given(images, schedules)
def test_what_is_late_has_an_image_that_is_too_old(
    found: list[ServerImage], schedule: ImageSchedule
) -> None:
    told = schedule_status(server(schedule), found, NOW, MAX_AGE)
    if told.state is State.LATE:
        assert told.newest
        assert told.newest.created
        assert NOW - told.newest.created > MAX_AGE
        assert told.stale
    if told.state is State.NEVER:
        assert told.counted == 0


@given(images, schedules)
def test_without_a_schedule_or_an_answer_nothing_is_stale(
    found: list[ServerImage], schedule: ImageSchedule
) -> None:
    off = schedule_status(server(None), found, NOW, MAX_AGE)
    assert (off.state, off.stale, off.expires_next) == (State.OFF, False, ())
    unread = replace(server(None), problem=OSError("no answer"))
    assert schedule_status(unread, found, NOW, MAX_AGE).state is State.UNKNOWN
    assert not schedule_status(unread, found, NOW, MAX_AGE).stale


@pytest.mark.parametrize(
    ("schedule", "age", "state"),
    [
        (DAILY, 26 * HOUR, State.OK),
        (DAILY, 27 * HOUR, State.LATE),
        (WEEKLY, 27 * HOUR, State.OK),
        (WEEKLY, (7 * 24 + 2) * HOUR, State.OK),
        (WEEKLY, (7 * 24 + 3) * HOUR, State.LATE),
    ],
)
def test_weekly_ones_have_a_week_and_the_same_grace(
    schedule: ImageSchedule, age: timedelta, state: State
) -> None:
    assert schedule_status(server(schedule), [image(age)], NOW, MAX_AGE).state is state


def test_a_schedule_that_was_weekly_is_given_its_week() -> None:
    weekly = image(100 * HOUR, name="Weekly-web-1767541140")
    assert schedule_status(server(DAILY), [weekly], NOW, MAX_AGE).state is State.OK
    assert limit_of(DAILY, weekly, MAX_AGE) == MAX_AGE + timedelta(days=6)


def test_an_image_that_is_kept_for_good_shows_that_images_are_made() -> None:
    kept = image(2 * HOUR, metadata={})
    told = schedule_status(server(), [kept, image(30 * HOUR)], NOW, MAX_AGE)
    assert (told.state, told.newest, told.counted, told.kept) == (State.OK, kept, 1, 1)
    # One's own snapshot does not.
    manual = replace(kept, name="before the upgrade")
    told = schedule_status(server(), [manual, image(30 * HOUR)], NOW, MAX_AGE)
    assert (told.state, told.kept) == (State.LATE, 1)


@pytest.mark.parametrize(
    ("created", "schedule", "stale"),
    [
        (OLD, DAILY, True),
        (NOW - 3 * HOUR, DAILY, False),
        (NOW - 100 * HOUR, WEEKLY, False),
        (NOW - 200 * HOUR, WEEKLY, True),
    ],
)
def test_no_image_of_a_young_server_is_due(
    created: datetime, schedule: ImageSchedule, stale: bool
) -> None:
    told = schedule_status(server(schedule, created=created), [], NOW, MAX_AGE)
    assert (told.state, told.stale) == (State.NEVER, stale)


def test_a_first_image_that_is_being_made_is_not_late() -> None:
    saving = image(HOUR, status="SAVING")
    told = schedule_status(server(), [saving], NOW, MAX_AGE)
    assert (told.state, told.stale, told.newest) == (State.NEVER, False, None)
    stuck = image(50 * HOUR, status="SAVING")
    assert schedule_status(server(), [stuck], NOW, MAX_AGE).stale


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {**MARKED, PENDING_KEY: PENDING}},
        {"size": 0},
        {"hidden": True},
        {"metadata": {**MARKED, TYPE_KEY: "backup"}},
        {"metadata": {**MARKED, RUN_KEY: "mine:1", OWN_KEY: "another:1"}},
        # Somebody has taken the marker away.
        {"metadata": {TYPE_KEY: SNAPSHOT, PENDING_KEY: PENDING}},
        {"metadata": {TYPE_KEY: SNAPSHOT}, "size": 0},
        {"metadata": {RUN_KEY: "mine:1", OWN_KEY: "another:1"}},
    ],
)
def test_an_uncounted_image_is_not_fresh(fields: dict[str, Any]) -> None:
    young, old = image(HOUR, **fields), image(30 * HOUR)
    told = schedule_status(server(), [young, old], NOW, MAX_AGE)
    assert (told.state, told.newest, told.counted) == (State.LATE, old, 1)
    rackspaces = server(rules=Rules.RACKSPACE)
    assert schedule_status(rackspaces, [young, old], NOW, MAX_AGE).newest == young


def test_a_first_image_that_is_not_yet_known_to_be_whole_is_not_late() -> None:
    pending = {"metadata": {**MARKED, PENDING_KEY: PENDING}}
    told = schedule_status(server(), [image(HOUR, **pending)], NOW, MAX_AGE)
    assert (told.state, told.stale, told.newest) == (State.NEVER, False, None)
    assert schedule_status(server(), [image(50 * HOUR, **pending)], NOW, MAX_AGE).stale


@given(
    schedules,
    st.datetimes(
        datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(timezone.utc)
    ),
    st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_the_next_image_is_due_at_the_time_of_the_last(
    schedule: ImageSchedule, last: datetime, passed: timedelta
) -> None:
    now = last + passed
    due = schedule.next_due(last, now)
    assert due > now
    assert due.timetz() == last.timetz()
    assert due - now <= timedelta(days=7 if schedule.day_of_week else 1)
    if schedule.day_of_week:
        assert due.strftime("%A").upper() == schedule.day_of_week
