"""Servers that are deleted, restored and archived in a sandbox, and their images."""

from __future__ import annotations

import pytest

from rax_scheduled_images_ext.engine.projects import OneProject
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model.image import SERVER_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery
from rax_scheduled_images_ext.sandbox.backend.region import Region

from .fleet import MYSERVER
from .runners import advance_to_slot, connected, made, runner_of, schedule

plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
#: Two regions whose images are in one image service.
shared = pytest.mark.parametrize(
    "cloud",
    [{"extension": False, "regions": 2, "shared_images": True}],
    indirect=True,
)
#: Nova's answer about a server that it does not know.
NO_SERVER = '{"itemNotFound": {"code": 404, "message": "Instance not found."}}'


def make_images(cloud: Sandbox, number: int) -> list[str]:
    """Let a runner make images of myserver; return their IDs, oldest first."""
    schedule(cloud)
    runner = runner_of(cloud)
    for _ in range(number):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    return left(cloud)


def make_elsewhere(cloud: Sandbox, number: int) -> list[str]:
    """Let a runner make images in the second region; return the IDs of all of them."""
    name = cloud.regions[1]
    tags = (MARKER_TAG, schedule_tag(ImageSchedule(7)))
    with cloud.region(name) as region:
        (server,) = region.servers.select(ServerQuery())
        region.servers.set_tags(server.id, tags)
    runner = Runner(OneProject(connected(cloud, region=name)))
    for _ in range(4 * number):
        cloud.advance("6h")
        runner.tick()
    cloud.advance("5m")
    runner.tick()
    return [
        image.id for image in made(cloud) if image.properties[SERVER_KEY] == server.id
    ]


def boot_from(region: Region, image_id: str, model_id: str = MYSERVER) -> None:
    """Boot a server from an image, in the project of another server."""
    model = region.servers.get(model_id)
    region.servers.boot(
        project_id=model.project_id,
        user_id=model.user_id,
        name="back",
        image_id=image_id,
        flavor_id="2",
    )


def delete_server(cloud: Sandbox, server_id: str = MYSERVER) -> None:
    """Delete a server; its images stay."""
    with cloud.region() as region:
        region.servers.delete(server_id)


def restore_server(cloud: Sandbox, server_id: str = MYSERVER) -> None:
    """Restore a deleted server, as Nova can as long as it has only marked it."""
    with cloud.region() as region:
        region.servers.touch(
            server_id, status="ACTIVE", vm_state="active", deleted_at=None
        )
        region.servers.record(region.servers.get(server_id), "restore")


def archive_server(cloud: Sandbox, server_id: str = MYSERVER) -> None:
    """Forget a deleted server and its history, as Nova's operators do in time."""
    with cloud.region():
        for table, key in (("actions", "server_id"), ("servers", "id")):
            cloud.cloud.store.run(f"DELETE FROM {table} WHERE {key} = ?", server_id)


def left(cloud: Sandbox) -> list[str]:
    """The IDs of the scheduled images that are there, oldest first."""
    return [image.id for image in made(cloud)]
