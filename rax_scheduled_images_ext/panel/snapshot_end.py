"""How a snapshot ended, which its server does not say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.errors import NoSuchImage
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.times import LONG_AGO
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
class SnapshotEnd:
    """The end of a snapshot, and a sentence about it."""

    end: Ended
    text: str

    @property
    def final(self) -> bool:
        """Whether it cannot change any more."""
        return self.end in (Ended.MADE, Ended.FAILED)


_UNKNOWN = SnapshotEnd(
    Ended.UNKNOWN, "The snapshot is over. The state of its image is unknown."
)


def image_in_the_making(details: ServerDetails) -> str | None:
    """Return the ID of the image that a server's snapshot is making, None if unknown.

    A server makes one at a time: older ones were left behind.
    """
    making = [each.image for each in details.images if each.image.status == "SAVING"]
    newest = max(making, key=lambda image: image.created or LONG_AGO, default=None)
    return newest.id if newest else None


def end_of_snapshot(
    cloud: Cloud, details: ServerDetails, image_id: str | None
) -> SnapshotEnd:
    """Determine how a server's newest snapshot ended.

    :param image_id: the snapshot's image, None if it is unknown.
    """
    image, gone = None, False
    if image_id is not None:
        try:
            image = _find(cloud, details, image_id)
        except NoSuchImage:
            gone = True
        except PASSING:
            # Neither made nor failed, as far as known.
            return _UNKNOWN
    if image is not None and image.status in _MADE:
        return SnapshotEnd(
            Ended.MADE, f"The snapshot is over: the image {image.name} is ready."
        )
    reason = Snapshots(cloud.compute).failure(details.server.id)
    lost = image is not None and image.status in _LOST
    if reason or gone or lost:
        what = f"its image is {image.status}" if lost and image else "its image is gone"
        why = [*([what] if gone or lost else []), *([reason] if reason else [])]
        return SnapshotEnd(Ended.FAILED, f"The snapshot has failed: {'; '.join(why)}")
    if image is not None:
        return SnapshotEnd(
            Ended.UNFINISHED, "The snapshot is over, but its image is not ready yet."
        )
    return _UNKNOWN


def _find(cloud: Cloud, details: ServerDetails, image_id: str) -> ServerImage:
    """Return an image of a server.

    :raises NoSuchImage: if it is neither listed nor found by its ID.
    """
    for each in details.images:
        if each.image.id == image_id:
            return each.image
    return cloud.images.get(image_id)
