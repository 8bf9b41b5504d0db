"""An image of a server as data, and the metadata that identifies a scheduled one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from rax_scheduled_images_ext.model.times import LONG_AGO

Result = TypeVar("Result")


# The service recognizes "its" images by this metadata; removing it keeps the image for
# good.
MARKER_KEY = "org.openstack__1__created_by"


MARKER_VALUE = "scheduled_images_service"


SERVER_KEY = "instance_uuid"


# What Nova itself writes on a snapshot that a user or a service requested. The images
# of `nova backup`, which rotates them itself, have another value.
TYPE_KEY, SNAPSHOT, BACKUP = "image_type", "snapshot", "backup"
#: With a true value, the guest agent is to freeze the server's file systems meanwhile.
AGENT_KEY = "hw_qemu_guest_agent"


# Further metadata of each scheduled image. It is ordinary metadata, so the snapshots of
# a server booted from the image inherit it.
#: The name of the slot that the image was made for, such as ``2026-01-05``.
SLOT_KEY = "scheduled_images_slot"
#: The request that made it: the server's ID, a colon, and a nonce.
RUN_KEY = "scheduled_images_run"
#: Present until the image is known to be complete; until then it does not count.
PENDING_KEY, PENDING = "scheduled_images_retention", "pending"
#: Written once the image is known to be complete: its ID, a colon, and its run's nonce.
#: In a copy, such as the snapshot of a server booted from it, the ID is another
#: image's; in an image of a later run the nonce is another run's.
OWN_KEY = "scheduled_images_id"
#: Written at the same time: what is known of the server, as JSON (see :mod:`.server`).
FACTS_KEY = "scheduled_images_server"
#: The last proof that an image of the server boots (see :mod:`.verify`); it begins with
#: the ID of the image that carries it.
VERIFIED_KEY = "scheduled_images_verified"
#: When the server was deleted (see :mod:`.gone`); it begins with the ID of the image
#: that carries it.
GONE_KEY = "scheduled_images_gone"
#: That a command stopped what writes on the server (see :mod:`.consistency`).
HOOK_KEY = "scheduled_images_hook"
#: On a safety image until its restore is done, and on a new server for good: what was
#: restored from what, and what no other restore has.
RESTORE_KEY = "scheduled_images_restore"
#: On a safety image whose restore is done: its own ID, which no copy of it has.
SAFETY_KEY = "scheduled_images_safety"
#: On an empty, short-lived image that claims an attempt to make an image.
CLAIM_KEY = "scheduled_images_claim"

#: Where the data of a volume-backed server's image is, as JSON: the image is empty.
MAPPING_KEY = "block_device_mapping"

#: The marker that protecting an image removed: the image's ID, a colon, and the value.
#: The ID is there because a server's snapshots inherit the metadata of its base image,
#: and nobody has protected them.
PROTECTED_KEY = "scheduled_images_ext_protected"


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
    GONE_KEY,
    PROTECTED_KEY,
    HOOK_KEY,
    AGENT_KEY,
)


@dataclass(frozen=True, slots=True)
class ServerImage:
    """An image as the compute API describes it.

    ``status`` is the compute API's word in capitals (ACTIVE, SAVING, ERROR, DELETED,
    UNKNOWN), ``created`` and ``updated`` are aware UTC times, ``size`` is in bytes,
    ``min_disk`` in GiB, ``min_ram`` in MiB, ``progress`` in per cent; ``protected`` is
    None if the API does not show it. ``owner`` is the ID of the project that owns the
    image, None if unknown. ``is_queued`` is whether a SAVING image is known to have no
    data yet, ``hidden`` whether the image service omits it from lists.
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
        """Whether the image carries the marker of the scheduled images service."""
        return self.metadata.get(MARKER_KEY) == MARKER_VALUE


# Unix seconds have had nine digits or more since 1973. The letter case may differ: some
# documents of the service write its names without capitals.
_SERVICE_NAME = re.compile(
    "(daily|weekly)-(.+)-[0-9]{9,11}", re.IGNORECASE | re.DOTALL | re.ASCII
)


def removed_marker(image: ServerImage) -> str | None:
    """Return the marker that protecting this image removed, None for none."""
    owner, _, marker = image.metadata.get(PROTECTED_KEY, "").partition(":")
    return marker or None if owner == image.id else None


def named_by_service(image: ServerImage) -> bool:
    """Whether the scheduled images service gives such names.

    The server's name in it is not compared: the server may have been renamed.
    """
    return _SERVICE_NAME.fullmatch(image.name) is not None


