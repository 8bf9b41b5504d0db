"""Checks whether the image of a volume-backed server is complete, by its snapshots."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from requests import codes

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import (
    ApiError,
    NoSuchVolumeSnapshot,
    SnapshotsInDoubt,
)
from rax_scheduled_images_ext.model import volume_snapshots as model
from rax_scheduled_images_ext.model.volume_snapshots import Proof, VolumeSnapshot

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.client.volumes import Volumes
    from rax_scheduled_images_ext.model.image import ServerImage


def prove(cloud: Cloud, image: ServerImage) -> Proof:
    """Find out whether an image is complete: one request for each of its snapshots."""
    return _prove(cloud, image, lambda error: True)


def prove_now(cloud: Cloud, image: ServerImage) -> Proof:
    """Find out the same for somebody who asks again.

    What no later request can tell is unprovable; an error that may pass is raised.
    """
    return _prove(cloud, image, _is_refusal)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.status == codes.forbidden


def _prove(
    cloud: Cloud, image: ServerImage, is_answer: Callable[[Exception], bool]
) -> Proof:
    """Find out whether an image is complete.

    :param is_answer: whether an error makes it unprovable; others are raised.
    """

    def find(snapshot_id: str) -> VolumeSnapshot | None:
        try:
            return _read(cloud.volumes, image, snapshot_id)
        except PASSING as error:
            if not is_answer(error):
                raise
            raise SnapshotsInDoubt(
                f"its volume snapshot {snapshot_id}: {error}"
            ) from error

    return model.prove(image, find)


def _read(
    volumes: Volumes | None, image: ServerImage, snapshot_id: str
) -> VolumeSnapshot | None:
    """Return a snapshot of an image, None if it is gone.

    :raises SnapshotsInDoubt: if that is unknown.
    """
    if volumes is None:
        raise SnapshotsInDoubt(
            "no block storage service in the catalog to read its volume snapshots from"
        )
    with suppress(NoSuchVolumeSnapshot):
        return volumes.snapshot(snapshot_id)
    # Snapshots of other projects are never shown.
    if image.owner is None or image.owner != volumes.project_id:
        raise SnapshotsInDoubt(
            f"its volume snapshot {snapshot_id} may be in another project"
        )
    return None
