"""Deletes the empty images and volume snapshots that were left behind."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.client.volumes import Volumes
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.errors import (
    NoSuchImage,
    NoSuchServer,
    NoSuchVolumeSnapshot,
    ScheduledImagesError,
)
from rax_scheduled_images_ext.model.image import CLAIM_KEY, ServerImage, made_by_run
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.model.plan import ABANDONED_AFTER
from rax_scheduled_images_ext.model.volume_snapshots import (
    FATE_KEY,
    GOES,
    STAYS,
    VolumeSnapshot,
    is_left,
    may_be_deleted_again,
)
from rax_scheduled_images_ext.operations.delete import (
    NamingImages,
    delete_image,
    delete_snapshot,
)

# The age at which an image without data is swept, and a note, which is useless once its
# slot is over.
_ORPHAN_AGE = timedelta(days=1)


def is_left_behind(image: ServerImage, now: datetime) -> bool:
    """Whether a runner made the image and it will never get any data."""
    if not image.is_queued or image.created is None or image.owner is None:
        return False
    age = now - image.created
    claim = image.metadata.get(CLAIM_KEY)
    if claim is not None:
        return age > (_ORPHAN_AGE if claim == NOTE else ABANDONED_AFTER)
    return made_by_run(image, str(image.server_id)) and age > _ORPHAN_AGE


def delete_left_behind(cloud: Cloud, image: ServerImage) -> bool:
    """Delete an image that was left behind, unless it has data by now.

    While the server has a task, that may still fill the image.

    :returns: whether it was deleted.
    """
    if CLAIM_KEY not in image.metadata:
        with suppress(NoSuchServer):
            server = Snapshots(cloud.compute).server(str(image.server_id))
            if server.task_state is not None:
                return False
    with suppress(NoSuchImage):
        image = cloud.images.get(image)
        if image.is_queued:
            delete_image(cloud, image)
            return True
    return False


@dataclass(frozen=True)
class Leftover:
    """A snapshot that should be gone, and the result of deleting it again.

    ``deleted`` is whether the service accepted that, or the snapshot is gone, and
    ``reason`` why not. ``orphaned`` is whether the image is known to be gone: only then
    does nothing refer to the snapshot.
    """

    snapshot: VolumeSnapshot
    deleted: bool = False
    orphaned: bool = False
    reason: str = ""


def sweep_volumes(
    projects: Projects, now: datetime, naming: NamingImages
) -> list[Leftover]:
    """Delete the volume snapshots that should have gone with their images.

    :raises ApiError: as :func:`left_snapshots`.
    """
    found = left_snapshots(projects, now)
    done: list[Leftover] = []
    for project_id, group in groupby(sorted(found, key=_project), key=_project):
        left, everywhere = list(group), projects.all_projects
        try:
            cloud = projects.of(project_id) if everywhere else projects.listing
            done += delete_leftovers(cloud, left, naming, now)
        except (*PASSING, ScheduledImagesError) as error:
            done += [Leftover(snapshot, reason=str(error)) for snapshot in left]
    return done


def left_snapshots(projects: Projects, now: datetime) -> list[VolumeSnapshot]:
    """Return the volume snapshots that should be gone with their images: one listing.

    Each names its image and its project. The image may still exist if its deletion
    failed; :func:`delete_leftovers` checks that.

    :param now: the cloud's time.
    :raises ApiError: if they cannot be listed, or any other error in ``PASSING``.
    """
    volumes, everywhere = projects.listing.volumes, projects.all_projects
    if volumes is None:
        return []
    marked = volumes.with_metadata(FATE_KEY, GOES, all_projects=everywhere)
    return [snapshot for snapshot in marked if is_left(snapshot, now)]


def _project(snapshot: VolumeSnapshot) -> str:
    return snapshot.project_id or ""


def delete_leftovers(
    cloud: Cloud,
    left: Iterable[VolumeSnapshot],
    naming: NamingImages,
    now: datetime,
) -> list[Leftover]:
    """Delete the snapshots left behind in one project, one after another.

    Only snapshots that no image names any more are deleted. After a deletion was
    accepted, it is not repeated too soon.

    :param cloud: as the members of the project see it.
    :param left: what :func:`left_snapshots` found in the project.
    :param now: the cloud's time.
    """
    done: list[Leftover] = []
    volumes = cloud.volumes
    if volumes is None:
        return done
    for snapshot in left:
        try:
            leftover = _delete_leftover(cloud.images, volumes, snapshot, naming, now)
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
        return Leftover(snapshot, reason="it is not marked for deletion")
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
        # It is not listed again; it is deleted with that image, if at all.
        volumes.set_metadata(snapshot.id, {FATE_KEY: STAYS})
        return Leftover(snapshot, reason="another image names it")
    else:
        why = delete_snapshot(volumes, snapshot.id)
    return Leftover(snapshot, deleted=why is None, orphaned=True, reason=why or "")
