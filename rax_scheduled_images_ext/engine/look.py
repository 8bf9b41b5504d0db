"""What a region holds at one moment: its schedules, and the images of all runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import find_server, read_date
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.plan import Policy, Step, plan

#: For how long what was looked at need not be read again.
FRESH = timedelta(seconds=5)


@dataclass(frozen=True)
class Look:
    """The servers that have schedules, and all snapshots, by the cloud's clock.

    ``images`` are those of each server, by its ID. They are not only the marked ones:
    an image from which its marker was taken, to keep it, was made for its slot as well.
    """

    now: datetime
    servers: list[InventoryServer]
    images: Mapping[str, list[ServerImage]]

    @property
    def snapshots(self) -> Iterator[ServerImage]:
        """The images of all servers."""
        for images in self.images.values():
            yield from images


@dataclass(frozen=True)
class LookTime:
    """The time by which a look decides, and how it goes on while steps are done.

    :param looked: the time that was when the clock showed ``started``.
    :param clock: seconds that never go back.
    :param speed: how many times faster time passes.
    """

    looked: datetime
    started: float
    clock: Callable[[], float]
    speed: float

    @property
    def now(self) -> datetime:
        """The present time."""
        passed = (self.clock() - self.started) * self.speed
        return self.looked + timedelta(seconds=passed)

    def is_fresh(self, read: datetime) -> bool:
        """Whether what was read at a time need not be read again."""
        return self.now - read <= FRESH


def look(cloud: Cloud, *, all_projects: bool = False) -> Look:
    """Read the schedules and the images of a project: a request for each page.

    :param all_projects: of all projects, which takes an administrator.
    :raises NotOffered: if the cloud knows no server tags.
    """
    servers: dict[str, InventoryServer] = {}
    now = None
    more = {"all_tenants": "1"} if all_projects else {}
    for page in cloud.schedules.tags.server_pages("/servers/detail", True, more):
        # A cloud that names no time is taken to have this machine's.
        now = now or read_date(page) or datetime.now(timezone.utc)
        for item in page.objects("servers"):
            server = read_tagged_server(page, item)
            servers[server.id] = server
    assert now is not None
    images: dict[str, list[ServerImage]] = {}
    for image in cloud.images.list(snapshots=True):
        images.setdefault(str(image.server_id), []).append(image)
    return Look(now, list(servers.values()), images)


def look_at(cloud: Cloud, server_id: str) -> Look:
    """Read one server and its images.

    :raises NoSuchServer: if it is gone.
    """
    answer = find_server(cloud.schedules.tags.compute, server_id)
    server = read_tagged_server(answer, answer.object("server"))
    now = read_date(answer) or datetime.now(timezone.utc)
    images = list(cloud.images.list(server_id=server_id, snapshots=True))
    return Look(now, [server], {server_id: images})


def plan_all(found: Look, policy: Policy, at: datetime | None = None) -> list[Step]:
    """Decide for every server, those first whose images were due first.

    :param at: the time to decide by, None for the cloud's own.
    """
    steps = [
        plan(server, found.images.get(server.id, ()), at or found.now, policy)
        for server in found.servers
    ]
    return sorted(
        steps, key=lambda step: (str(step.slot and step.slot.due), step.server.id)
    )
