"""How a snapshot ended, which its server does not say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.errors import NoSuchImage, ScheduledImagesError
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.times import LONG_AGO
from rax_scheduled_images_ext.model.volume_snapshots import WHOLE, Wholeness
from rax_scheduled_images_ext.operations.proof import prove
from rax_scheduled_images_ext.operations.server import ServerDetails

_MADE = ("ACTIVE", "DEACTIVATED")
_LOST = ("ERROR", "DELETED")


class Ended(Enum):
    """How a snapshot ended."""

    MADE = "made"
    FAILED = "failed"
    #: The server is done, but the image is not ready.
    UNFINISHED = "unfinished"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SnapshotImage:
    """The image of a snapshot; its name is known even when it is gone."""

    id: str
    name: str


@dataclass(frozen=True)
class SnapshotEnd:
    """The end of a snapshot, and a sentence about it.

    ``started`` is when the snapshot was, None if that is unknown.
    """

    end: Ended
    text: str
    started: datetime | None = None

    @property
    def final(self) -> bool:
        """Whether it cannot change any more."""
        return self.end in (Ended.MADE, Ended.FAILED)


_UNKNOWN = SnapshotEnd(
    Ended.UNKNOWN, "The snapshot is over. The state of its image is unknown."
)
_UNFINISHED = SnapshotEnd(
    Ended.UNFINISHED, "The snapshot is over, but its image is not ready yet."
)


def image_in_the_making(details: ServerDetails) -> SnapshotImage | None:
    """Return the image that a server's snapshot is making, None if unknown.

    A server makes one at a time: older ones were left behind.
    """
    making = [each.image for each in details.images if each.image.status == "SAVING"]
    newest = max(making, key=lambda image: image.created or LONG_AGO, default=None)
    return SnapshotImage(newest.id, newest.name) if newest else None


def end_of_snapshot(
    cloud: Cloud, details: ServerDetails, made: SnapshotImage | None
) -> SnapshotEnd:
    """Determine how a server's newest snapshot ended.

    :param made: the snapshot's image, None if it is unknown.
    """
    image, gone = None, False
    if made is not None:
        try:
            image = _find(cloud, details, made.id)
        except NoSuchImage:
            gone = True
        except PASSING:
            # Neither made nor failed, as far as known.
            return _UNKNOWN
    if image is not None and image.status in _MADE:
        return _made(cloud, image)
    started, reason = _attempt(cloud, details.server.id)
    lost = image is not None and image.status in _LOST
    if reason or gone or lost:
        what = f"its image is {image.status}" if lost and image else "its image is gone"
        why = [*([what] if gone or lost else []), *([reason] if reason else [])]
        named = f" {made.name}" if made and made.name else ""
        text = f"The snapshot{named} has failed: {'; '.join(why).removesuffix('.')}."
        return SnapshotEnd(Ended.FAILED, text, started)
    return _UNKNOWN if image is None else _UNFINISHED


def _made(cloud: Cloud, image: ServerImage) -> SnapshotEnd:
    """Return the end of a snapshot whose image exists.

    That of a volume-backed server is ACTIVE before its volume snapshots are complete.
    """
    proof = prove(cloud, image) if image.status == "ACTIVE" else WHOLE
    if proof.wholeness is Wholeness.WAITING:
        return _UNFINISHED
    if proof.wholeness is Wholeness.UNPROVABLE:
        return _UNKNOWN
    if proof.wholeness is Wholeness.BROKEN:
        text = f"The snapshot {image.name} has failed: {proof.reason}."
        return SnapshotEnd(Ended.FAILED, text, image.created)
    text = f"The snapshot is over: the image {image.name} is ready."
    return SnapshotEnd(Ended.MADE, text)


def _attempt(cloud: Cloud, server_id: str) -> tuple[datetime | None, str | None]:
    """Return when a server's newest snapshot was started, and why it failed.

    Neither is known if its history cannot be read.
    """
    snapshots = Snapshots(cloud.compute)
    try:
        newest = next(iter(snapshots.attempts(server_id)), None)
    except (*PASSING, ScheduledImagesError):
        newest = None
    if newest is None:
        return None, None
    return newest.started, snapshots.failure(server_id, newest.request_id)


def _find(cloud: Cloud, details: ServerDetails, image_id: str) -> ServerImage:
    """Return an image of a server.

    :raises NoSuchImage: if it is neither listed nor found by its ID.
    """
    for each in details.images:
        if each.image.id == image_id:
            return each.image
    return cloud.images.get(image_id)
