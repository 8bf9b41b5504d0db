"""One server with its schedule and all its images, as they are now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import (
    date_of,
    find_server,
    read_facts,
)
from rax_scheduled_images_ext.engine.clock import Clock, LookTime
from rax_scheduled_images_ext.errors import ApiError
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.server import ServerFacts

#: The first microversion in which servers show what their flavor is, and no longer its
#: ID. A flavor cannot be renamed.
_FLAVORS_VERSION = "2.47"


@dataclass(frozen=True)
class Look:
    """A server and its images, as read from a cloud.

    ``facts`` is everything that the cloud shows about the server. ``time`` is the time
    that decisions are based on, ``now`` the cloud's own. ``hidden`` are the known
    images that lists omit.
    """

    cloud: Cloud
    server: InventoryServer
    facts: ServerFacts
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
    answer = _find(cloud, server_id)
    item = answer.object("server")
    server, facts = read_tagged_server(answer, item), read_facts(answer, item)
    # Of any type: an image whose type was changed later counts all the same.
    images = {image.id: image for image in hidden}
    for image in cloud.images.list(server_id=server_id):
        images[image.id] = image
    now = date_of(answer)
    time = LookTime(clock.time(now), started, clock)
    found = list(images.values())
    return Look(cloud, server, facts, found, hidden, clock, time, now)


def _find(cloud: Cloud, server_id: str) -> ApiResponse:
    """Return the response with a server, with the name and the sizes of its flavor.

    Clouds that are too old for these show the ID of the flavor.
    """
    try:
        newer = cloud.transport("compute", default_microversion=_FLAVORS_VERSION)
        return find_server(newer, server_id)
    except ApiError as error:
        if error.status != codes.not_acceptable:
            raise
    return find_server(cloud.schedules.tags.compute, server_id)
