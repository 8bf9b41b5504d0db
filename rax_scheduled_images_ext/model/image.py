"""An image of a server as data, and the metadata by which the service knows its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
#: There as long as the image is not known to be whole, so that it counts for nothing.
PENDING_KEY, PENDING = "scheduled_images_retention", "pending"
#: Written once the image is known to be whole: its ID, a colon, and the nonce of its
#: run. On a copy of it, such as the snapshot of a server that was booted from it, the
#: ID is another's; on an image of a later run the nonce is another's.
OWN_KEY = "scheduled_images_id"
#: Written then too: what is known of the server, as JSON (see :mod:`.server`).
FACTS_KEY = "scheduled_images_server"
#: The last proof that an image of the server boots (see :mod:`.verify`); it begins with
#: the ID of the image that carries it.
VERIFIED_KEY = "scheduled_images_verified"
#: On an empty image that exists for a moment, to claim that an image is being made.
CLAIM_KEY = "scheduled_images_claim"

#: Where the data of a volume-backed server's image is, as JSON: the image has none.
MAPPING_KEY = "block_device_mapping"


#: The metadata by which a snapshot is judged.
TELLING = (
    MARKER_KEY,
    SERVER_KEY,
    TYPE_KEY,
    SLOT_KEY,
    RUN_KEY,
    PENDING_KEY,
    OWN_KEY,
    CLAIM_KEY,
    MAPPING_KEY,
    VERIFIED_KEY,
)


@dataclass(frozen=True)
class ServerImage:
    """An image as the compute API describes it.

    ``status`` is the compute API's word in capitals (ACTIVE, SAVING, ERROR,
    DELETED, UNKNOWN), ``created`` and ``updated`` are aware UTC times,
    ``size`` is in bytes, ``min_disk`` in GiB, ``min_ram`` in MiB, ``progress``
    in per cent; ``protected`` is None if the API does not show it. ``owner`` is the
    ID of the project that the image belongs to, None if it is unknown. ``is_queued`` is
    whether an image that is SAVING is known to have no data so far, ``hidden`` whether
    the image service leaves it out of its lists.
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
    hidden: bool = False

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
    "(daily|weekly)-(.+)-[0-9]{9,11}", re.IGNORECASE | re.DOTALL | re.ASCII
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


def name_in_service_name(image: ServerImage) -> str | None:
    """Return the server's name in a name that the service gives; None if it is not."""
    found = _SERVICE_NAME.fullmatch(image.name)
    return found[2] if found else None


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

    All of it is given, so that nothing is left of what the server's base image had, but
    for its OWN_KEY: with the nonce of another run it says nothing.

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


def nonce_of(image: ServerImage) -> str:
    """Return what no other run than that of the image has, empty if no run made it."""
    return image.metadata.get(RUN_KEY, "").partition(":")[2]


def own_metadata(image: ServerImage) -> dict[str, str]:
    """Return the metadata by which copies of an image are told from it."""
    return {OWN_KEY: f"{image.id}:{nonce_of(image)}"}


def original_of(image: ServerImage) -> str | None:
    """Return the ID of the image that a run has made, of which this may be a copy.

    :returns: None if the image does not say.
    """
    original, _, nonce = image.metadata.get(OWN_KEY, "").partition(":")
    return original if original and nonce == nonce_of(image) else None


def age_order(image: ServerImage) -> tuple[float, str]:
    """Return what is greater the younger an image is; of unknown age it is old."""
    return (image.created.timestamp() if image.created else 0.0, image.id)


def inherited_copies(images: Iterable[ServerImage]) -> frozenset[str]:
    """Return the IDs of the images that have another's properties.

    A server that is booted from an image, or rebuilt to one, hands all properties on to
    its own snapshots. Nova overrides the server's ID in them, but only where the server
    does not boot from a volume. Where an image does not say what it is (one of those
    made before OWN_KEY was written), the oldest of a run is the original.
    """
    copies = set()
    runs: set[tuple[str | None, str]] = set()

    def order(image: ServerImage) -> tuple[bool, tuple[float, str]]:
        return original_of(image) != image.id, age_order(image)

    for image in sorted(images, key=order):
        run, original = image.metadata.get(RUN_KEY), original_of(image)
        if original is not None:
            is_copy = original != image.id
        elif run is None:
            continue
        else:
            # Anybody can publish an image that names a run.
            is_copy = (image.owner, run) in runs or not _names(run, image.server_id)
        if is_copy:
            copies.add(image.id)
        if run is not None:
            runs.add((image.owner, run))
    return frozenset(copies)


def made_by_run(image: ServerImage, server_id: str) -> bool:
    """Whether a run has made the image of this server, as far as it shows by itself.

    A snapshot of a server that was booted from such an image names another server, or
    the image that it is a copy of.
    """
    return (
        image.server_id == server_id
        and _names(image.metadata.get(RUN_KEY, ""), server_id)
        and original_of(image) in (None, image.id)
    )


def _names(run: str, server_id: str | None) -> bool:
    """Whether a run is one of this server."""
    return run.partition(":")[0] == server_id
