"""Sweeping: deleting the empty images and volume snapshots that were left behind."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.errors import (
    NoSuchImage,
    NoSuchServer,
    ScheduledImagesError,
)
from rax_scheduled_images_ext.model.image import CLAIM_KEY, ServerImage, made_by_run
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.model.plan import ABANDONED_AFTER
from rax_scheduled_images_ext.model.volume_snapshots import VolumeSnapshot
from rax_scheduled_images_ext.operations.volume_snapshots import (
    Leftover,
    NamingImages,
    delete_leftovers,
    delete_with_snapshots,
    leftovers,
)

# How old an image that never got any data is when it is swept, and a note, which is of
# no use once its slot is over.
_ORPHAN_AGE = timedelta(days=1)


def is_left_behind(image: ServerImage, now: datetime) -> bool:
    """Whether a runner has made the image, and it will never get any data."""
    if not image.is_queued or image.created is None or image.owner is None:
        return False
    age = now - image.created
    claim = image.metadata.get(CLAIM_KEY)
    if claim is not None:
        return age > (_ORPHAN_AGE if claim == NOTE else ABANDONED_AFTER)
    return made_by_run(image, str(image.server_id)) and age > _ORPHAN_AGE


def delete_left_behind(cloud: Cloud, image: ServerImage) -> bool:
    """Delete an image that was left behind, unless it has got data since.

    While the server has a task the image may be what that fills.

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
            delete_with_snapshots(cloud.images, lambda: cloud.volumes, image)
            return True
    return False


def sweep_volumes(
    projects: Projects, now: datetime, naming: NamingImages
) -> list[Leftover]:
    """Delete the volume snapshots that should have gone with their images.

    :raises ApiError: as :func:`left_snapshots`.
    """
    found = left_snapshots(projects, now)
    done: list[Leftover] = []
    for project_id, group in groupby(sorted(found, key=_project), key=_project):
        done += _delete(projects, project_id, list(group), naming, now)
    return done


def left_snapshots(projects: Projects, now: datetime) -> list[VolumeSnapshot]:
    """Return the volume snapshots that should have gone with their images.

    :raises ApiError: if they cannot be listed, or whatever else ``PASSING`` names.
    """
    volumes = projects.listing.volumes
    if volumes is None:
        return []
    return leftovers(volumes, now, all_projects=projects.all_projects)


def _project(snapshot: VolumeSnapshot) -> str:
    return snapshot.project_id or ""


def _delete(
    projects: Projects,
    project_id: str,
    left: list[VolumeSnapshot],
    naming: NamingImages,
    now: datetime,
) -> list[Leftover]:
    try:
        cloud = projects.of(project_id) if projects.all_projects else projects.listing
        volumes = cloud.volumes
        if volumes is None:
            return []
        return delete_leftovers(cloud.images, volumes, left, naming, now)
    except (*PASSING, ScheduledImagesError) as error:
        return [Leftover(snapshot, reason=str(error)) for snapshot in left]
