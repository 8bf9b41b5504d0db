"""What is to be done for a server: slots, and the decision for each state of things."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import (
    PENDING_KEY,
    SLOT_KEY,
    ServerImage,
    run_metadata,
)
from rax_scheduled_images_ext.model.note import Refusal, new_note
from rax_scheduled_images_ext.model.plan import (
    Action,
    Cause,
    Known,
    Policy,
    Step,
    explain,
    plan,
)
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    Slot,
    Window,
    next_slot,
    parse_window,
    slots_around,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
SERVER = InventoryServer(
    "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6",
    "web1",
    NOW - 30 * DAY,
    ImageSchedule(7),
    project_id="ours",
    status="ACTIVE",
)
# When the server's image of the day is due.
DUE = slots_around(SERVER.id, ImageSchedule(7), NOW, Window())[0].due

SCHEDULES = st.builds(
    ImageSchedule, st.integers(1, 65535), st.one_of(st.none(), st.sampled_from(DAYS))
)
WINDOWS = st.builds(Window, st.integers(0, 86399), st.integers(1, 86400))
IDS = st.uuids().map(str)
TIMES = st.datetimes(
    datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(timezone.utc)
)


def image(slot: Slot, **changes: Any) -> ServerImage:
    """An image that a run has made for a slot, without what is changed."""
    values = {
        "id": str(uuid.uuid4()),
        "name": "Daily-web1-1767225600",
        "status": "ACTIVE",
        "created": slot.due,
        "server_id": SERVER.id,
        "owner": "ours",
        "metadata": run_metadata(SERVER.id, slot.name, uuid.uuid4().hex),
    }
    return ServerImage(**{**values, **changes})


def decided(
    now: datetime, *images: ServerImage, server: InventoryServer = SERVER, **more: Any
) -> Step:
    return plan(server, images, now, **more)


def slot_of(now: datetime) -> Slot:
    return slots_around(SERVER.id, ImageSchedule(7), now, Window())[0]


# -- slots


@given(IDS, SCHEDULES, TIMES, WINDOWS)
def test_the_slots_are_those_before_and_after_now(
    server_id: str, schedule: ImageSchedule, now: datetime, window: Window
) -> None:
    latest = slots_around(server_id, schedule, now, window)[0]
    following = next_slot(server_id, schedule, now, window)
    assert latest.due <= now < following.due
    period = DAY if schedule.day_of_week is None else 7 * DAY
    assert following.due - latest.due == period
    for slot in (latest, following):
        assert slot.due.date().isoformat() == slot.name
        if schedule.day_of_week:
            assert DAYS[slot.due.isoweekday() % 7] == schedule.day_of_week
        midnight = slot.due.replace(hour=0, minute=0, second=0)
        passed = (slot.due - midnight).total_seconds() - window.start
        assert passed % 86400 < window.length


def test_servers_are_spread_evenly_over_the_window() -> None:
    window = parse_window("22:00-06:00")
    ids = [str(uuid.UUID(int=number)) for number in range(8000)]
    hours = Counter(window.second_of_day(server_id) // 3600 for server_id in ids)
    assert sorted(hours) == [0, 1, 2, 3, 4, 5, 22, 23]
    assert all(850 < number < 1150 for number in hours.values())


def test_the_letter_case_of_an_id_does_not_matter() -> None:
    assert Window().second_of_day(SERVER.id.upper()) == Window().second_of_day(
        SERVER.id
    )


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [("22:00-06:00", 79200, 28800), ("00:00-00:01", 0, 60), ("23:59-00:00", 86340, 60)],
)
def test_a_window(text: str, start: int, length: int) -> None:
    assert parse_window(text) == Window(start, length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "22-6",
        "22:00",
        "24:00-06:00",
        "22:60-23:00",
        "06:00-06:00",
        "\u0662\u0662:00-23:00",
    ],
)
def test_not_a_window(text: str) -> None:
    with pytest.raises(InvalidValue, match="two different UTC times of day"):
        parse_window(text)


# -- decisions


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"schedule": None}, Cause.NO_SCHEDULE),
        ({"schedule": None, "invalid_tag": "x"}, Cause.INVALID),
        ({"schedule": None, "problem": OSError()}, Cause.UNKNOWN),
        ({"task_state": "rebuilding"}, Cause.BUSY),
        ({"status": "ERROR"}, Cause.STATUS),
        ({"status": "SHELVED_OFFLOADED"}, Cause.STATUS),
        ({"status": "VERIFY_RESIZE"}, Cause.STATUS),
        ({"status": "BUILD"}, Cause.STATUS),
        ({"created": DUE + MINUTE}, Cause.NOT_DUE),
    ],
)
def test_servers_that_are_not_imaged(changes: dict[str, Any], cause: Cause) -> None:
    step = decided(DUE + HOUR, server=replace(SERVER, **changes))
    assert (step.action, step.cause) == (Action.NOTHING, cause)


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"])
def test_a_server_that_is_imaged(status: str) -> None:
    step = decided(DUE, server=replace(SERVER, status=status))
    assert (step.action, step.cause, step.attempt) == (Action.MAKE, Cause.DUE, 0)
    assert step.slot == slot_of(DUE)
    assert step.next_slot
    assert step.next_slot.due == DUE + DAY


@pytest.mark.parametrize(
    ("late", "cause", "attempt"),
    [
        (59 * MINUTE, Cause.DUE, 0),
        (HOUR, Cause.DUE, 1),
        (12 * HOUR, Cause.DUE, 12),
        (12 * HOUR + MINUTE, Cause.MISSED, 12),
    ],
)
def test_a_missed_image_is_made_for_half_a_day(
    late: timedelta, cause: Cause, attempt: int
) -> None:
    before = slot_of(DUE - 2 * DAY)
    step = decided(DUE + late, known=Known(before.due))
    assert (step.cause, step.attempt) == (cause, attempt)


def test_a_server_without_any_image_has_missed_none() -> None:
    """Nobody knows since when it has its schedule."""
    step = decided(DUE + 12 * HOUR + MINUTE)
    assert (step.action, step.cause) == (Action.NOTHING, Cause.NOT_DUE)


def test_a_window_holds_for_the_first_image() -> None:
    """A server may have got its schedule after the window was over."""
    window = Window(DUE.hour * 3600, 2 * 3600)
    due = slots_around(SERVER.id, ImageSchedule(7), NOW, window)[0].due
    policy = Policy(window)
    later = due + 3 * HOUR
    assert decided(later, policy=policy).cause is Cause.NOT_DUE
    assert decided(due, policy=policy).action is Action.MAKE
    # Its time may be the window's last minute, which no look hits.
    narrow = Policy(Window(window.start, 60))
    last = slots_around(SERVER.id, ImageSchedule(7), NOW, narrow.window)[0].due
    assert decided(last + 5 * MINUTE, policy=narrow).action is Action.MAKE
    # Who had an image before gets the next one as soon as a service is there again.
    before = image(slot_of(due - DAY))
    assert decided(later, before, policy=policy).action is Action.MAKE


def test_moving_the_window_to_an_earlier_hour_skips_no_slot() -> None:
    """The slot of the day was not due yet: it is not late for what the new one says."""
    late, early = Window(22 * 3600, 3600), Window(3 * 3600, 3600)
    last = slots_around(SERVER.id, ImageSchedule(7), NOW, late)[0]
    now = last.due + 19 * HOUR
    assert (
        slots_around(SERVER.id, ImageSchedule(7), now, early)[0].due < now - 12 * HOUR
    )
    step = decided(now, image(last), policy=Policy(early))
    assert (step.action, step.slot and step.slot.name) == (Action.MAKE, str(now.date()))


def test_moving_the_window_to_a_later_hour_makes_no_second_image() -> None:
    """The slot of the day before is the latest one again, and its image is gone."""
    late, early = Window(22 * 3600, 3600), Window(3 * 3600, 3600)
    slot = slots_around(SERVER.id, ImageSchedule(1), NOW, early)[0]
    before = slots_around(SERVER.id, ImageSchedule(1), NOW, late)[0]
    assert before.name < slot.name
    step = decided(NOW, image(slot), policy=Policy(late))
    assert step.cause is Cause.ACTIVE
    known = Known(slot.due)
    assert decided(NOW, policy=Policy(late), known=known).cause is Cause.DONE


def test_what_is_known_to_be_made_is_not_made_again() -> None:
    assert decided(DUE, known=Known(DUE)).cause is Cause.DONE
    older = Known(DUE - DAY)
    assert decided(DUE, known=older).action is Action.MAKE
    assert decided(DUE + 13 * HOUR, known=older).cause is Cause.MISSED


REFUSED = new_note(
    None, slot_of(DUE).name, Refusal.BUSY, 0, frozenset({0}), 1, DUE, "Cannot"
)


def test_a_refusal_is_waited_for() -> None:
    step = decided(DUE, notes=[REFUSED])
    assert (step.action, step.cause, step.note) == (
        Action.NOTHING,
        Cause.REFUSED,
        REFUSED,
    )
    assert "Cannot" in explain(step)
    again = decided(REFUSED.again, notes=[REFUSED])
    assert (again.action, again.note) == (Action.MAKE, REFUSED)
    # The next slot's image has nothing to do with it.
    assert decided(DUE + DAY, notes=[REFUSED]).note is None


def test_all_tries_that_are_used_end_a_slot() -> None:
    used_up = replace(REFUSED, kind=Refusal.USED_UP)
    step = decided(DUE + 9 * HOUR, notes=[used_up])
    assert (step.action, step.cause) == (Action.NOTHING, Cause.GIVEN_UP)


def test_an_image_that_hangs() -> None:
    """It is not known to be lost, so its slot is not made again; the next one is."""
    hanging = image(slot_of(DUE), status="SAVING")
    step = decided(DUE + 7 * HOUR, hanging)
    assert (step.action, step.cause) == (Action.NOTHING, Cause.HANGS)
    following = decided(DUE + DAY, hanging)
    assert (following.action, following.hanging) == (Action.MAKE, (hanging,))
    assert hanging.id in explain(following)


def test_all_images_that_are_not_proven_are_looked_at() -> None:
    older, newer = image(slot_of(DUE - DAY)), image(slot_of(DUE))
    step = decided(DUE + HOUR, newer, older)
    assert (step.action, step.unsettled) == (Action.RETAIN, (older, newer))
    # What is due comes first.
    step = decided(DUE, older)
    assert (step.action, step.unsettled) == (Action.MAKE, (older,))


def test_a_copy_is_not_an_image_of_the_slot() -> None:
    """A snapshot by hand of a server that was rebuilt to its own scheduled image."""
    slot = slot_of(DUE)
    original = image(slot, created=DUE - DAY)
    original = replace(original, metadata={**original.metadata, SLOT_KEY: "2026-01-01"})
    copy = replace(original, id=str(uuid.uuid4()), created=DUE)
    step = decided(DUE + MINUTE, original, copy)
    assert step.unsettled == (original,)


def test_what_was_due_before_the_schedule_is_not_made_up_for() -> None:
    step = decided(DUE + HOUR, since=DUE + MINUTE)
    assert (step.action, step.cause) == (Action.NOTHING, Cause.NOT_DUE)


def test_an_image_of_the_slot_is_enough() -> None:
    slot = slot_of(DUE)
    active = image(slot)
    step = decided(DUE + HOUR, active)
    assert (step.action, step.cause, step.image) == (
        Action.RETAIN,
        Cause.ACTIVE,
        active,
    )
    metadata = dict(active.metadata)
    del metadata[PENDING_KEY]
    done = replace(active, metadata=metadata)
    making = image(slot, status="SAVING")
    assert decided(DUE + HOUR, making, done).cause is Cause.DONE
    assert decided(DUE + HOUR, making).cause is Cause.UNDER_WAY
    # Somebody has taken the marker away to keep the image: the slot has had its own.
    kept = replace(done, metadata={k: v for k, v in metadata.items() if "org" not in k})
    assert decided(DUE + HOUR, kept).cause is Cause.DONE


@pytest.mark.parametrize("status", ["ERROR", "DELETED"])
def test_a_failed_image_is_made_again(status: str) -> None:
    step = decided(DUE + HOUR, image(slot_of(DUE), status=status))
    assert (step.action, step.attempt) == (Action.MAKE, 1)


@pytest.mark.parametrize("status", ["UNKNOWN", "DEACTIVATED"])
def test_what_is_not_understood_is_left_alone(status: str) -> None:
    step = decided(DUE + HOUR, image(slot_of(DUE), status=status))
    assert (step.action, step.cause) == (Action.NOTHING, Cause.UNKNOWN_IMAGE)


def test_an_image_of_a_lost_race_is_discarded() -> None:
    queued = image(slot_of(DUE), status="SAVING", is_queued=True)
    soon, later = DUE + 9 * MINUTE, DUE + 11 * MINUTE
    assert decided(soon, queued).cause is Cause.UNDER_WAY
    step = decided(later, queued)
    assert (step.action, step.image) == (Action.DISCARD, queued)
    busy = replace(SERVER, task_state="image_snapshot")
    assert decided(later, queued, server=busy).cause is Cause.UNDER_WAY
    saving = replace(queued, is_queued=False)
    assert decided(later, saving).cause is Cause.UNDER_WAY


OTHER = "11111111-1111-4111-8111-111111111111"


@pytest.mark.parametrize(
    "changes",
    [
        # An older slot's.
        {"created": DUE - 2 * HOUR},
        # A snapshot by hand of a server that was booted from another's image.
        {"metadata": run_metadata(OTHER, slot_of(DUE).name, "nonce")},
        # Another server's.
        {"server_id": OTHER},
        # Anybody can publish an image that looks so.
        {"owner": "theirs"},
        {"owner": None},
        {"metadata": {}},
    ],
)
def test_images_that_are_not_the_slots(changes: dict[str, Any]) -> None:
    other = image(slot_of(DUE), **changes)
    assert decided(DUE, other).action is Action.MAKE


@pytest.mark.parametrize(
    ("days", "schedule", "missed"),
    [
        ([], ImageSchedule(7), 0),
        ([1], ImageSchedule(7), 0),
        ([9, 4], ImageSchedule(7), 3),
        ([14], ImageSchedule(7, "MONDAY"), 1),
        ([3, 2], ImageSchedule(7, "MONDAY"), 0),
    ],
)
def test_what_was_missed_is_counted(
    days: list[int], schedule: ImageSchedule, missed: int
) -> None:
    server = replace(SERVER, schedule=schedule)
    name = "Weekly-web1-1767225600" if schedule.day_of_week else "Daily-web1-1767225600"
    due = slots_around(SERVER.id, schedule, NOW, Window())[0].due
    images = [
        image(Slot(str((due - n * DAY).date()), due - n * DAY), name=name) for n in days
    ]
    step = decided(due, *images, server=server)
    assert (step.action, step.missed) == (Action.MAKE, missed)


def test_what_was_missed_before_a_schedule_turned_daily_is_unknown() -> None:
    old = image(slot_of(DUE - 5 * DAY), name="Weekly-web1-1767225600")
    assert decided(DUE, old).missed == 0


@given(st.lists(st.integers(0, 48 * 60), max_size=20), SCHEDULES)
def test_missed_images_collapse_into_one(
    minutes: list[int], schedule: ImageSchedule
) -> None:
    """However seldom one looks, no slot gets two images, and none is made too late."""
    server = replace(SERVER, schedule=schedule)
    images: list[ServerImage] = []
    made: list[Slot] = []
    now = DUE
    for pause in minutes:
        now += pause * MINUTE
        step = plan(server, images, now, Policy())
        assert step.slot
        if step.action is Action.MAKE:
            period = 7 * DAY if schedule.day_of_week else DAY
            last = max((i.created + period for i in images if i.created), default=now)
            assert step.slot.due <= now <= max(step.slot.due, last) + 12 * HOUR
            images.append(image(step.slot, created=now))
            made.append(step.slot)
        elif step.slot not in made:
            assert step.cause is (Cause.MISSED if images else Cause.NOT_DUE)
        else:
            assert (step.action, step.cause) == (Action.RETAIN, Cause.ACTIVE)
    slots = [image.metadata["scheduled_images_slot"] for image in images]
    assert len(slots) == len(set(slots))
