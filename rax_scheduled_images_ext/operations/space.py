"""What images take: the sizes of volume snapshots, and the project's quota."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.model.image import MAPPING_KEY, ServerImage
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.quota import FullQuota, day_full
from rax_scheduled_images_ext.model.space import Sizes


def snapshot_sizes(
    cloud: Cloud, images: Iterable[ServerImage], *, all_projects: bool = False
) -> Sizes:
    """Return the sizes of volume snapshots.

    They are read only if an image needs them: one request per page of snapshots.
    """
    if not any(MAPPING_KEY in image.metadata for image in images):
        return Sizes({})
    if cloud.volumes is None:
        return Sizes(None)
    try:
        found = cloud.volumes.snapshots(all_projects=all_projects)
        return Sizes({e.id: e.size for e in found if e.size is not None})
    except PASSING:
        return Sizes(None)


def quota_forecast(cloud: Cloud, outlooks: Sequence[Outlook]) -> FullQuota | None:
    """Return when the project's image quota is reached by some servers' images.

    None if the project has none, or the cloud does not show it.
    """
    quota = cloud.images.quota() if outlooks else None
    return None if quota is None else day_full(quota, outlooks)
