"""The scheduled images service: what happens as time passes.

Snapshots come to their end, schedules fall due, retention is applied; each at
its own moment, in order, however far the clock has moved.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from rax_scheduled_images_ext.model import retention
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    SERVER_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.timetable import next_run
from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Image,
    ImageQuery,
    Server,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.region.snapshots import (
    BECAME_ACTIVE,
    WAS_LOST,
)
from rax_scheduled_images_ext.sandbox.backend.state import CloudState
from rax_scheduled_images_ext.sandbox.backend.store import Row

# What the service promises its users: three tries, about an hour apart.
TRIES = 3
RETRY_AFTER = 3600
NAME_LENGTH = 255


def settle(
    cloud: CloudState, region: Callable[[str], Region], now: float, *, scheduled: bool
) -> None:
    """Make happen, in order, whatever is due up to ``now``.

    :param region: returns a region by its name.
    :param scheduled: whether the cloud has scheduled images.
    """
    while True:
        snapshot = cloud.store.first(
            "SELECT * FROM snapshots WHERE due <= ? ORDER BY due LIMIT 1", now
        )
        run = scheduled and cloud.store.first(
            "SELECT region, id, next_run AS due FROM servers WHERE next_run <= ?"
            " ORDER BY next_run LIMIT 1",
            now,
        )
        if snapshot is not None and (not run or snapshot["due"] <= run["due"]):
            cloud.now = snapshot["due"]
            _snapshot_due(cloud, region(snapshot["region"]), snapshot)
        elif run:
            cloud.now = run["due"]
            _run_due(cloud, region(run["region"]), run["id"])
        else:
            return


def image_name(server: Server, day_of_week: str | None, now: float) -> str:
    """Return a scheduled image's name; only the server's part is ever cut."""
    prefix, suffix = ("Weekly-" if day_of_week else "Daily-"), f"-{int(now)}"
    return prefix + server.name[: NAME_LENGTH - len(prefix + suffix)] + suffix


def as_server_image(image: Image) -> ServerImage:
    """Return the image in the shape that the retention rules take."""
    return ServerImage(
        id=image.id,
        name=image.name,
        status=image.compute_status,
        created=datetime.fromtimestamp(image.created, timezone.utc),
        server_id=image.properties.get(SERVER_KEY),
        owner=image.owner,
        protected=image.protected,
        metadata=image.properties,
    )


def _snapshot_due(cloud: CloudState, region: Region, snapshot: Row) -> None:
    came_to = region.step_snapshot(snapshot)
    server_id, attempt = snapshot["server_id"], snapshot["scheduled"]
    if not attempt:
        return
    if came_to == BECAME_ACTIVE:
        _cull(region, server_id)
    elif came_to == WAS_LOST and attempt < TRIES and region.server(server_id).schedule:
        _plan(cloud, region, server_id, cloud.now + RETRY_AFTER, attempt)


def _run_due(cloud: CloudState, region: Region, server_id: str) -> None:
    server = region.server(server_id)
    schedule = region.schedule(server_id)
    name = image_name(server, schedule.day_of_week, cloud.now)
    marker = {MARKER_KEY: MARKER_VALUE}
    attempt = schedule.attempt + 1
    try:
        region.create_image(
            server_id, name, marker, user_id=server.user_id, scheduled=attempt
        )
    except Conflict as conflict:
        region.record(server, "createImage", message=str(conflict))
        if attempt < TRIES:
            _plan(cloud, region, server_id, cloud.now + RETRY_AFTER, attempt)
            return
    row = cloud.store.first(
        "SELECT second_of_day, day_of_week FROM servers WHERE region = ? AND id = ?",
        region.name,
        server_id,
    )
    assert row is not None
    again = next_run(cloud.now, row["second_of_day"], row["day_of_week"])
    _plan(cloud, region, server_id, again, 0)


def _plan(
    cloud: CloudState, region: Region, server_id: str, due: float, attempt: int
) -> None:
    cloud.store.update("servers", region.name, server_id, next_run=due, attempt=attempt)


def _cull(region: Region, server_id: str) -> None:
    server = region.server(server_id)
    if server.schedule is None:
        return
    found = region.images(ImageQuery(properties={SERVER_KEY: server_id}))
    images = [as_server_image(image) for image in found]
    for image in retention.surplus(
        images, server_id, server.schedule.retention, server.project_id
    ):
        if not image.protected:
            region.delete_image(image.id)
