"""One server with its schedule and all its images, as they are now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import date_of, find_server
from rax_scheduled_images_ext.engine.clock import Clock, LookTime
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage


@dataclass(frozen=True)
class Look:
    """A server and its images, as they were seen with a cloud.

    ``time`` is that by which is decided, ``now`` the cloud's own, ``hidden`` are images
    that lists leave out, as far as they are known.
    """

    cloud: Cloud
    server: InventoryServer
    images: list[ServerImage]
    hidden: tuple[ServerImage, ...]
    clock: Clock
    time: LookTime
    now: datetime

    def again(self) -> Look:
        """Read the server again.

        :raises NoSuchServer: if it is gone.
        """
        return look(self.cloud, self.server.id, self.clock, self.hidden)


def look(
    cloud: Cloud, server_id: str, clock: Clock, hidden: Iterable[ServerImage] = ()
) -> Look:
    """Read a server and its images.

    :param hidden: images that lists omit.
    :raises NoSuchServer: if it is gone.
    """
    hidden, started = tuple(hidden), clock.seconds()
    answer = find_server(cloud.schedules.tags.compute, server_id)
    server = read_tagged_server(answer, answer.object("server"))
    # Of any type: an image whose type was changed later was made all the same.
    images = {image.id: image for image in hidden}
    for image in cloud.images.list(server_id=server_id):
        images[image.id] = image
    now = date_of(answer)
    time = LookTime(clock.time(now), started, clock)
    return Look(cloud, server, list(images.values()), hidden, clock, time, now)
