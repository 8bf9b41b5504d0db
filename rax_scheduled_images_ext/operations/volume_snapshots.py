"""The volume snapshots of images: whether they are whole, and deleting both together.

The snapshots go after the image, so that no image is left that names what is gone.
Whether they are the image's own is looked at before: if in doubt, it stays as well.
Once it is gone nothing names them, so they are marked before: by the mark those are
found that are left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from requests import codes

from rax_scheduled_images_ext.client.errors import (
    ApiError,
    NoSuchImage,
    NoSuchVolumeSnapshot,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.model import volume_snapshots as model
from rax_scheduled_images_ext.model.image import MAPPING_KEY
from rax_scheduled_images_ext.model.volume_snapshots import (
    FATE_KEY,
    GOES,
    STAYS,
    Proof,
    SnapshotsInDoubt,
    VolumeSnapshot,
    deletion_metadata,
    is_left,
    is_named,
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


@dataclass
class NamingImages:
    """All images that may name a volume snapshot, listed when they are first needed.

    One is for one look: all threads share it.
    """

    images: ImageStore
    _found: dict[str, ServerImage] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self) -> Sequence[ServerImage]:
        """Return the images; of their metadata only the mapping is there."""
        with self._lock:
            if self._found is None:
                self._found = {image.id: image for image in self._list()}
            return list(self._found.values())

    def forget(self, image: ServerImage) -> None:
        """Leave an image out that is gone."""
        with self._lock:
            if self._found is not None:
                self._found.pop(image.id, None)

    def _list(self) -> Iterator[ServerImage]:
        for hidden in (False, True):
            for image in self.images.list(hidden=hidden):
                mapping = image.metadata.get(MAPPING_KEY)
                if mapping is not None:
                    yield replace(image, metadata={MAPPING_KEY: mapping})


def prove(open_volumes: OpenVolumes, image: ServerImage) -> Proof:
    """Find out whether an image is whole: a request for each snapshot that it names."""

    def find(snapshot_id: str) -> VolumeSnapshot | None:
        try:
            return _read(open_volumes(), image, snapshot_id)
        except PASSING as error:
            raise SnapshotsInDoubt(
                f"its volume snapshot {snapshot_id}: {error}"
            ) from error

    return model.prove(image, find)


def delete_with_snapshots(
    images: ImageStore,
    open_volumes: OpenVolumes,
    image: ServerImage,
    naming: NamingImages | None = None,
) -> None:
    """Delete an image, and then its volume snapshots, if it has any.

    That the snapshots are to go is noted on them before: whoever looks later deletes
    what is left (see :func:`leftovers`).

    :param naming: the images that may name the same snapshots, None to list them anew.
    :raises NoSuchImage: if there is no such image; nothing was deleted.
    :raises SnapshotsInDoubt: if not all of its snapshots are known to be its own and
        can be deleted; nothing was deleted.
    :raises SnapshotsLeft: if the image is gone, and some of its snapshots are not.
    """
    if not named_snapshots(image):
        images.delete(image)
        return
    naming = naming or NamingImages(images)
    volumes = open_volumes()
    if volumes is None:
        raise SnapshotsInDoubt(
            "there is no block storage service to delete its volume snapshots by"
        )
    own = own_snapshots(image, naming(), lambda wanted: _find(volumes, wanted))
    marked = [each for each in own if _mark(volumes, each, image)]
    _delete_for_certain(images, image)
    naming.forget(image)
    left = {each.id: why for each in marked if (why := _delete(volumes, each.id))}
    if left:
        raise SnapshotsLeft(image.id, left)


def leftovers(
    volumes: Volumes, now: datetime, *, all_projects: bool = False
) -> list[VolumeSnapshot]:
    """Return the snapshots that should be gone by now, by one listing.

    Each names its image and its project. The image of one may still be there, if its
    deletion has failed; :func:`delete_leftovers` finds out.

    :param now: the cloud's time.
    :param all_projects: of all projects, which takes an administrator.
    """
    marked = volumes.with_metadata(FATE_KEY, GOES, all_projects=all_projects)
    return [snapshot for snapshot in marked if is_left(snapshot, now)]


@dataclass(frozen=True)
class Leftover:
    """A snapshot that should be gone, and what came of deleting it once more.

    ``deleted`` is whether the service has accepted that, or the snapshot is gone;
    ``reason`` says why not. ``orphaned`` is whether the image is known to be gone.
    """

    snapshot: VolumeSnapshot
    deleted: bool = False
    orphaned: bool = False
    reason: str = ""


def delete_leftovers(
    images: ImageStore,
    volumes: Volumes,
    left: Iterable[VolumeSnapshot],
    naming: NamingImages,
) -> list[Leftover]:
    """Delete the snapshots of one project that were left behind, one after another.

    Only what no image names any more is deleted.

    :param images: the images of the project, as its members see them.
    :param volumes: the volume snapshots, likewise.
    """
    return [_delete_leftover(images, volumes, each, naming) for each in left]


def _delete_leftover(
    images: ImageStore, volumes: Volumes, snapshot: VolumeSnapshot, naming: NamingImages
) -> Leftover:
    image_id = snapshot.image_id
    if image_id is None:
        return Leftover(snapshot, reason="it is not marked as to be deleted")
    try:
        if snapshot.project_id != volumes.project_id:
            return Leftover(snapshot, reason="it may belong to another project")
        if not images.is_gone(image_id):
            return Leftover(snapshot, reason=f"its image {image_id} is still there")
        if is_named(snapshot.id, naming()):
            # It is not listed again; with that image it may go.
            volumes.set_metadata(snapshot.id, {FATE_KEY: STAYS})
            return Leftover(snapshot, reason="another image names it")
    except NoSuchVolumeSnapshot:
        return Leftover(snapshot, deleted=True)
    except PASSING as error:
        return Leftover(snapshot, reason=str(error))
    why: str | None = f"it is {snapshot.status}, not available"
    if snapshot.is_deletable:
        why = _delete(volumes, snapshot.id)
    return Leftover(snapshot, deleted=why is None, orphaned=True, reason=why or "")


def _read(
    volumes: Volumes | None, image: ServerImage, snapshot_id: str
) -> VolumeSnapshot | None:
    """Return a snapshot of an image, None if it is gone.

    :raises SnapshotsInDoubt: if that cannot be told.
    """
    if volumes is None:
        raise SnapshotsInDoubt(
            "there is no block storage service to read its volume snapshots from"
        )
    with suppress(NoSuchVolumeSnapshot):
        return volumes.snapshot(snapshot_id)
    # Those of other projects are not shown, whether they are there or not.
    if image.owner is None or image.owner != volumes.project_id:
        raise SnapshotsInDoubt(
            f"its volume snapshot {snapshot_id} may be in another project"
        )
    return None


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


def _delete(volumes: Volumes, snapshot_id: str) -> str | None:
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
