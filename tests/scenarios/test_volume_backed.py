"""A server that boots from a volume: its images, which go with their snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import (
    MAPPING_KEY,
    MARKER_KEY,
    MARKER_VALUE,
    SNAPSHOT,
    TYPE_KEY,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    Window,
    next_slot,
)

from ..serviceshell import Service
from .clouds import CloudUnderTest
from .conftest import Run
from .resources import Workshop

pytestmark = pytest.mark.needs("a cloud without the extension", "rehearsals")


@pytest.fixture
def backed(resources: Workshop) -> Iterator[tuple[str, str]]:
    """The name and the ID of a server that boots from a volume."""
    volume_id = resources.make_volume()
    name, server_id = resources.boot(volume_id=volume_id)
    yield name, server_id
    for image in resources.images_of(server_id):
        resources.delete_image(image["id"])
    resources.delete_server(server_id)
    resources.delete_volume(volume_id)


@pytest.fixture
def tick(under_test: CloudUnderTest) -> Any:
    """``tick(moment)``: rehearse a tick of the service; what it has logged."""

    def run(moment: datetime) -> list[dict[str, Any]]:
        argv = (moment.isoformat(), "--log-format", "json")
        done = Service(under_test).tick(*argv)
        assert (done.status, done.out) == (0, ""), done.err
        return [json.loads(line) for line in done.err.splitlines()]

    return run


def named(image: dict[str, Any]) -> list[str]:
    """The volume snapshots that an image names."""
    return [each["snapshot_id"] for each in json.loads(image[MAPPING_KEY])]


def test_the_retention_takes_the_volume_snapshots_along(
    nova: Run, resources: Workshop, backed: tuple[str, str], tick: Any
) -> None:
    name, server_id = backed
    nova("scheduled-images-enable", name, "1")
    now = datetime.now(timezone.utc)
    moment = next_slot(server_id, ImageSchedule(1), now, Window()).due
    made = []
    for _ in range(3):
        moment += timedelta(days=1)
        assert [event["event"] for event in tick(moment)] == ["image started"]
        assert resources.task_state(server_id) is None
        made.append(resources.images_of(server_id)[0])
        assert (made[-1]["status"], made[-1]["size"]) == ("active", 0)
        (own,) = named(made[-1])
        assert resources.volume_snapshot(own) is not None
        events = [event["event"] for event in tick(moment)]
        assert events == [*["image deleted"] * (len(made) > 1), "retention applied"]
    assert [image["id"] for image in resources.images_of(server_id)] == [made[-1]["id"]]
    for image in made[:-1]:
        (gone,) = named(image)
        resources.wait_for_no_snapshot(gone)
    (kept,) = named(made[-1])
    left = resources.volume_snapshot(kept)
    assert left is not None
    assert left["status"] == "available"


def test_a_snapshot_that_another_image_names_stays(
    nova: Run, resources: Workshop, backed: tuple[str, str]
) -> None:
    name, server_id = backed
    marked = {MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT}
    for _ in range(2):
        resources.snapshot(server_id, instance_uuid=server_id, **marked)
    argv = ("scheduled-images-prune", "--keep", "1", name, "--format", "json")
    # Both may be of the same second.
    (row,) = json.loads(nova.ok(*argv, "--dry-run"))
    image = resources.image(row["id"])
    assert image is not None
    copy = {MAPPING_KEY: image[MAPPING_KEY]}
    copy_id = resources.add_image(resources.name("copy"), **copy)
    assert [row["action"] for row in json.loads(nova.ok(*argv, "--yes"))] == ["deleted"]
    assert resources.image(row["id"]) is None
    (own,) = named(image)
    assert resources.volume_snapshot(own) is not None
    resources.delete_image(copy_id)
