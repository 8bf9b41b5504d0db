"""One server's step, a page of servers, and limits that hold for many processes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.engine import limits as places
from rax_scheduled_images_ext.engine.find import Finder, Page
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.projects import OneProject
from rax_scheduled_images_ext.engine.results import Result
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.errors import ApiError, NoSuchServer
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    RUN_KEY,
    SLOT_KEY,
    claim_metadata,
)
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.model.plan import Action, Cause, Policy
from rax_scheduled_images_ext.sandbox import Sandbox

from .actors import Actor
from .fleet import MYSERVER, NOBODY, add_image, id_of, project_of, sent
from .raw import START
from .runners import advance_to_slot, connected, made, runner_of, schedule, slots

plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)


def step(cloud: Sandbox, runner: Runner, server_id: str = MYSERVER) -> Result:
    """Let a runner do the next step of one server."""
    return runner.step(server_id, project_of(cloud)).result


@plain
def test_one_server_from_its_first_look_to_its_retention(cloud: Sandbox) -> None:
    schedule(cloud, 1)
    runner = runner_of(cloud)
    assert step(cloud, runner) is Result.NOTHING
    first = advance_to_slot(cloud)
    sent(cloud)
    assert step(cloud, runner) is Result.STARTED
    # The server and its images, the claim, what is under way, the image.
    assert [line.split("?")[0].split("/")[0] for line in sent(cloud)] == [
        "GET ",
        "GET ",
        "POST ",
        "GET ",
        "POST ",
        "DELETE ",
    ]
    assert step(cloud, runner) is Result.NOTHING
    cloud.advance("5m")
    assert step(cloud, runner) is Result.RETAINED
    assert slots(cloud) == [first]
    second = advance_to_slot(cloud)
    sent(cloud)
    assert step(cloud, runner) is Result.STARTED
    cloud.advance("5m")
    assert step(cloud, runner) is Result.RETAINED
    assert slots(cloud) == [second]
    # All that one image takes, its retention included.
    assert len(sent(cloud)) == 11
    assert not [i for i in cloud.images() if CLAIM_KEY in i.properties]


@plain
def test_a_server_that_is_gone(cloud: Sandbox) -> None:
    with pytest.raises(NoSuchServer):
        runner_of(cloud).step(NOBODY, project_of(cloud))


@plain
def test_a_failure_leaves_no_place_behind(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    cloud.fault(f"POST /servers/{MYSERVER}/action 403 x1")
    runner, project_id = runner_of(cloud), project_of(cloud)
    result = runner.step(MYSERVER, project_id)
    assert (result.result, result.failed) == (Result.FAILED, True)
    # Only word of it is left, which goes with the message that is sent next.
    (note,) = (i for i in cloud.images() if CLAIM_KEY in i.properties)
    assert note.properties[CLAIM_KEY] == NOTE
    assert runner.step(MYSERVER, project_id).result is Result.LEFT
    cloud.advance("5m")
    (hint,) = next(Finder(runner.projects).pages()).make
    again = runner.step(MYSERVER, project_id, note=hint.note)
    assert again.result is Result.STARTED


@plain
def test_a_place_stays_while_it_is_unknown_whether_the_image_is_made(
    cloud: Sandbox,
) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    cloud.fault(f"POST /servers/{MYSERVER}/action 500")
    runner = runner_of(cloud)
    assert step(cloud, runner) is Result.UNKNOWN
    (left,) = (i for i in cloud.images() if CLAIM_KEY in i.properties)
    cloud.clear_faults()
    cloud.advance("11m")
    page = next(Finder(runner.projects).pages())
    (swept,) = runner.sweep(page.open.empty, page.now)
    assert (swept.item.id, swept.value) == (left.id, True)


@plain
def test_the_places_of_the_dead_count_for_five_minutes(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    owner = project_of(cloud)
    with cloud.region() as region:
        properties: Any = claim_metadata(NOBODY, "a claim")
        region.images.add(
            owner=owner,
            visibility="private",
            name="place",
            image_id=None,
            protected=False,
            disk_format=None,
            container_format=None,
            properties=properties,
        )
    runner = runner_of(cloud, limits=Limits(1, 1))
    assert step(cloud, runner) is Result.LIMITED
    cloud.advance("6m")
    (hint,) = next(Finder(runner.projects).pages()).make
    again = runner.step(MYSERVER, owner, note=hint.note)
    assert again.result is Result.STARTED


# -- pages


def actions(page: Page) -> dict[str, Action]:
    """What is to be done for the servers of a page, by their names."""
    return {
        each.server.name: each.action
        for each in page.steps
        if each.action is not Action.NOTHING
    }


@plain
def test_a_page_shows_who_needs_a_step(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = runner_of(cloud)
    scanner = Finder(runner.projects)
    assert actions(next(scanner.pages(seconds=0))) == {}
    advance_to_slot(cloud)
    sent(cloud)
    page = next(scanner.pages())
    assert len(sent(cloud)) == 5
    assert actions(page) == {"myserver": Action.MAKE}
    assert [each.server.id for each in page.make] == [MYSERVER]
    assert step(cloud, runner) is Result.STARTED
    page = next(scanner.pages())
    assert (actions(page), page.under_way.total()) == ({}, 1)
    cloud.advance("5m")
    page = next(scanner.pages())
    assert actions(page) == {"myserver": Action.RETAIN}
    assert page.under_way.total() == 0
    assert [each.server.id for each in page.look_after] == [MYSERVER]
    assert step(cloud, runner) is Result.RETAINED
    # Both who has seen it all and who begins only now know that it is done.
    for each in (scanner, Finder(runner.projects)):
        page = next(each.pages())
        assert actions(page) == {}
        assert [step.cause for step in page.steps] == [Cause.DONE]
    advance_to_slot(cloud)
    assert actions(next(scanner.pages())) == {"myserver": Action.MAKE}


@plain
def test_an_image_that_failed_is_made_again(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    runner = runner_of(cloud)
    scanner = Finder(runner.projects)
    cloud.fault("lose-image x1")
    assert step(cloud, runner) is Result.STARTED
    next(scanner.pages())
    cloud.advance("5m")
    assert actions(next(scanner.pages())) == {"myserver": Action.MAKE}


LISTED = [f"server {number}" for number in range(5)]


@pytest.fixture
def three_pages(cloud: Sandbox) -> Finder:
    """A finder of five servers with schedules, of which a page has two."""
    for name in LISTED:
        schedule(cloud, server_id=cloud.boot(name).id)
    return Finder(OneProject(connected(cloud)))


paged = pytest.mark.parametrize(
    "cloud", [{"extension": False, "max_limit": 2}], indirect=True
)


@paged
def test_pages_follow_each_other(three_pages: Finder) -> None:
    found: list[str] = []
    marker = None
    for _ in range(3):
        (page,) = three_pages.pages(marker, seconds=0)
        found += [each.server.name for each in page.steps]
        marker = page.marker
    assert marker is None
    assert sorted(found) == LISTED


@paged
def test_pages_are_read_in_one_go(cloud: Sandbox, three_pages: Finder) -> None:
    sent(cloud)
    pages = list(three_pages.pages(seconds=60))
    found = [each.server.name for page in pages for each in page.steps]
    assert sorted(found) == LISTED
    assert [page.marker is None for page in pages] == [False, False, True]
    lines = sent(cloud)
    assert len(lines) == 7
    assert sum("/images?" in line for line in lines) == 4


@plain
def test_the_server_of_a_marker_is_gone(cloud: Sandbox) -> None:
    scanner = Finder(OneProject(connected(cloud)))
    with pytest.raises(ApiError, match="400"):
        next(scanner.pages(NOBODY))


@plain
def test_an_image_of_another_project_does_not_count(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = runner_of(cloud)
    slot = advance_to_slot(cloud)
    forged: Any = {SLOT_KEY: slot, RUN_KEY: f"{MYSERVER}:x", "instance_uuid": MYSERVER}
    add_image(
        cloud,
        "forged",
        owner="another",
        visibility="public",
        image_type="snapshot",
        **forged,
    )
    page = next(Finder(runner.projects).pages())
    assert actions(page) == {"myserver": Action.MAKE}


# -- limits

LIMIT = 2
NAMES = ("myserver", "web1", "db1", "check-my-task-state")


class Blind:
    """Sees no requests."""

    def waits(self, method: str, path: str) -> None:
        pass

    def sends(self, method: str, path: str) -> None:
        pass

    def answered(self, method: str, path: str, response: object) -> None:
        pass

    def leave(self, path: str, body: object) -> bool:
        return False


@pytest.mark.long
@settings(max_examples=30)
@given(st.lists(st.integers(0, len(NAMES) - 1), max_size=60))
def test_the_limits_hold_in_any_order(turns: list[int]) -> None:
    limits = Limits(region=LIMIT, project=LIMIT, requests=1)
    with (
        pytest.MonkeyPatch.context() as patched,
        Sandbox(speed=0, start=START, extension=False) as sandbox,
    ):
        patched.setattr(places, "_PAUSE", 0.0)
        cloud, project_id = connected(sandbox, workers=1), project_of(sandbox)
        ids = [id_of(sandbox, name) for name in NAMES]
        for server_id in ids:
            schedule(sandbox, server_id=server_id)
        sandbox.advance("20h")

        def acting(server_id: str) -> Actor:
            def act(watched: Any) -> object:
                policy = Policy(max_delay=timedelta(days=1))
                runner = Runner(OneProject(watched), policy, limits)
                return runner.step(server_id, project_id)

            return Actor(cloud, act, Blind())

        actors = [acting(server_id) for server_id in ids]
        for turn in turns:
            actors[turn].step()
            assert len(made(sandbox)) <= LIMIT
        # Each in its turn, so that none waits for one that does not go on.
        while not all(actor.done for actor in actors):
            for actor in actors:
                actor.step()
            assert len(made(sandbox)) <= LIMIT
        assert [actor.error for actor in actors] == [None] * len(actors)
        assert made(sandbox)
        left = [i.properties.get(CLAIM_KEY, NOTE) for i in sandbox.images()]
        assert set(left) == {NOTE}
