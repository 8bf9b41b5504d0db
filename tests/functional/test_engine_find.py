"""Finding what is due: what a look reads, what is remembered, and what is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rax_scheduled_images_ext.engine import find, limits
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.results import Result
from rax_scheduled_images_ext.engine.runner import Runner, planned
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    SLOT_KEY,
    TYPE_KEY,
    run_metadata,
)
from rax_scheduled_images_ext.model.plan import Action, Cause, Policy
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER, add_image, id_of, project_of, sent
from .runners import advance_to_slot, made, results, runner_of, schedule, slots

pytestmark = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
HALF_AN_HOUR = timedelta(minutes=30)


def lasting(cloud: Sandbox, **options: Any) -> Runner:
    """Return a runner that keeps going, as ``run`` does."""
    runner = runner_of(cloud, **options)
    runner.finder = Finder(runner.projects, runner.policy, HALF_AN_HOUR, newest=True)
    return runner


# -- what is read


def test_a_look_that_finds_nothing_reads_only_changes(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = lasting(cloud)
    runner.tick()
    sent(cloud)
    assert results(runner.tick()) == ["NOTHING"]
    servers, *images = sent(cloud)[:-1]
    assert "changes-since=" in servers
    asked = [line.partition("limit=1000&")[2].partition("=")[0] for line in images]
    # What is pending is known from the changes, and read by its IDs if there is any.
    assert asked == ["updated_at", "image_type", "org.openstack__1__created_by"]


@pytest.mark.long
def test_what_is_due_is_found_between_two_refreshes(cloud: Sandbox) -> None:
    schedule(cloud, 1)
    runner = lasting(cloud)
    found: list[str] = []
    for _ in range(2 * 24 * 4):
        found += [name for name in results(runner.tick()) if name != "NOTHING"]
        cloud.advance("15m")
    assert found == ["STARTED", "RETAINED"] * 2
    assert len(slots(cloud)) == 1


def test_a_schedule_that_is_set_or_ended_is_seen_at_the_refresh(cloud: Sandbox) -> None:
    """Tags do not change when a server was updated."""
    cloud.advance("1h")
    runner = lasting(cloud)
    assert runner.tick().servers == []
    schedule(cloud)
    cloud.advance("10m")
    assert runner.tick().servers == []
    cloud.advance("20m")
    assert [server.id for server in runner.tick().servers] == [MYSERVER]
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, ())
    cloud.advance("10m")
    assert [server.id for server in runner.tick().servers] == [MYSERVER]
    # Whatever is due is read again.
    advance_to_slot(cloud)
    assert made(cloud) == []
    assert results(runner.tick()) == []


def test_a_schedule_that_has_ended_since_makes_no_image(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud, -300)
    runner = lasting(cloud)
    runner.tick()
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, ())
    cloud.advance("6m")
    (result,) = runner.tick().results
    assert result.step.cause is Cause.NO_SCHEDULE
    assert made(cloud) == []


def test_a_server_that_was_deleted_since_is_forgotten(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud, -300)
    runner = lasting(cloud)
    assert len(runner.tick().servers) == 1
    with cloud.region() as region:
        region.servers.delete(MYSERVER)
    cloud.advance("6m")
    assert not runner.tick().failures
    assert runner.tick().servers == []


def test_a_new_server_is_seen_at_once(cloud: Sandbox) -> None:
    runner = lasting(cloud)
    runner.tick()
    booted = cloud.boot("new").id
    schedule(cloud, server_id=booted)
    cloud.advance("1m")
    assert [server.id for server in runner.tick().servers] == [booted]


def test_the_newest_images_are_known_and_looked_at_again(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = lasting(cloud)
    assert runner.tick().newest == {}
    for _ in range(2):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    first, second = made(cloud)
    assert runner.tick().newest[MYSERVER].timestamp() == int(second.created)
    # Who starts now knows the same.
    assert lasting(cloud).tick().newest[MYSERVER].timestamp() == int(second.created)
    with cloud.region() as region:
        region.images.delete(second.id)
    cloud.advance("31m")
    assert runner.tick().newest[MYSERVER].timestamp() == int(first.created)
    # The slot had its image all the same.
    assert results(runner.tick()) == ["NOTHING"]


def test_what_cannot_be_done_is_not_asked_for_at_every_look(cloud: Sandbox) -> None:
    """All tries of the hour are used: the next look knows, without a request."""
    schedule(cloud)
    advance_to_slot(cloud)
    runner = lasting(cloud)
    cloud.fault("lose-image")
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    assert results(runner.tick()) == ["LEFT"]
    sent(cloud)
    cloud.advance("1m")
    assert results(runner.tick()) == ["LEFT"]
    assert not [line for line in sent(cloud) if MYSERVER in line]
    cloud.advance("1h")
    assert results(runner.tick()) == ["STARTED"]


def test_a_plan_is_what_a_tick_does(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = runner_of(cloud)

    def actions() -> list[Action]:
        steps, _ = planned(runner.projects, Policy(), Clock(), runner.limits)
        return [step.action for step in steps]

    assert actions() == [Action.NOTHING]
    advance_to_slot(cloud)
    assert actions() == [Action.MAKE]
    assert results(runner.tick()) == ["STARTED"]
    (step,), _ = planned(runner.projects, Policy(), Clock(), runner.limits)
    assert step.cause is Cause.UNDER_WAY
    cloud.advance("5m")
    assert actions() == [Action.RETAIN]


# -- images that somebody has changed


@pytest.mark.parametrize("settled", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("lasts", [True, False])
@pytest.mark.parametrize("change", ["hidden", "retyped", "renamed", "deactivated"])
def test_the_slot_of_an_image_that_was_changed_counts_as_made(
    cloud: Sandbox, change: str, lasts: bool, settled: bool
) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    runner = lasting(cloud) if lasts else runner_of(cloud)
    runner.tick()
    cloud.advance("5m")
    if settled:
        runner.tick()
    (image,) = made(cloud)
    changes: dict[str, Any] = {
        "hidden": {"attributes": {"hidden": True}},
        "retyped": {"properties": {**image.properties, TYPE_KEY: "golden"}},
        "renamed": {"attributes": {"name": "mine"}},
        "deactivated": {"attributes": {"status": "deactivated"}},
    }
    with cloud.region() as region:
        region.images.update(image.id, **changes[change])
    for _ in range(11):
        if not lasts:
            runner = runner_of(cloud)
        assert "STARTED" not in results(runner.tick())
        cloud.advance("1h")
    assert len(made(cloud)) == 1


# -- what is under way


def forge(cloud: Sandbox, number: int, owner: str, server_id: str) -> None:
    """Let somebody make images that look as if they were being made by a service."""
    for each in range(number):
        properties: Any = run_metadata(server_id, "2026-01-05", f"{owner}{each}")
        with cloud.region() as region:
            image = region.images.add(owner=owner, name="forged", properties=properties)
            region.images.update(image.id, attributes={"status": "saving"})


@pytest.mark.parametrize("hours", [0, 7])
def test_images_of_servers_without_a_schedule_take_no_place(
    cloud: Sandbox, hours: int
) -> None:
    schedule(cloud)
    cloud.advance("8h")
    advance_to_slot(cloud, -hours * 3600)
    forge(cloud, 30, project_of(cloud), id_of(cloud, "web1"))
    cloud.advance(hours * 3600)
    assert results(runner_of(cloud).tick()) == ["STARTED"]


def test_images_that_hang_take_no_place_and_are_reported(cloud: Sandbox) -> None:
    web1 = id_of(cloud, "web1")
    schedule(cloud)
    schedule(cloud, server_id=web1)
    cloud.advance("8h")
    advance_to_slot(cloud, -7 * 3600)
    forge(cloud, 5, project_of(cloud), web1)
    few = Limits(region=5, project=5)
    cloud.advance("5h")
    before = runner_of(cloud, limits=few).tick()
    assert before.under_way.total() == 5
    cloud.advance("2h")
    tick = runner_of(cloud, limits=few).tick()
    by_id = {result.step.server.id: result for result in tick.results}
    assert by_id[MYSERVER].result is Result.STARTED
    assert len(by_id[web1].step.hanging) == 5


def test_counting_all_images_could_be_exploited(
    cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = limits.under_way
    for module in (limits, find):
        monkeypatch.setattr(
            module, "under_way", lambda images, now, servers=None: count(images, now)
        )
    schedule(cloud)
    cloud.advance("8h")
    advance_to_slot(cloud)
    forge(cloud, 30, project_of(cloud), id_of(cloud, "web1"))
    assert results(runner_of(cloud).tick()) == ["LIMITED"]


def test_what_hangs_is_not_deleted(cloud: Sandbox) -> None:
    """Whether it has got data the image service does not show."""
    schedule(cloud)
    slot = advance_to_slot(cloud)
    add: Any = run_metadata(MYSERVER, slot, "x")
    image_id = add_image(cloud, "hangs", **add)
    with cloud.region() as region:
        region.images.update(image_id, attributes={"status": "saving"})
    for _ in range(30):
        runner_of(cloud).tick()
        cloud.advance("1h")
    assert image_id in [image.id for image in cloud.images()]
    assert MARKER_KEY in add
    assert [i.properties[SLOT_KEY] for i in made(cloud)].count(slot) == 1
