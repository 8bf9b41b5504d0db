"""One server with its schedule and all its images, at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.client import servers
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NoSuchServer,
    NotOffered,
)
from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import (
    MAX_AGE,
    InventoryServer,
    ScheduleStatus,
    decide_on,
    schedule_status,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.operations.inventory import Inventory
from rax_scheduled_images_ext.operations.schedules import find_schedule


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


def list_images(cloud: Cloud, server: str) -> list[Decision]:
    """Return the images of a server, newest first, and what becomes of each and why.

    The images of a server that is gone are still there, without a schedule; they
    are judged as those of a server of the user's own project.

    :param server: a name or an ID.
    :raises NoMatch: if there is neither such a server nor an image of it.
    :raises SeveralMatches: if several servers have the name.
    """

    def decisions(server_id: str) -> list[Decision]:
        try:
            try:
                schedule = find_schedule(cloud, server_id)
            except (InvalidSchedule, NotOffered):
                schedule = None
            return decide(cloud, server_id, schedule.keep if schedule else None)
        except NoSuchServer:
            left = images_of(cloud, server_id)
            if not left:
                raise
            return decide_on(_gone(cloud, server_id), left, None)

    return servers.with_server(cloud.compute, server, decisions)


def read_status(
    cloud: Cloud, server: str, *, max_age: timedelta = MAX_AGE
) -> Inventory:
    """Read one server as :func:`.inventory.read_inventory` reads all.

    :param server: a name or an ID.
    :param max_age: as for :func:`.freshness.schedule_status`.
    :raises NoSchedule: if it has no schedule.
    :raises InvalidSchedule: if its tags are no schedule.
    :raises NoMatch: if there is no such server.
    :raises SeveralMatches: if several have the name.
    :raises NotOffered: if the cloud has no scheduled images.
    """

    def read(server_id: str) -> Inventory:
        schedule = cloud.schedules.get(server_id)
        found, now = read_server(cloud, server_id)
        scheduled = replace(found, schedule=schedule)
        images = images_of(cloud, server_id)
        return Inventory(now, [schedule_status(scheduled, images, now, max_age)])

    return servers.with_server(cloud.compute, server, read)


def read_server_details(
    cloud: Cloud, server_id: str, *, max_age: timedelta = MAX_AGE
) -> ServerDetails:
    """Read one server, its schedule and its images: one request each.

    :param max_age: as for :func:`.freshness.schedule_status`.
    :raises NoSuchServer: if there is neither such a server nor an image of it.
    :raises NotOffered: if the cloud has no scheduled images.
    """
    schedule, invalid_tag, gone = None, None, False
    try:
        try:
            schedule = find_schedule(cloud, server_id)
        except InvalidSchedule as error:
            invalid_tag = error.tag
        found, now = read_server(cloud, server_id)
        server = replace(found, schedule=schedule, invalid_tag=invalid_tag)
    except NoSuchServer:
        server, gone = _gone(cloud, server_id), True
        now = datetime.now(timezone.utc)
    images = images_of(cloud, server_id)
    if gone and not images:
        raise NoSuchServer(server_id)
    status = schedule_status(server, images, now, max_age)
    keep = server.schedule.keep if server.schedule else None
    return ServerDetails(now, status, decide_on(server, images, keep), gone)


def read_server(cloud: Cloud, server_id: str) -> tuple[InventoryServer, datetime]:
    """Return a server without its schedule, and the time by the cloud's clock.

    :raises NoSuchServer: if there is no such server.
    """
    answer = servers.find_server(cloud.compute, server_id)
    item = answer.object("server")
    rules = cloud.schedules.rules(answer, shown=ATTRIBUTE in item)
    server = replace(servers.read_server(answer, item), rules=rules)
    return server, servers.date_of(answer)


def images_of(cloud: Cloud, server_id: str) -> list[ServerImage]:
    """Return all images of a server.

    Those that do not count are needed as well: copies are told by them.
    """
    return list(cloud.images.list(server_id=server_id))


def decide(cloud: Cloud, server_id: str, keep: Keep | int | None) -> list[Decision]:
    """Decide on the images of a server by what is to be kept, newest first.

    :raises NoSuchServer: if there is no such server.
    """
    server, _ = read_server(cloud, server_id)
    return decide_on(server, images_of(cloud, server_id), keep)


def _gone(cloud: Cloud, server_id: str) -> InventoryServer:
    """Return a server of which only images are left."""
    own = cloud.compute.adapter.get_project_id()
    return InventoryServer(server_id, "", project_id=own)
