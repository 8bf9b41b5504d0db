"""Troubles of one image, or of one server, that are to keep nothing else back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.results import Result
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model.image import (
    claim_metadata,
    run_metadata,
)
from rax_scheduled_images_ext.model.plan import Cause
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image

from .clouds import open_cloud
from .fleet import MYSERVER
from .runners import advance_to_slot, made, results, runner_of, schedule, slots

plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
SERVER = "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"


@pytest.fixture
def runner(cloud: Sandbox) -> Runner:
    """A runner for a server that boots from a volume and keeps one daily image."""
    cloud.boot("database", server_id=SERVER, volume_size=8)
    schedule(cloud, 1, server_id=SERVER)
    return runner_of(cloud)


# -- images that are not whole


def make_broken(cloud: Sandbox, runner: Runner) -> Image:
    """Have the first image without a good volume snapshot."""
    cloud.fault("fail-volume x1")
    cloud.advance("1d")
    assert results(runner.tick()) == ["STARTED"]
    (broken,) = made(cloud)
    return broken


@plain
def test_a_broken_image_that_stays_keeps_no_other_from_its_place(
    cloud: Sandbox, runner: Runner
) -> None:
    broken = make_broken(cloud, runner)
    with cloud.region() as region:
        region.images.update(broken.id, attributes={"protected": True})
    assert results(runner.tick()) == ["UNPROVEN"]
    for _ in range(3):
        cloud.advance("1d")
        assert results(runner.tick()) == ["STARTED"]
        assert results(runner.tick()) == ["RETAINED"]
        # It is reported all the same.
        assert results(runner.tick()) == ["UNPROVEN"]
    first, _ = made(cloud)
    assert first.id == broken.id


@plain
def test_a_broken_image_that_cannot_be_deleted_keeps_no_other_from_its_place(
    cloud: Sandbox, runner: Runner
) -> None:
    broken = make_broken(cloud, runner)
    cloud.fault(f"DELETE /images/{broken.id} 403")
    for _ in range(3):
        cloud.advance("1d")
        assert results(runner.tick()) == ["STARTED"]
        assert results(runner.tick()) == ["RETAINED"]
        assert results(runner.tick()) == ["FAILED"]
    assert len(made(cloud)) == 2


@plain
def test_what_its_owner_has_kept_for_a_while_is_proven_all_the_same(
    cloud: Sandbox, runner: Runner, nova: Any
) -> None:
    """Handed back, it pushes no good image out."""
    cloud.advance("1d")
    assert results(runner.tick()) == ["STARTED"]
    assert results(runner.tick()) == ["RETAINED"]
    (good,) = made(cloud)
    cloud.fault("fail-volume x1")
    cloud.advance("1d")
    assert results(runner.tick()) == ["STARTED"]
    _, broken = made(cloud)
    nova.ok("scheduled-images-protect", broken.id)
    assert results(runner.tick()) == ["NOTHING"]
    nova("scheduled-images-unprotect", broken.id)
    assert results(runner.tick()) == ["BROKEN"]
    assert [image.id for image in made(cloud)] == [good.id]


@plain
def test_a_broken_image_that_its_owner_has_just_protected_is_not_reported_deleted(
    cloud: Sandbox, runner: Runner, nova: Any
) -> None:
    broken = make_broken(cloud, runner)
    images = runner.projects.listing.images
    read = images.get

    def get(image: object) -> object:
        nova.ok("scheduled-images-protect", broken.id)
        return read(image)

    object.__setattr__(images, "get", get)
    assert results(runner.tick()) == ["NOTHING"]
    assert [image.id for image in made(cloud)] == [broken.id]


# -- two images of one slot


@plain
def test_a_complete_image_is_not_a_duplicate_of_a_broken_one(
    cloud: Sandbox, runner: Runner
) -> None:
    """The request of an earlier try was held up on its way."""
    broken = make_broken(cloud, runner)
    slot = broken.properties["scheduled_images_slot"]
    cloud.advance("1m")
    with cloud.region() as region:
        late = region.snapshots.create(
            SERVER,
            "Daily-database-1767225600",
            run_metadata(SERVER, slot, "0-late"),
            user_id="someone",
        )
    assert results(runner.tick()) == ["BROKEN"]
    assert results(runner.tick()) == ["RETAINED"]
    assert [image.id for image in made(cloud)] == [late.id]


@plain
def test_two_whole_images_of_a_slot_take_one_place(cloud: Sandbox) -> None:
    schedule(cloud, 2)
    runner = runner_of(cloud)
    first = advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    assert results(runner.tick()) == ["RETAINED"]
    second = advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    late_request(cloud, second)
    cloud.advance("5m")
    assert results(runner.tick()) == ["RETAINED"]
    assert slots(cloud) == [first, second, second]
    assert results(runner.tick()) == ["DEDUPLICATED"]
    assert slots(cloud) == [first, second]
    assert results(runner.tick()) == ["NOTHING"]


@plain
def test_a_duplicate_that_cannot_be_deleted_keeps_no_later_image_back(
    cloud: Sandbox,
) -> None:
    schedule(cloud, 1)
    runner = runner_of(cloud)
    slot = advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    assert results(runner.tick()) == ["RETAINED"]
    late = late_request(cloud, slot)
    cloud.advance("5m")
    cloud.fault(f"DELETE /images/{late} 403")
    assert results(runner.tick()) == ["FAILED"]
    following = advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    assert results(runner.tick()) == ["RETAINED"]
    assert slots(cloud) == [slot, following]


def late_request(cloud: Sandbox, slot: str) -> str:
    """Let a request for an image arrive that was held up; the image's ID."""
    with cloud.region() as region:
        return region.snapshots.create(
            MYSERVER,
            "Daily-myserver-1767225600",
            run_metadata(MYSERVER, slot, "0-late"),
            user_id="someone",
        ).id


