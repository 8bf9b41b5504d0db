"""Deletes an image, and the volume snapshots that were made for it.

The snapshots are deleted after the image, so that no remaining image names deleted
snapshots. First it is checked that they belong to this image alone; if in doubt,
nothing is deleted. Once the image is gone nothing names its snapshots, so they are
marked beforehand: snapshots that are left behind are found by the mark.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from requests import codes

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import (
    ApiError,
    ImageProtected,
    NoSuchImage,
    NoSuchVolumeSnapshot,
    NotASnapshot,
    SnapshotsInDoubt,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    VolumeSnapshot,
    deletion_metadata,
    ids_in_mapping,
    named_snapshots,
    own_snapshots,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.client.images.base import ImageStore
    from rax_scheduled_images_ext.client.volumes import Volumes
    from rax_scheduled_images_ext.model.image import ServerImage

_REFUSALS = (codes.unauthorized, codes.forbidden)


@dataclass
class NamingImages:
    """Which images name which volume snapshots, from one listing.

    It is read when first needed, and serves all deletions of one scan.
    """

    images: ImageStore
    #: The IDs of the images that name a snapshot, by the snapshot's ID.
    _names: dict[str, list[str]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def is_named(self, snapshot_id: str, image_id: str) -> bool:
        """Whether another existing image names a snapshot."""
        with self._lock:
            if self._names is None:
                self._names = self._read()
            others = self._names.get(snapshot_id, ())
        return any(
            not self.images.is_gone(other) for other in others if other != image_id
        )

    def _read(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for hidden in (False, True):
            for image in self.images.list(hidden=hidden):
                for snapshot_id in ids_in_mapping(image):
                    names.setdefault(snapshot_id, []).append(image.id)
        return names


def delete_image(
    cloud: Cloud, image: ServerImage, naming: NamingImages | None = None
) -> None:
    """Delete an image, and then its volume snapshots, if it has any.

    The snapshots are marked for deletion first: a later sweep deletes what is left of
    them (see :mod:`.engine.sweep`).

    :param naming: which images may need the same snapshots, None to read that now.
    :raises NoSuchImage: if there is no such image; nothing was deleted.
    :raises SnapshotsInDoubt: unless all of its snapshots are known to be its own and
        can be deleted; nothing was deleted.
    :raises SnapshotsLeft: if the image is gone, and some of its snapshots are not.
    """
    if not named_snapshots(image):
        cloud.images.delete(image)
        return
    naming = naming or NamingImages(cloud.images)
    volumes = cloud.volumes
    if volumes is None:
        raise SnapshotsInDoubt(
            "no block storage service in the catalog to delete its volume snapshots"
        )
    own = own_snapshots(
        image,
        lambda wanted: naming.is_named(wanted, image.id),
        lambda wanted: _find(volumes, wanted),
    )
    marked = [each for each in own if _mark(volumes, each, image)]
    _delete_for_certain(cloud.images, image)
    here = [each.id for each in marked if not each.is_going]
    left = {each: why for each in here if (why := delete_snapshot(volumes, each))}
    if left:
        raise SnapshotsLeft(image.id, left)


def delete_image_of(cloud: Cloud, server_id: str, image_id: str) -> ServerImage:
    """Delete an image of a server, which is read right before, and return it.

    The errors are those of :func:`delete_image`, and:

    :raises NotASnapshot: if it was not made of this server.
    :raises ImageProtected: if the image service protects it.
    """
    image = cloud.images.get(image_id)
    if image.status == "DELETED":
        raise NoSuchImage(image_id)
    if image.server_id != server_id:
        raise NotASnapshot(image_id, f"it is not an image of server {server_id}")
    if image.protected:
        raise ImageProtected(image_id)
    delete_image(cloud, image)
    return image


@contextmanager
def _in_doubt(snapshot_id: str) -> Iterator[None]:
    """Raise SnapshotsInDoubt if this user may not read or change a snapshot."""
    try:
        yield
    except NoSuchVolumeSnapshot:
        raise
    except ApiError as error:
        if error.status not in _REFUSALS:
            raise
        raise SnapshotsInDoubt(f"its volume snapshot {snapshot_id}: {error}") from error


def _find(volumes: Volumes, snapshot_id: str) -> VolumeSnapshot | None:
    """Return a snapshot, None if there is none.

    :raises SnapshotsInDoubt: if this user may not read it.
    """
    with suppress(NoSuchVolumeSnapshot), _in_doubt(snapshot_id):
        return volumes.snapshot(snapshot_id)
    return None


def _mark(volumes: Volumes, snapshot: VolumeSnapshot, image: ServerImage) -> bool:
    """Mark a snapshot for deletion with an image; return whether it exists.

    :raises SnapshotsInDoubt: if this user may not change it.
    """
    if snapshot.image_id == image.id:
        return True
    with suppress(NoSuchVolumeSnapshot), _in_doubt(snapshot.id):
        volumes.set_metadata(snapshot.id, deletion_metadata(image))
        return True
    return False


def _delete_for_certain(images: ImageStore, image: ServerImage) -> None:
    """Delete an image; if the response is unclear, find out whether it is gone."""
    try:
        images.delete(image)
    except NoSuchImage:
        raise
    except PASSING:
        if not images.is_gone(image.id):
            raise


def delete_snapshot(volumes: Volumes, snapshot_id: str) -> str | None:
    """Delete a snapshot; return why it is left, None if it is deleted."""
    try:
        volumes.delete_snapshot(snapshot_id)
    except NoSuchVolumeSnapshot:
        pass
    except PASSING as error:
        return None if _is_going(volumes, snapshot_id) else str(error)
    return None


def _is_going(volumes: Volumes, snapshot_id: str) -> bool:
    """Whether a snapshot is being deleted by somebody else, or is gone."""
    try:
        return volumes.snapshot(snapshot_id).is_going
    except NoSuchVolumeSnapshot:
        return True
    except PASSING:
        return False
