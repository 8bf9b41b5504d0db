"""Slots of every kind of schedule, and changes from one kind to another."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.freshness import InventoryServer, limit_of
from rax_scheduled_images_ext.model.image import (
    PENDING_KEY,
    SLOT_KEY,
    ServerImage,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.plan import (
    CLOCK_DIFFERENCE,
    Action,
    Cause,
    Known,
    Policy,
    explain,
    plan,
)
from rax_scheduled_images_ext.model.schedule import DAYS, HOURS, ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    WHOLE_DAY,
    Window,
    due_of,
    period_of,
    slots_around,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=timezone.utc)
SERVER = InventoryServer(
    "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6",
    "web1",
    MONDAY - 99 * DAY,
    project_id="ours",
    status="ACTIVE",
)
KINDS = {
    "daily": ImageSchedule(7),
    "daily at": ImageSchedule(7, at="02:30"),
    "weekly": ImageSchedule(7, "SATURDAY"),
    "weekly at": ImageSchedule(7, "WEDNESDAY", at="23:00"),
    "12h": ImageSchedule(7, hours=12),
    "6h": ImageSchedule(7, hours=6),
    "6h at": ImageSchedule(7, hours=6, at="02:30"),
    "1h": ImageSchedule(7, hours=1),
}


@st.composite
def schedules(draw: st.DrawFn) -> ImageSchedule:
    """Draw a schedule of any kind."""
    day = draw(st.one_of(st.none(), st.sampled_from(DAYS)))
    hours = None if day else draw(st.one_of(st.none(), st.sampled_from(HOURS)))
    minute = draw(st.one_of(st.none(), st.integers(0, (hours or 24) * 60 - 1)))
    at = None if minute is None else f"{minute // 60:02}:{minute % 60:02}"
    return ImageSchedule(7, day, hours, at)


IDS = st.uuids().map(str)
TIMES = st.datetimes(
    datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(timezone.utc)
)
WINDOWS = st.builds(Window, st.integers(0, 86399), st.integers(1, 86400))


def image(schedule: ImageSchedule, created: datetime, window: Window) -> ServerImage:
    """The image that a run makes now."""
    slot = slots_around(SERVER.id, schedule, created, window)[0]
    weekly = schedule.day_of_week is not None
    stamp = created.timestamp()
    return ServerImage(
        id=str(uuid.uuid4()),
        name=scheduled_image_name("web1", weekly=weekly, now=stamp),
        status="ACTIVE",
        created=created,
        server_id=SERVER.id,
        owner="ours",
        metadata=run_metadata(SERVER.id, slot.name, uuid.uuid4().hex),
    )


def settled(image: ServerImage) -> ServerImage:
    metadata = {k: v for k, v in image.metadata.items() if k != PENDING_KEY}
    return replace(image, metadata=metadata)


@given(IDS, schedules(), TIMES, WINDOWS)
def test_slots_of_every_kind(
    server_id: str, schedule: ImageSchedule, now: datetime, window: Window
) -> None:
    latest, following = slots_around(server_id, schedule, now, window)
    assert latest.due <= now < following.due
    assert following.due - latest.due == schedule.interval
    assert latest.name < following.name
    for slot in (latest, following):
        # The name alone says when it was due.
        assert due_of(slot.name, server_id, window) == slot.due
        assert slots_around(server_id, schedule, slot.due, window)[0] == slot
        if schedule.day_of_week:
            assert DAYS[slot.due.isoweekday() % 7] == schedule.day_of_week
        if schedule.at:
            hours = schedule.hours or 24
            assert f"{slot.due.hour % hours:02}:{slot.due:%M}" == schedule.at
            assert slot.due.second == 0


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("daily", "2026-01-04"),
        ("daily at", "2026-01-05T0230"),
        ("weekly", "2026-01-03"),
        ("weekly at", "2025-12-31T2300"),
        ("12h", "2026-01-05T00-12h"),
        ("6h", "2026-01-05T06-6h"),
        ("6h at", "2026-01-05T0830-6h"),
        ("1h", "2026-01-05T11-1h"),
    ],
)
def test_the_name_of_a_slot(kind: str, name: str) -> None:
    noon = MONDAY + 12 * HOUR
    slot, _ = slots_around(SERVER.id, KINDS[kind], noon, WHOLE_DAY)
    assert slot.name == name
    made = image(KINDS[kind], noon, WHOLE_DAY)
    assert made.metadata[SLOT_KEY] == name
    assert period_of(made) == KINDS[kind].interval


@pytest.mark.parametrize(
    "name",
    ["", "x", "2026-13-01", "2026-01-05T25", "2026-01-05T0260", "2026-01-05T06-"],
)
def test_what_is_no_name_of_a_slot(name: str) -> None:
    assert due_of(name, SERVER.id, WHOLE_DAY) is None


@pytest.mark.parametrize("hours", HOURS)
def test_servers_are_spread_over_the_hours(hours: int) -> None:
    schedule = ImageSchedule(7, hours=hours)
    ids = [str(uuid.UUID(int=number)) for number in range(2000)]
    dues = [slots_around(i, schedule, MONDAY, WHOLE_DAY)[1].due for i in ids]
    halves = [due - MONDAY < schedule.interval / 2 for due in dues]
    assert 900 < sum(halves) < 1100


@pytest.mark.parametrize("kind", KINDS)
def test_the_window_holds_for_the_servers_own_hour_only(kind: str) -> None:
    """The first image of a server that got its schedule after the window was over."""
    schedule, night = KINDS[kind], Window(1 * 3600, 3600)
    server = replace(SERVER, schedule=schedule)
    slot, _ = slots_around(SERVER.id, schedule, MONDAY + 3 * DAY, night)
    late = slot.due + min(schedule.interval, 4 * HOUR) - MINUTE
    step = plan(server, [], late, Policy(night))
    held = kind in ("daily", "weekly")
    assert step.action is (Action.NOTHING if held else Action.MAKE)


@pytest.mark.parametrize("hours", HOURS)
def test_tries_and_delays_fit_between_two_images(hours: int) -> None:
    schedule = ImageSchedule(7, hours=hours)
    policy = Policy().fitted(schedule)
    assert policy.interval == min(HOUR, schedule.interval / 3)
    assert policy.max_delay == min(12 * HOUR, schedule.interval)
    assert policy.attempts * policy.interval <= schedule.interval
    assert Policy().fitted(ImageSchedule(7)) == Policy()


def made_in_time(
    changes: dict[datetime, ImageSchedule], end: datetime, window: Window
) -> Iterator[ServerImage]:
    """Make images whenever they are due, by the schedule that holds at the time."""
    images: list[ServerImage] = []
    moments = sorted(changes)
    now = moments[0]
    while now < end:
        schedule = changes[max(each for each in moments if each <= now)]
        server = replace(SERVER, schedule=schedule)
        step = plan(server, images, now, Policy(window), since=moments[0])
        known = None
        if images and images[-1].created:
            made = images[-1].created
            name = images[-1].metadata[SLOT_KEY]
            known = Known(made, name, period_of(images[-1]), made)
        hint = plan(server, [], now, Policy(window), since=moments[0], known=known)
        # What is only known and what is read agree.
        assert (hint.action, hint.cause) == (step.action, step.cause)
        if step.action is Action.MAKE:
            images.append(settled(image(schedule, now, window)))
            yield images[-1]
        assert step.action in (Action.MAKE, Action.NOTHING)
        following = slots_around(SERVER.id, schedule, now, window)[1].due
        now = min(each for each in (following, *moments) if each > now)


@pytest.mark.parametrize(("before", "after"), [*permutations(KINDS, 2)])
def test_a_change_leaves_no_gap_and_makes_no_surplus(before: str, after: str) -> None:
    check_changes(before, after, range(0, 168, 13))


def check_changes(before: str, after: str, hours: Iterable[int]) -> None:
    """See what a change at each of these hours of a week does."""
    one, other = KINDS[before], KINDS[after]
    longer = max(one.interval, other.interval)
    for hour in hours:
        change = MONDAY + hour * HOUR + 17 * MINUTE
        begin = slots_around(SERVER.id, one, change - one.interval, WHOLE_DAY)[0].due
        changes = {begin: one, change: other}
        end = change + 2 * other.interval
        images = list(made_in_time(changes, end, WHOLE_DAY))
        made = [each.created for each in images if each.created]
        gaps = [later - earlier for earlier, later in pairwise(made)]
        assert max(gaps) <= longer + CLOCK_DIFFERENCE, (change, made)
        names = [each.metadata[SLOT_KEY] for each in images]
        assert len(names) == len(set(names)), names
        # Each slot has one image, and the change itself at most one.
        late = [each for each in made if each >= change]
        assert len(late) <= 3, (change, made)


@given(st.integers(0, 24 * 60), st.integers(0, 23), st.integers(0, 23))
def test_moving_the_window_at_any_hour_leaves_no_gap(
    minutes: int, start: int, later: int
) -> None:
    schedule, images = replace(SERVER, schedule=ImageSchedule(7)), list[ServerImage]()
    moved = MONDAY + 2 * DAY + minutes * MINUTE
    windows = [Window(start * 3600, 3600), Window(later * 3600, 3600)]
    now = MONDAY
    while now < MONDAY + 6 * DAY:
        window = windows[now >= moved]
        step = plan(schedule, images, now, Policy(window), since=MONDAY)
        if step.action is Action.MAKE:
            images.append(settled(image(ImageSchedule(7), now, window)))
        # Neither is taken for a duplicate.
        assert step.action in (Action.MAKE, Action.NOTHING)
        now += 10 * MINUTE
    made = [each.created for each in images if each.created]
    gaps = [later - earlier for earlier, later in pairwise(made)]
    assert max(gaps) <= DAY + HOUR + 20 * MINUTE


@given(schedules(), TIMES, st.integers(-5, 5))
def test_clocks_may_differ(schedule: ImageSchedule, now: datetime, ahead: int) -> None:
    """Another runner's clock may have shown the slot minutes earlier or later."""
    slot, _ = slots_around(SERVER.id, schedule, now, WHOLE_DAY)
    made = settled(image(schedule, slot.due, WHOLE_DAY))
    made = replace(made, created=slot.due + ahead * MINUTE)
    server = replace(SERVER, schedule=schedule, created=slot.due - 99 * DAY)
    for moment in (slot.due, slot.due + 6 * MINUTE):
        step = plan(server, [made], moment, since=slot.due - 90 * DAY)
        assert step.cause is Cause.DONE


