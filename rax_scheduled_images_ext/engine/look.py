"""A look at one server: its schedule and all its images, as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import (
    find_server,
    read_date,
    read_facts,
)
from rax_scheduled_images_ext.engine.times import Clock, LookTime
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.server import ServerFacts


@dataclass(frozen=True)
class Look:
    """A server and its images, hidden ones as far as they are known.

    ``facts`` is all that is shown of the server. ``time`` is that by which is decided,
    ``now`` the cloud's own.
    """

    server: InventoryServer
    facts: ServerFacts
    images: list[ServerImage]
    time: LookTime
    now: datetime


@dataclass(frozen=True)
class Looking:
    """How one server is looked at, as often as is needed.

    :param hidden: images that lists leave out.
    """

    cloud: Cloud
    server_id: str
    clock: Clock
    hidden: tuple[ServerImage, ...] = ()

    def look(self) -> Look:
        """Read the server and its images.

        :raises NoSuchServer: if it is gone.
        """
        started = self.clock.seconds()
        answer = find_server(self.cloud.schedules.tags.compute, self.server_id)
        item = answer.object("server")
        server, facts = read_tagged_server(answer, item), read_facts(answer, item)
        # Whatever their type: an image whose type was changed was made all the same.
        images = {image.id: image for image in self.hidden}
        for image in self.cloud.images.list(server_id=self.server_id):
            images[image.id] = image
        now = date_of(answer)
        time = self.clock.looked(started, now)
        return Look(server, facts, list(images.values()), time, now)


def date_of(answer: ApiResponse) -> datetime:
    """Return the cloud's time; one that names none is taken to have this machine's."""
    return read_date(answer) or datetime.now(timezone.utc)
