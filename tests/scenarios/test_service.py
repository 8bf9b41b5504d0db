"""scheduled-images-service on a cloud that makes no images, on rehearsed days."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import PENDING_KEY, SLOT_KEY
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.service.loop import DONE, LEFT

from .. import rehearsed
from ..serviceshell import Service
from ..shell import Result
from .clouds import WHOLE, WITHOUT, CloudUnderTest
from .conftest import Run
from .resources import Workshop
from .tables import objects

pytestmark = pytest.mark.needs(WITHOUT, WHOLE)


@pytest.fixture
def service(under_test: CloudUnderTest) -> Service:
    return Service(under_test)


@pytest.fixture
def scheduled(nova: Run, resources: Workshop, own: tuple[str, str]) -> Any:
    """The ID of a server with a daily schedule; its images are deleted at last."""
    nova("scheduled-images-enable", own[0], "1")
    yield own[1]
    for image in resources.images_of(own[1]):
        resources.delete_image(image["id"])


def planned(service: Service, server_id: str, *options: str) -> dict[str, Any]:
    """What is planned for a server."""
    rows = objects(service.ok("plan", "--all", "--format", "json", *options))
    (row,) = (row for row in rows if row["id"] == server_id)
    return row


def rehearse(service: Service, at: str, user: str = "admin") -> Result:
    """A tick at a time."""
    return service.tick(at, user=user)


def later(at: str, **time: float) -> str:
    """A time so much later."""
    moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
    return str(write_time(moment + timedelta(**time)))


def wait_for_image(resources: Workshop, server_id: str) -> dict[str, Any]:
    """The newest image of a server, once it is ACTIVE."""

    def is_active() -> bool:
        images = resources.images_of(server_id)
        return bool(images) and images[0]["status"] == "active"

    resources.until("the image is ACTIVE", is_active)
    resources.until("the task is over", lambda: not resources.task_state(server_id))
    return resources.images_of(server_id)[0]


def test_an_image_takes_the_place_of_the_one_before(
    service: Service, resources: Workshop, scheduled: str
) -> None:
    at = planned(service, scheduled)["next_due"]
    for _ in range(2):
        begun = rehearse(service, at)
        assert (begun.status, begun.out) == (0, "")
        assert f" INFO image started server={scheduled}" in begun.err
        image = wait_for_image(resources, scheduled)
        assert image[SLOT_KEY] == at[:10]
        assert PENDING_KEY in image
        retained = rehearse(service, at)
        assert f" INFO retention applied server={scheduled}" in retained.err
        assert rehearse(service, at) == Result(0, "", "")
        at = later(at, days=1)
    (left,) = resources.images_of(scheduled)
    assert left["id"] == image["id"]
    assert PENDING_KEY not in left
    assert 'reason="older than the newest"\n' in retained.err


def test_those_that_come_at_once_make_one_image(
    service: Service,
    resources: Workshop,
    scheduled: str,
    under_test: CloudUnderTest,
) -> None:
    at = planned(service, scheduled)["next_due"]
    processes = [
        subprocess.Popen(
            [*rehearsed.PROGRAM, "--at", at, "tick", "--verbose"],
            env=client_environment(under_test.env()),
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    logs = [process.communicate()[1] for process in processes]
    assert "".join(logs).count(" image started ") == 1
    for process, logged in zip(processes, logs, strict=True):
        # A runner that is too late for the claim leaves the image to the others.
        allowed = (DONE,) if " image started " in logged else (DONE, LEFT)
        assert process.returncode in allowed
    image = wait_for_image(resources, scheduled)
    assert [each["id"] for each in resources.images_of(scheduled)] == [image["id"]]


def test_a_server_that_is_stopped(
    service: Service, resources: Workshop, scheduled: str
) -> None:
    path = f"/servers/{scheduled}/action"
    resources.api.do("compute", "POST", path, {"os-stop": None})

    def is_off() -> bool:
        server = resources.server(scheduled)
        return server is not None and server["status"] == "SHUTOFF"

    resources.until("the server is off", is_off)
    rehearse(service, planned(service, scheduled)["next_due"])
    wait_for_image(resources, scheduled)


@pytest.mark.needs("failing uploads")
def test_a_snapshot_that_fails_is_tried_again_an_hour_later(
    service: Service,
    resources: Workshop,
    scheduled: str,
    under_test: CloudUnderTest,
) -> None:
    at = planned(service, scheduled)["next_due"]
    with under_test.failing_uploads():
        assert " image started " in rehearse(service, at).err
        resources.until("it fails", lambda: not resources.images_of(scheduled))
        resources.until("it ends", lambda: not resources.task_state(scheduled))
    soon = later(at, minutes=30)
    assert planned(service, scheduled, "--at", soon)["action"] == "make image"
    assert rehearse(service, soon) == Result(LEFT, "", "")
    assert not resources.images_of(scheduled)
    assert " image started " in rehearse(service, later(at, hours=1)).err
    assert wait_for_image(resources, scheduled)[SLOT_KEY] == at[:10]


@pytest.mark.needs("slow snapshots")
def test_a_server_that_is_busy_with_a_snapshot_of_its_owner(
    service: Service,
    resources: Workshop,
    scheduled: str,
    under_test: CloudUnderTest,
) -> None:
    at = planned(service, scheduled)["next_due"]
    with under_test.slow_snapshots(1.5):
        by_hand = resources.snapshot(scheduled)
        row = planned(service, scheduled, "--at", at)
    assert (row["action"], row["reason"][:18]) == ("nothing", "its task state is ")
    assert rehearse(service, at) == Result(LEFT, "", "")
    resources.done(scheduled, by_hand)
    assert " image started " in rehearse(service, at).err
    assert wait_for_image(resources, scheduled)["id"] != by_hand


@pytest.mark.needs("other users")
def test_a_user_who_may_only_read(
    service: Service, resources: Workshop, scheduled: str
) -> None:
    at = planned(service, scheduled)["next_due"]
    tick = rehearse(service, at, user="observer")
    assert tick.status == 1
    assert f" ERROR failed server={scheduled}" in tick.err
    assert "(HTTP 403)" in tick.err
    assert not resources.images_of(scheduled)
    assert " image started " in rehearse(service, at).err
    wait_for_image(resources, scheduled)