def test_a_clock_that_is_wrong_makes_no_second_image() -> None:
    """The image service's clock is half an hour behind."""
    server, schedule = replace(SERVER, schedule=KINDS["daily"]), KINDS["daily"]
    slot, _ = slots_around(SERVER.id, schedule, MONDAY, WHOLE_DAY)
    made = settled(image(schedule, slot.due, WHOLE_DAY))
    made = replace(made, created=slot.due - 30 * MINUTE)
    assert plan(server, [made], slot.due + 2 * HOUR).cause is Cause.DONE
    # The window was moved from the morning to the evening.
    made = replace(made, created=slot.due - 2 * HOUR)
    assert plan(server, [made], slot.due + 2 * HOUR).action is Action.MAKE


def test_a_snapshot_that_is_slower_than_the_interval_is_told() -> None:
    schedule = KINDS["6h"]
    slot, following = slots_around(SERVER.id, schedule, MONDAY, WHOLE_DAY)
    making = replace(image(schedule, slot.due, WHOLE_DAY), status="SAVING")
    busy = replace(SERVER, schedule=schedule, task_state="image_uploading")
    step = plan(busy, [making], following.due)
    assert (step.action, step.cause, step.image) == (Action.NOTHING, Cause.SLOW, making)
    assert f"image {making.id} has been SAVING since" in explain(step)
    assert explain(step).endswith("snapshots take longer than the 6h between two")


