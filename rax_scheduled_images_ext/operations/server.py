"""Reads one server with its schedule and all its images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client import servers
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NoSuchImage,
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
from rax_scheduled_images_ext.model.gone import last_name
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    PROTECTED_KEY,
    ServerImage,
    removed_marker,
)
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.model.verify import Verification, proofs_of
from rax_scheduled_images_ext.operations.inventory import Inventory
from rax_scheduled_images_ext.operations.schedules import find_schedule
from rax_scheduled_images_ext.operations.space import snapshot_sizes


@dataclass(frozen=True)
class ServerDetails:
    """A server's status and images; ``now`` is the time by the cloud's clock.

    ``images`` are the decisions on its images, newest first. ``gone`` is whether the
    server is deleted, so that only its images are left. ``sizes`` are those of the
    volume snapshots that they name, not known unless they were asked for.
    """

    now: datetime
    status: ScheduleStatus
    images: list[Decision]
    gone: bool = False
    sizes: Sizes = field(default=Sizes(None), repr=False)

    @property
    def server(self) -> InventoryServer:
        """The server itself."""
        return self.status.server

    @property
    def proofs(self) -> dict[str, Verification]:
        """The last proof of each image, by its ID."""
        images = (each.image for each in self.images)
        return proofs_of(images, self.server.project_id)

    def counted_again(self, image_id: str) -> tuple[Decision, Outlook]:
        """Return the decision on an image once it is no longer protected, and the
        outlook then.

        :raises NoSuchImage: if it is not one of the server's images.
        """
        images = {each.image.id: each.image for each in self.images}
        if image_id not in images:
            raise NoSuchImage(image_id)
        image = images[image_id]
        metadata = {k: v for k, v in image.metadata.items() if k != PROTECTED_KEY}
        metadata[MARKER_KEY] = removed_marker(image) or MARKER_VALUE
        images[image_id] = replace(image, metadata=metadata)
        schedule = self.server.schedule
        keep = schedule.keep if schedule else None
        decisions = decide_on(self.server, images.values(), keep)
        outlook = Outlook.of(decisions, schedule, self.now, self.status.next_due)
        decisions = outlook.dated(decisions)
        return next(each for each in decisions if each.image.id == image_id), outlook


def list_images(cloud: Cloud, server: str) -> list[Decision]:
    """Return the images of a server, newest first, with the fate of each and the
    reason.

    Also for a server that is gone: its images have no schedule, and are judged as those
    of a server of the user's own project.

    :param server: a name or an ID.
    :raises NoMatch: if there is no such server, and no image of one.
    :raises SeveralMatches: if several servers have the name.
    """

    def decisions(server_id: str) -> list[Decision]:
        try:
            try:
                schedule = find_schedule(cloud, server_id)
            except (InvalidSchedule, NotOffered):
                schedule = None
            found, now = read_server(cloud, server_id)
            server = replace(found, schedule=schedule)
            images = images_of(cloud, server_id)
            return _dated(schedule_status(server, images, now, MAX_AGE), images, now)
        except NoSuchServer:
            left = images_of(cloud, server_id)
            if not left:
                raise
            return decide_on(_gone(cloud, server_id), left, None)

    return servers.with_server(cloud.compute, server, decisions)


def read_status(
    cloud: Cloud, server: str, *, max_age: timedelta = MAX_AGE
) -> Inventory:
    """Read one server, as :func:`.inventory.read_inventory` reads all of them.

    :param server: a name or an ID.
    :param max_age: as for :func:`.freshness.schedule_status`.
    :raises NoSchedule: if it has no schedule.
    :raises InvalidSchedule: if its tags are no valid schedule.
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
    cloud: Cloud,
    server_id: str,
    *,
    max_age: timedelta = MAX_AGE,
    space: bool = False,
) -> ServerDetails:
    """Read one server, its schedule and its images: one request each.

    A server that is gone takes one more, for the time. Its name is that by its images.

    :param max_age: as for :func:`.freshness.schedule_status`.
    :param space: also find out what the images take: one request per page of volume
        snapshots if images have any.
    :raises NoSuchServer: if there is no such server, and no image of one.
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
        now = servers.find_time(cloud.compute, server_id)
    images = images_of(cloud, server_id)
    if gone and not images:
        raise NoSuchServer(server_id)
    if gone:
        own = (last_name(each) for each in images if each.owner == server.project_id)
        server = replace(server, name=next(filter(None, own), ""))
    sizes = snapshot_sizes(cloud, images) if space else None
    status = schedule_status(server, images, now, max_age, sizes)
    decisions = _dated(status, images, now)
    return ServerDetails(now, status, decisions, gone, sizes or Sizes(None))


def _dated(
    status: ScheduleStatus, images: list[ServerImage], now: datetime
) -> list[Decision]:
    """Return decisions on a server's images, with the days on which they go."""
    server, schedule = status.server, status.server.schedule
    decisions = decide_on(server, images, schedule.keep if schedule else None)
    return Outlook.of(decisions, schedule, now, status.next_due).dated(decisions)


def read_server(cloud: Cloud, server_id: str) -> tuple[InventoryServer, datetime]:
    """Return a server without its schedule, and the time by the cloud's clock.

    :raises NoSuchServer: if there is no such server.
    """
    answer = servers.find_server(cloud.compute, server_id)
    item = answer.object("server")
    rules = cloud.schedules.rules(answer, shown=ATTRIBUTE in item)
    server = servers.read_server(answer, item, rules=rules)
    return server, servers.date_of(answer)


def images_of(cloud: Cloud, server_id: str) -> list[ServerImage]:
    """Return all images of a server.

    Those that do not count are needed as well: copies are recognized by them.
    """
    return list(cloud.images.list(server_id=server_id))


def decide(cloud: Cloud, server_id: str, keep: Keep | int | None) -> list[Decision]:
    """Decide on the images of a server by what is to be kept, newest first.

    :raises NoSuchServer: if there is no such server.
    """
    server, _ = read_server(cloud, server_id)
    return decide_on(server, images_of(cloud, server_id), keep)


def _gone(cloud: Cloud, server_id: str) -> InventoryServer:
    """Return a deleted server, as known from its images."""
    own = cloud.compute.adapter.get_project_id()
    return InventoryServer(server_id, "", project_id=own)
