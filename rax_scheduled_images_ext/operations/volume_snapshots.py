"""The volume snapshots of images: whether they are whole, and deleting both together.

The snapshots go after the image, so that no image is left that names what is gone.
Whether they are the image's own is looked at before: if in doubt, it stays as well.
Once it is gone nothing names them, so they are marked before: by the mark those are
found that are left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from requests import codes

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import (
    ApiError,
    NoSuchImage,
    NoSuchVolumeSnapshot,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.model import volume_snapshots as model
from rax_scheduled_images_ext.model.volume_snapshots import (
    FATE_KEY,
    GOES,
    STAYS,
    Proof,
    SnapshotsInDoubt,
    VolumeSnapshot,
    deletion_metadata,
    ids_in_mapping,
    is_left,
    may_be_deleted_again,
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

    :param naming: which images may need the same snapshots, None to find out anew.
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
    own = own_snapshots(
        image,
        lambda wanted: naming.is_named(wanted, image.id),
        lambda wanted: _find(volumes, wanted),
    )
    marked = [each for each in own if _mark(volumes, each, image)]
    _delete_for_certain(images, image)
    here = [each.id for each in marked if not each.is_going]
    left = {each: why for each in here if (why := _delete(volumes, each))}
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
    ``reason`` says why not. ``orphaned`` is whether the image is known to be gone: only
    then is the snapshot in nobody's hands.
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
    now: datetime,
) -> list[Leftover]:
    """Delete the snapshots of one project that were left behind, one after another.

    Only what no image names any more is deleted. One whose deletion was accepted a
    short while ago is not deleted again so soon.

    :param images: the images of the project, as its members see them.
    :param volumes: the volume snapshots, likewise.
    :param left: what :func:`leftovers` has found of the project.
    :param now: the cloud's time.
    """
    done = []
    for snapshot in left:
        try:
            leftover = _delete_leftover(images, volumes, snapshot, naming, now)
        except NoSuchVolumeSnapshot:
            leftover = Leftover(snapshot, deleted=True, orphaned=True)
        except PASSING as error:
            leftover = Leftover(snapshot, reason=str(error))
        done.append(leftover)
    return done


def _delete_leftover(
    images: ImageStore,
    volumes: Volumes,
    snapshot: VolumeSnapshot,
    naming: NamingImages,
    now: datetime,
) -> Leftover:
    image_id = snapshot.image_id
    if image_id is None:
        return Leftover(snapshot, reason="it is not marked as to be deleted")
    if snapshot.project_id != volumes.project_id:
        return Leftover(snapshot, reason="it may belong to another project")
    if not images.is_gone(image_id):
        return Leftover(snapshot, reason=f"its image {image_id} is still there")
    why: str | None = None
    if not may_be_deleted_again(snapshot, now):
        why = f"it is {snapshot.status}, and not deleted again within an hour"
    elif not snapshot.is_deletable:
        why = f"it is {snapshot.status}, not available"
    elif naming.is_named(snapshot.id, image_id):
        # It is not listed again; with that image it may go.
        volumes.set_metadata(snapshot.id, {FATE_KEY: STAYS})
        return Leftover(snapshot, reason="another image names it")
    else:
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