def named_weekly(image: ServerImage) -> bool:
    """Whether the service gives such names to images of weekly schedules."""
    return named_by_service(image) and image.name[:1] in "wW"


def name_in_service_name(image: ServerImage) -> str | None:
    """Return the server's name in a name that the service gives; None if it is not."""
    found = _SERVICE_NAME.fullmatch(image.name)
    return found[2] if found else None


#: The maximum length of an image's name.
LONGEST_NAME = 255


def scheduled_image_name(
    server_name: str, *, weekly: bool, now: float, longest: int = LONGEST_NAME
) -> str:
    """Return the name of a scheduled image; only the server's name in it is ever cut.

    :param now: when it is made, in unix seconds.
    :param longest: its maximum length.
    """
    prefix, suffix = ("Weekly-" if weekly else "Daily-"), f"-{int(now)}"
    return prefix + server_name[: longest - len(prefix + suffix)] + suffix


def run_metadata(server_id: str, slot: str, nonce: str) -> dict[str, str]:
    """Return the metadata of a new scheduled image.

    It overrides what the server inherits from its base image, all but OWN_KEY, which
    means nothing with the nonce of another run.

    :param slot: the name of the slot that it is made for.
    :param nonce: unique to the request.
    """
    return {
        # Nova adds these two itself, unless the server boots from a volume.
        SERVER_KEY: server_id,
        TYPE_KEY: SNAPSHOT,
        MARKER_KEY: MARKER_VALUE,
        SLOT_KEY: slot,
        RUN_KEY: f"{server_id}:{nonce}",
        PENDING_KEY: PENDING,
    }


def claim_metadata(server_id: str, claim: str) -> dict[str, str]:
    """Return the metadata of an empty image, to find it if it is left behind."""
    return {
        SERVER_KEY: server_id,
        TYPE_KEY: SNAPSHOT,
        MARKER_KEY: MARKER_VALUE,
        CLAIM_KEY: claim,
    }


def nonce_of(image: ServerImage) -> str:
    """Return the nonce of the image's run, empty if no run made it."""
    return image.metadata.get(RUN_KEY, "").partition(":")[2]


def own_metadata(image: ServerImage) -> dict[str, str]:
    """Return the metadata that distinguishes an image from its copies."""
    return {OWN_KEY: f"{image.id}:{nonce_of(image)}"}


def original_of(image: ServerImage) -> str | None:
    """Return the ID of the scheduled image of which this may be a copy.

    :returns: None if the image does not say.
    """
    own = image.metadata.get(OWN_KEY)
    if own is None:
        return None
    original, _, nonce = own.partition(":")
    return original if original and nonce == nonce_of(image) else None


def age_order(image: ServerImage) -> tuple[datetime, str]:
    """Return a sort key, greater for newer images; an image of unknown age is old."""
    return (image.created or LONG_AGO, image.id)


def inherited_copies(images: Iterable[ServerImage]) -> frozenset[str]:
    """Return the IDs of the images that inherited another image's properties.

    The snapshots of a server that was booted from an image, or rebuilt with it, inherit
    all its properties. Nova overrides the server's ID in them, unless the server boots
    from a volume. If no image of a run has its OWN_KEY yet, the oldest is the original.
    """
    copies = set()
    runs: set[tuple[str | None, str]] = set()
    known = [
        (original_of(image), image)
        for image in images
        if OWN_KEY in image.metadata or RUN_KEY in image.metadata
    ]
    known.sort(key=lambda each: (each[0] != each[1].id, age_order(each[1])))
    for original, image in known:
        run = image.metadata.get(RUN_KEY)
        if original is not None:
            is_copy = original != image.id
        elif run is None:
            continue
        else:
            # Anyone can publish an image that names a run.
            is_copy = (image.owner, run) in runs or not _names(run, image.server_id)
        if is_copy:
            copies.add(image.id)
        if run is not None:
            runs.add((image.owner, run))
    return frozenset(copies)


def made_by_run(image: ServerImage, server_id: str) -> bool:
    """Whether a run made this image of this server, judging by the image alone.

    A snapshot of a server booted from such an image names another server, or the image
    of which it is a copy.
    """
    return (
        image.server_id == server_id
        and _names(image.metadata.get(RUN_KEY, ""), server_id)
        and original_of(image) in (None, image.id)
    )


def _names(run: str, server_id: str | None) -> bool:
    """Whether a run belongs to this server."""
    return run.partition(":")[0] == server_id