def test_what_is_missing_is_missing_since_the_first_one() -> None:
    """A slot of an hourly schedule is over before anybody would call it overdue."""
    server, schedule = replace(SERVER, schedule=KINDS["1h"]), KINDS["1h"]
    slot, _ = slots_around(SERVER.id, schedule, MONDAY, WHOLE_DAY)
    made = settled(image(schedule, slot.due, WHOLE_DAY))
    step = plan(server, [made], slot.due + 3 * HOUR + MINUTE)
    assert (step.action, step.missed) == (Action.MAKE, 2)
    assert step.since == slot.due + HOUR
    told = "2 before it were missed: the service looked less often than every 1h, or"
    assert told in explain(step)
    # Of a daily one the present slot decides.
    server, schedule = replace(SERVER, schedule=KINDS["daily"]), KINDS["daily"]
    slot, _ = slots_around(SERVER.id, schedule, MONDAY, WHOLE_DAY)
    made = settled(image(schedule, slot.due, WHOLE_DAY))
    step = plan(server, [made], slot.due + 3 * DAY + MINUTE)
    assert (step.missed, step.since) == (2, slot.due + 3 * DAY)


@pytest.mark.parametrize(
    ("kind", "max_age", "limit"),
    [
        ("daily", 26 * HOUR, 26 * HOUR),
        ("daily", 12 * HOUR, 12 * HOUR),
        ("weekly", 26 * HOUR, 7 * DAY + 2 * HOUR),
        ("6h", 26 * HOUR, 8 * HOUR),
        ("6h", 12 * HOUR, 6 * HOUR),
        ("1h", 26 * HOUR, 3 * HOUR),
    ],
)
def test_how_old_an_image_may_be(
    kind: str, max_age: timedelta, limit: timedelta
) -> None:
    schedule = KINDS[kind]
    assert limit_of(schedule, None, max_age) == limit
    # The first image of a new schedule may not be due yet.
    weekly = image(KINDS["weekly"], MONDAY, WHOLE_DAY)
    assert limit_of(schedule, weekly, 26 * HOUR) == 7 * DAY + 2 * HOUR
