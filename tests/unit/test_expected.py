"""By when the image of a server is expected."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.plan import Known, Policy, plan
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    slots_around,
)
from rax_scheduled_images_ext.service.expected import Expectations

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAILY, WEEKLY = ImageSchedule(3), ImageSchedule(3, "SUNDAY")
SERVER = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
POLICY = Policy()
# The server's first slot.
FIRST = slots_around(
    SERVER, WEEKLY, datetime(2026, 1, 15, tzinfo=timezone.utc), POLICY.window
)[1]


class Fleet:
    """One server, at which a service looks every hour."""

    def __init__(self) -> None:
        self.expectations = Expectations()
        self.made: datetime | None = None
        # When the newest image was made, if that is gone.
        self.done: datetime | None = None

    def look(
        self,
        now: datetime,
        schedule: ImageSchedule | None = DAILY,
        status: str = "ACTIVE",
    ) -> datetime | None:
        """Return when the image is expected, None if none is."""
        server = InventoryServer(
            SERVER, "s", schedule=schedule, project_id="p", status=status
        )
        known = Known(self.done) if self.done else None
        if self.made and schedule:
            known = Known(self.made, "", schedule.interval, self.made)
        step = plan(server, [], now, POLICY, known=known)
        newest = {SERVER: self.made} if self.made else {}
        results = [StepResult(step, Result.NOTHING)]
        return self.expectations.update(results, newest, now).get(SERVER)


@pytest.fixture
def fleet() -> Fleet:
    """A service that has looked before the schedule was enabled."""
    fleet = Fleet()
    assert fleet.look(FIRST.due - 3 * DAY, schedule=None) is None
    return fleet


@pytest.mark.parametrize("schedule", [DAILY, WEEKLY])
@pytest.mark.parametrize("before", [HOUR, 11 * HOUR, 20 * HOUR])
def test_a_new_server_is_expected_from_its_first_slot_on(
    fleet: Fleet, schedule: ImageSchedule, before: timedelta
) -> None:
    for hour in range(40):
        now = FIRST.due - before + hour * HOUR
        expected = fleet.look(now, schedule)
        assert expected is not None
        # Twenty hours before, the image of the day before may still be made at once.
        if now >= FIRST.due or before != 20 * HOUR:
            assert expected == FIRST.due


def test_what_is_missing_stays_so_until_an_image_comes(fleet: Fleet) -> None:
    fleet.look(FIRST.due - HOUR)
    for hour in range(100):
        assert fleet.look(FIRST.due + hour * HOUR) == FIRST.due
    fleet.made = FIRST.due + 4 * DAY + HOUR
    assert fleet.look(fleet.made + HOUR) == FIRST.due + 5 * DAY
    assert fleet.look(fleet.made + 3 * DAY) == FIRST.due + 5 * DAY


def test_an_image_that_somebody_deletes_is_not_missing(fleet: Fleet) -> None:
    fleet.look(FIRST.due - HOUR)
    fleet.done = FIRST.due
    assert fleet.look(FIRST.due + 3 * HOUR) == FIRST.due + DAY
    assert fleet.look(FIRST.due + DAY + HOUR) == FIRST.due + DAY


def test_a_restart_knows_by_the_newest_image() -> None:
    fleet = Fleet()
    fleet.made = FIRST.due + HOUR
    assert fleet.look(FIRST.due + 5 * DAY + HOUR) == FIRST.due + DAY


def test_a_slot_that_was_due_before_anybody_looked(fleet: Fleet) -> None:
    """Its image may be made at once, and is not late for that."""
    restarted = Fleet()
    for each in fleet, restarted:
        now = FIRST.due + 3 * HOUR
        assert each.look(now) == now
        # Later none is made any more, and the next one is expected.
        assert each.look(FIRST.due + 14 * HOUR) == FIRST.due + DAY
        assert each.look(FIRST.due + 30 * HOUR) == FIRST.due + DAY


@pytest.mark.parametrize("before", [DAILY, WEEKLY, None])
@pytest.mark.parametrize("after", [DAILY, WEEKLY])
def test_another_schedule_starts_again(
    fleet: Fleet, before: ImageSchedule | None, after: ImageSchedule
) -> None:
    """Also one that was enabled again long after its last image."""
    fleet.made = FIRST.due + HOUR
    fleet.look(FIRST.due + 2 * HOUR, before)
    changed = FIRST.due + 5 * DAY + 14 * HOUR
    expected = fleet.look(changed - HOUR, before)
    late = before == after == DAILY
    expected = fleet.look(changed, after)
    assert expected is not None
    assert (expected > changed) != late


def test_what_only_the_owner_can_change_is_not_expected(fleet: Fleet) -> None:
    fleet.made = FIRST.due + HOUR
    fleet.look(FIRST.due + 2 * HOUR)
    for hour in range(24, 100):
        assert fleet.look(FIRST.due + hour * HOUR, status="ERROR") is None
    back = FIRST.due + 100 * HOUR
    expected = fleet.look(back)
    assert expected is not None
    assert expected >= back


@given(st.lists(st.booleans(), min_size=1, max_size=10), st.sampled_from((1, 7)))
def test_it_is_late_if_and_only_if_an_image_is_missing(
    comes: list[bool], days: int
) -> None:
    """Whatever images come and do not come, an hour after they are due."""
    fleet = Fleet()
    schedule = DAILY if days == 1 else WEEKLY
    fleet.look(FIRST.due - days * DAY - HOUR, schedule=None)
    fleet.look(FIRST.due - HOUR, schedule)
    missing = None
    for number, has_come in enumerate(comes):
        due = FIRST.due + number * days * DAY
        missing = None if has_come else missing or due
        if has_come:
            fleet.made = due + HOUR
        for after in (HOUR, 3 * HOUR, 13 * HOUR, 23 * HOUR):
            expected = fleet.look(due + after, schedule)
            assert expected == (missing or due + days * DAY)