# -- a full quota


def test_a_full_quota_keeps_no_retention_from_being_applied() -> None:
    """What the retention deletes makes room for the image that is due."""
    with open_cloud({"extension": False, "image_quota": 2}) as cloud:
        schedule(cloud, 1)
        runner = runner_of(cloud)
        advance_to_slot(cloud)
        assert results(runner.tick()) == ["STARTED"]
        cloud.advance("5m")
        assert results(runner.tick()) == ["RETAINED"]
        second = advance_to_slot(cloud)
        assert results(runner.tick()) == ["STARTED"]
        # No service is there until the next one is due.
        third = advance_to_slot(cloud)
        assert results(runner.tick()) == ["QUOTA"]
        assert slots(cloud) == [second]
        assert results(runner.tick()) == ["STARTED"]
        cloud.advance("5m")
        assert results(runner.tick()) == ["RETAINED"]
        assert slots(cloud) == [third]


# -- what is remembered


def busy_at_the_look(cloud: Sandbox, runner: Runner) -> None:
    """Let a server have a task that was not there when all servers were read."""
    images = runner.projects.listing.images
    read = images.list

    def begin(**wanted: object) -> object:
        if wanted.get("pending"):
            object.__setattr__(images, "list", read)
            with cloud.region() as region:
                region.snapshots.create(MYSERVER, "by hand", {}, user_id="someone")
        return read(**wanted)  # type: ignore[arg-type]

    object.__setattr__(images, "list", begin)


@plain
def test_a_server_that_was_busy_is_tried_at_each_look(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = runner_of(cloud)
    runner.finder = Finder(runner.projects, runner.policy, timedelta(minutes=30))
    advance_to_slot(cloud)
    busy_at_the_look(cloud, runner)
    (result,) = runner.tick().results
    assert (result.result, result.step.cause) == (Result.NOTHING, Cause.BUSY)
    cloud.advance("5m")
    assert results(runner.tick()) == ["STARTED"]


@plain
def test_a_weekly_image_that_was_missed_is_reported(cloud: Sandbox) -> None:
    """A first look knows no image that is older than a day."""
    schedule(cloud, 7, "MONDAY")
    runner = runner_of(cloud)
    while not made(cloud):
        runner.tick()
        cloud.advance("1h")
    runner.tick()
    cloud.advance("7d12h")
    (result,) = runner_of(cloud).tick().results
    assert result.step.cause is Cause.MISSED


@plain
def test_a_weekly_image_is_not_missed_because_an_older_one_was_changed(
    cloud: Sandbox,
) -> None:
    schedule(cloud, 7, "MONDAY")
    runner = runner_of(cloud)
    while len(made(cloud)) < 2:
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    older, _ = made(cloud)
    cloud.advance("2d")
    with cloud.region() as region:
        region.images.update(older.id, attributes={"min_ram": 1})
    (result,) = runner_of(cloud).tick().results
    assert result.step.cause is Cause.DONE


# -- forged images


@plain
def test_claims_of_servers_without_a_schedule_take_no_place(cloud: Sandbox) -> None:
    schedule(cloud)
    schedule(cloud, server_id=cloud.boot("other").id)
    runner = runner_of(cloud, limits=Limits(1, 1))
    while len(Finder(runner.projects).find().make) < 2:
        cloud.advance("1h")
    for number in range(5):
        server_id = f"00000000-0000-4000-8000-{number:012}"
        with cloud.region() as region:
            region.images.add(
                owner=f"{number:032}",
                visibility="public",
                name="claim",
                image_id=None,
                protected=False,
                disk_format=None,
                container_format=None,
                properties=claim_metadata(server_id, f"{server_id}:2026-01-01:0"),
            )
    assert sorted(results(runner.tick())) == ["LIMITED", "STARTED"]


# -- what only the owner can mend


@plain
def test_what_its_owner_has_missed_is_the_owners_all_day(cloud: Sandbox) -> None:
    """A server in ERROR is first refused, and half a day later missed."""
    schedule(cloud)
    runner = runner_of(cloud)
    advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")
    runner.tick()
    with cloud.region() as region:
        region.cloud.store.update("servers", region.name, MYSERVER, status="ERROR")
    causes = set()
    for _ in range(40):
        cloud.advance("1h")
        tick = runner.tick()
        causes |= {result.step.cause for result in tick.overdue(owners=True)}
        assert tick.overdue(owners=False) == []
    assert causes == {Cause.STATUS, Cause.MISSED}


# -- clocks


@plain
def test_an_answer_from_the_future_puts_no_refresh_off(cloud: Sandbox) -> None:
    """One of several compute services had a wrong clock when all servers were read."""
    runner = runner_of(cloud)
    finder = Finder(runner.projects, runner.policy, timedelta(minutes=30))
    cloud.advance("1d")
    finder.find()
    assert finder._refreshed is not None
    finder._refreshed += timedelta(days=7)
    schedule(cloud)
    cloud.advance("10m")
    finder.find()
    assert [server.id for server in finder.servers] == [MYSERVER]
