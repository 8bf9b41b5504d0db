"""For which servers of a page a scan sends: as many as may find places."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.engine.find import OpenImages, Page
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.plan import Action, Cause, Step
from rax_scheduled_images_ext.model.slots import (
    Slot,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
PROJECTS = st.sampled_from("abc")


def due(number: int, project_id: str) -> Step:
    """A server whose image has been due for so many minutes."""
    server = InventoryServer(f"{project_id}{number}", "web", project_id=project_id)
    slot = Slot("2026-01-05", NOW - timedelta(minutes=number))
    return Step(server, Action.MAKE, Cause.DUE, slot, since=slot.due)


def page_of(projects: str, under_way: str = "") -> Page:
    """A page of servers of these projects; the last has been due for longest."""
    steps = [due(number, project) for number, project in enumerate(projects)]
    return Page(NOW, steps, None, Counter(under_way), OpenImages.of([], []))


def names(page: Page, limits: Limits, waiting: int = 0) -> list[str]:
    return [step.server.id for step in page.make_next(limits, waiting)]


@given(
    st.text(PROJECTS, max_size=30),
    st.text(PROJECTS, max_size=10),
    st.builds(Limits, st.integers(1, 12), st.integers(1, 6)),
    st.integers(0, 10),
)
def test_a_scan_sends_for_twice_as_many_as_there_are_places(
    servers: str, under_way: str, limits: Limits, waiting: int
) -> None:
    page = page_of(servers, under_way)
    chosen = page.make_next(limits, waiting)
    assert len({step.server.id for step in chosen}) == len(chosen)
    # No project takes more of the region than it may have.
    taken = sum(min(under_way.count(each), limits.project) for each in "abc")
    room = max(0, 2 * (limits.region - taken) - waiting)
    assert len(chosen) <= room
    of = Counter(step.server.project_id for step in chosen)
    own = {
        project: min(
            servers.count(project),
            max(0, 2 * (limits.project - under_way.count(project))),
        )
        for project in "abc"
    }
    assert all(of[project] <= own[project] for project in own)
    # And no place is left to no one.
    assert len(chosen) == min(room, sum(own.values()))


def test_those_come_first_that_were_due_first() -> None:
    page = page_of("a" * 10, "a")
    found = names(page, Limits(region=9, project=4))
    assert found[:3] == ["a9", "a8", "a7"]
    assert len(found) == 6


def test_what_waits_leaves_less_room() -> None:
    page = page_of("a" * 10)
    assert names(page, Limits(3, 3), waiting=1)[:2] == ["a9", "a8"]
    assert len(names(page, Limits(3, 3), waiting=1)) == 5
    assert names(page, Limits(3, 3), waiting=6) == []


def test_a_project_without_a_place_keeps_no_other_back() -> None:
    page = page_of("b" + "a" * 100, "aa")
    assert names(page, Limits(region=4, project=2)) == ["b0"]


@given(st.integers(2, 30), st.integers(1, 5))
def test_every_server_has_its_turn(servers: int, places: int) -> None:
    """Even where those before it stay due for ever."""
    page = page_of("a" * servers)
    limits = Limits(places, places)
    seen: set[str] = set()
    # That one of 30 is not among these is less likely than 1 in 10 ** 14.
    for _ in range(1000):
        seen.update(names(page, limits))
        if len(seen) == servers:
            return
    assert len(seen) == servers


def test_a_project_takes_no_more_of_a_region_than_it_may_have() -> None:
    """Whatever it has made that looks like an image under way."""
    limits = Limits(region=20, project=5)
    forged = Counter({"theirs": 300})
    assert limits.free(forged, "ours") == 5
    assert limits.free(forged, "theirs") < 0
