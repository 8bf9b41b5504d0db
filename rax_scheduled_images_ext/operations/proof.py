"""Whether the image of a volume-backed server is whole: its snapshots are looked at."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import NoSuchVolumeSnapshot, SnapshotsInDoubt
from rax_scheduled_images_ext.model import volume_snapshots as model
from rax_scheduled_images_ext.model.volume_snapshots import Proof, VolumeSnapshot

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.client.volumes import Volumes
    from rax_scheduled_images_ext.model.image import ServerImage


def prove(cloud: Cloud, image: ServerImage) -> Proof:
    """Find out whether an image is whole: a request for each snapshot that it names."""

    def find(snapshot_id: str) -> VolumeSnapshot | None:
        try:
            return _read(cloud.volumes, image, snapshot_id)
        except PASSING as error:
            raise SnapshotsInDoubt(
                f"its volume snapshot {snapshot_id}: {error}"
            ) from error

    return model.prove(image, find)


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
