"""Deleting an image together with the volume snapshots that were made for it.

The snapshots go after the image, so that no image is left that names what is gone.
Whether they are the image's own is looked at before: if in doubt, it stays as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from requests import codes

from rax_scheduled_images_ext.client.errors import (
    ApiError,
    NoSuchImage,
    NoSuchVolumeSnapshot,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.model.volume_snapshots import (
    SnapshotsInDoubt,
    VolumeSnapshot,
    named_snapshots,
    own_snapshots,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.images.base import ImageStore
    from rax_scheduled_images_ext.client.volumes import Volumes
    from rax_scheduled_images_ext.model.image import ServerImage

    #: Opens the block storage service; None where a cloud has none.
    OpenVolumes = Callable[[], Volumes | None]

_REFUSALS = (codes.unauthorized, codes.forbidden)


def delete_with_snapshots(
    images: ImageStore, open_volumes: OpenVolumes, image: ServerImage
) -> None:
    """Delete an image, and then its volume snapshots, if it has any.

    :raises NoSuchImage: if there is no such image; nothing was deleted.
    :raises SnapshotsInDoubt: if not all of its snapshots are known to be its own and
        can be deleted; nothing was deleted.
    :raises SnapshotsLeft: if the image is gone, and some of its snapshots are not.
    """
    if not named_snapshots(image):
        images.delete(image)
        return
    volumes = open_volumes()
    if volumes is None:
        raise SnapshotsInDoubt(
            "there is no block storage service to delete its volume snapshots by"
        )
    every = [*images.list(), *images.list(hidden=True)]
    own = own_snapshots(image, every, lambda wanted: _find(volumes, wanted))
    _delete_for_certain(images, image)
    left = {each: why for each in own if (why := _delete(volumes, each))}
    if left:
        raise SnapshotsLeft(image.id, left)


def _find(volumes: Volumes, snapshot_id: str) -> VolumeSnapshot | None:
    """Return a snapshot, None if there is none.

    :raises SnapshotsInDoubt: if this user may not look at it.
    """
    try:
        return volumes.snapshot(snapshot_id)
    except NoSuchVolumeSnapshot:
        return None
    except ApiError as error:
        if error.status not in _REFUSALS:
            raise
        raise SnapshotsInDoubt(f"its volume snapshot {snapshot_id}: {error}") from error


def _delete_for_certain(images: ImageStore, image: ServerImage) -> None:
    """Delete an image, and find out if it is gone where the answer does not say so.

    Nothing else will name its snapshots any more.
    """
    try:
        images.delete(image)
    except NoSuchImage:
        raise
    except PASSING:
        with suppress(NoSuchImage):
            images.get(image)
            raise


def _delete(volumes: Volumes, snapshot_id: str) -> str | None:
    """Delete a snapshot; return why it is left, None if it is not."""
    try:
        volumes.delete_snapshot(snapshot_id)
    except NoSuchVolumeSnapshot:
        pass
    except PASSING as error:
        return str(error)
    return None
