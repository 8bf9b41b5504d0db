"""Deleting an image, and the volume snapshots that were made for it.

The snapshots go after the image, so that no image is left that names what is gone.
Whether they are the image's own is looked at before: if in doubt, it stays as well.
Once it is gone nothing names them, so they are marked before: by the mark those are
found that are left behind.
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
    """Which images name which volume snapshots, as one listing says.

    It is read when it is first needed, and serves all deletions of one look.
    """

    images: ImageStore
    #: The IDs of the images that name a snapshot, by the snapshot's.
    _names: dict[str, list[str]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def is_named(self, snapshot_id: str, image_id: str) -> bool:
        """Whether an image besides this one names a snapshot, and is still there."""
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

    That the snapshots are to go is noted on them before: whoever looks later deletes
    what is left (see :mod:`.engine.sweep`).

    :param naming: which images may need the same snapshots, None to find out anew.
    :raises NoSuchImage: if there is no such image; nothing was deleted.
    :raises SnapshotsInDoubt: if not all of its snapshots are known to be its own and
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
            "there is no block storage service to delete its volume snapshots by"
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
    """Delete an image of a server, read right before; return it as it was.

    The errors are those of :func:`delete_image`, and:

    :raises NotASnapshot: if it was not made of this server.
    :raises ImageProtected: if the image service protects it.
    """
    image = cloud.images.get(image_id)
    if image.status == "DELETED":
        raise NoSuchImage(image_id)
    if image.server_id != server_id:
        raise NotASnapshot(image_id, f"it is not one of server {server_id}")
    if image.protected:
        raise ImageProtected(image_id)
    delete_image(cloud, image)
    return image


@contextmanager
def _in_doubt(snapshot_id: str) -> Iterator[None]:
    """Be in doubt about a snapshot that this user may not look at, or not change."""
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

    :raises SnapshotsInDoubt: if this user may not look at it.
    """
    with suppress(NoSuchVolumeSnapshot), _in_doubt(snapshot_id):
        return volumes.snapshot(snapshot_id)
    return None


def _mark(volumes: Volumes, snapshot: VolumeSnapshot, image: ServerImage) -> bool:
    """Note on a snapshot that it goes with an image; return whether it is there.

    :raises SnapshotsInDoubt: if this user may not do that.
    """
    if snapshot.image_id == image.id:
        return True
    with suppress(NoSuchVolumeSnapshot), _in_doubt(snapshot.id):
        volumes.set_metadata(snapshot.id, deletion_metadata(image))
        return True
    return False


def _delete_for_certain(images: ImageStore, image: ServerImage) -> None:
    """Delete an image, and find out if it is gone where the answer does not say so."""
    try:
        images.delete(image)
    except NoSuchImage:
        raise
    except PASSING:
        if not images.is_gone(image.id):
            raise


def delete_snapshot(volumes: Volumes, snapshot_id: str) -> str | None:
    """Delete a snapshot; return why it is left, None if it is not."""
    try:
        volumes.delete_snapshot(snapshot_id)
    except NoSuchVolumeSnapshot:
        pass
    except PASSING as error:
        return None if _is_going(volumes, snapshot_id) else str(error)
    return None


def _is_going(volumes: Volumes, snapshot_id: str) -> bool:
    """Whether somebody else is deleting a snapshot, or has done so."""
    try:
        return volumes.snapshot(snapshot_id).is_going
    except NoSuchVolumeSnapshot:
        return True
    except PASSING:
        return False
