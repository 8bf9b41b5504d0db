"""An image of a server as data, and the metadata by which the service knows its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

Result = TypeVar("Result")


# The service finds "its" images by this one piece of metadata; whoever removes
# it keeps the image for good.
MARKER_KEY = "org.openstack__1__created_by"


MARKER_VALUE = "scheduled_images_service"


SERVER_KEY = "instance_uuid"


# What Nova itself writes on what it makes of a server at a user's or a service's
# request; the images of `nova backup`, which only it rotates, have another word.
TYPE_KEY, SNAPSHOT = "image_type", "snapshot"


# What each image of a schedule carries besides. All are ordinary metadata, so a server
# booted from the image hands them on to its own snapshots.
#: The day that the image was made for, such as ``2026-01-05``.
SLOT_KEY = "scheduled_images_slot"
#: The request that made it: the server's ID, a colon, and what no other request has.
RUN_KEY = "scheduled_images_run"
#: There as long as the retention has not been applied since the image was made.
PENDING_KEY, PENDING = "scheduled_images_retention", "pending"
#: On an empty image that exists for a moment, to claim that an image is being made.
CLAIM_KEY = "scheduled_images_claim"
#: Its value where the image claims a place among the snapshots under way.
PLACE = "place"


#: The metadata by which a snapshot is judged.
TELLING = (MARKER_KEY, SERVER_KEY, SLOT_KEY, RUN_KEY, PENDING_KEY, CLAIM_KEY)


@dataclass(frozen=True)
class ServerImage:
    """An image as the compute API describes it.

    ``status`` is the compute API's word in capitals (ACTIVE, SAVING, ERROR,
    DELETED, UNKNOWN), ``created`` and ``updated`` are aware UTC times,
    ``size`` is in bytes, ``min_disk`` in GiB, ``min_ram`` in MiB, ``progress``
    in per cent; ``protected`` is None if the API does not show it. ``owner`` is the
    ID of the project that the image belongs to, None if it is unknown. ``is_queued`` is
    whether an image that is SAVING is known to have no data so far.
    """

    id: str
    name: str
    status: str
    created: datetime | None = None
    updated: datetime | None = None
    size: int | None = None
    min_disk: int = 0
    min_ram: int = 0
    progress: int = 0
    server_id: str | None = None
    owner: str | None = None
    protected: bool | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_queued: bool = False

    @property
    def scheduled(self) -> bool:
        """Whether the scheduled images service takes the image for its own."""
        return self.metadata.get(MARKER_KEY) == MARKER_VALUE


#: What an image was protected from: its own id, a colon, and the marker's value.
#: The id is there because servers hand what their base image has on to their own
#: snapshots, which nobody has protected.
PROTECTED_KEY = "scheduled_images_ext_protected"


# Unix seconds have had nine digits or more since 1973. The capitals are not
# counted on: some documents of the service write its names without.
_SERVICE_NAME = re.compile(
    "(daily|weekly)-.+-[0-9]{9,11}", re.IGNORECASE | re.DOTALL | re.ASCII
)


def removed_marker(image: ServerImage) -> str | None:
    """Return the marker that protecting this image took away, None for none."""
    owner, _, marker = image.metadata.get(PROTECTED_KEY, "").partition(":")
    return marker or None if owner == image.id else None


def named_by_service(image: ServerImage) -> bool:
    """Whether the name is one that the scheduled images service gives.

    The server in it is not compared: it may have been called so once.
    """
    return _SERVICE_NAME.fullmatch(image.name) is not None


#: How long the name of an image may be.
LONGEST_NAME = 255


def scheduled_image_name(
    server_name: str, *, weekly: bool, now: float, longest: int = LONGEST_NAME
) -> str:
    """Return the name of a scheduled image; only the server's part is ever cut.

    :param now: when it is made, in unix seconds.
    :param longest: how many characters it may have.
    """
    prefix, suffix = ("Weekly-" if weekly else "Daily-"), f"-{int(now)}"
    return prefix + server_name[: longest - len(prefix + suffix)] + suffix


def run_metadata(server_id: str, slot: str, nonce: str) -> dict[str, str]:
    """Return the metadata of a new scheduled image.

    All of it is given, so that nothing is left of what the server's base image had.

    :param slot: the day that it is made for.
    :param nonce: what no other request has.
    """
    return {
        # Nova adds these two itself, but for servers that boot from a volume.
        SERVER_KEY: server_id,
        TYPE_KEY: SNAPSHOT,
        MARKER_KEY: MARKER_VALUE,
        SLOT_KEY: slot,
        RUN_KEY: f"{server_id}:{nonce}",
        PENDING_KEY: PENDING,
    }


def claim_metadata(server_id: str, claim: str) -> dict[str, str]:
    """Return the metadata of an empty image, by which it is found if it is left."""
    return {
        SERVER_KEY: server_id,
        TYPE_KEY: SNAPSHOT,
        MARKER_KEY: MARKER_VALUE,
        CLAIM_KEY: claim,
    }


def made_by_run(image: ServerImage, server_id: str) -> bool:
    """Whether a run has made the image of this server.

    A snapshot of a server that was booted from such an image names another server.
    """
    run_server = image.metadata.get(RUN_KEY, "").partition(":")[0]
    return image.server_id == server_id == run_server
