"""One server with its schedule and all its images, at one moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import (
    find_server,
    read_date,
    read_server,
)
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NoSchedule,
    NoSuchServer,
)
from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import (
    MAX_AGE,
    InventoryServer,
    ScheduleStatus,
    schedule_status,
)
from rax_scheduled_images_ext.model.retention import Decision, apply_policy
from rax_scheduled_images_ext.operations.retention import ImageRetention


@dataclass(frozen=True)
class ServerDetails:
    """A server's status at a moment of the cloud's clock, and its images.

    ``images`` are decisions on each image, newest image first. ``gone`` is whether
    the server is deleted, and only its images are left.
    """

    now: datetime
    status: ScheduleStatus
    images: list[Decision]
    gone: bool = False

    @property
    def server(self) -> InventoryServer:
        """The server itself."""
        return self.status.server


def read_server_details(
    cloud: Cloud,
    server_id: str,
    *,
    max_age: timedelta = MAX_AGE,
    clock: Callable[[], float] = time.time,
) -> ServerDetails:
    """Read one server, its schedule and its images: one request each.

    :param max_age: as for :func:`.freshness.schedule_status`.
    :param clock: the time in seconds, for a cloud that does not send its own.
    :raises NoSuchServer: if there is neither such a server nor an image of it.
    :raises NotOffered: if the cloud has no scheduled images.
    """
    now = datetime.fromtimestamp(clock(), timezone.utc)
    try:
        answer = find_server(cloud.compute, server_id)
        item = answer.object("server")
        server = _with_schedule(cloud, read_server(answer, item))
        rules = cloud.schedules.rules(answer, shown=ATTRIBUTE in item)
        server = replace(server, rules=rules)
        now = read_date(answer) or now
        gone = False
    except NoSuchServer:
        own = cloud.compute.adapter.get_project_id()
        server = InventoryServer(server_id, "", project_id=own)
        gone = True
    images = ImageRetention.of(cloud).images_of(server_id)
    if gone and not images:
        raise NoSuchServer(server_id)
    retention = (server.schedule.retention or None) if server.schedule else None
    decisions = apply_policy(
        images,
        server_id,
        retention,
        server.project_id,
        rules=server.rules,
        base_image=server.image_id,
    )
    status = schedule_status(server, images, now, max_age)
    return ServerDetails(now, status, decisions, gone)


def _with_schedule(cloud: Cloud, server: InventoryServer) -> InventoryServer:
    try:
        return replace(server, schedule=cloud.schedules.get(server.id))
    except NoSchedule:
        return server
    except InvalidSchedule as error:
        return replace(server, invalid_tag=error.tag)
