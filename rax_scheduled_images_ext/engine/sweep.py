"""Sweeping: deleting the empty images that runners have left behind."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import NoSuchImage
from rax_scheduled_images_ext.model.image import CLAIM_KEY, ServerImage, made_by_run
from rax_scheduled_images_ext.model.plan import ABANDONED_AFTER
from rax_scheduled_images_ext.operations.volume_snapshots import delete_with_snapshots

# How old an image that never got any data is when it is swept.
_ORPHAN_AGE = timedelta(days=1)


def is_left_behind(image: ServerImage, now: datetime) -> bool:
    """Whether a runner has made the image, and it will never get any data."""
    if not image.is_queued or image.created is None or image.owner is None:
        return False
    age = now - image.created
    if CLAIM_KEY in image.metadata:
        return age > ABANDONED_AFTER
    return made_by_run(image, str(image.server_id)) and age > _ORPHAN_AGE


def delete_left_behind(cloud: Cloud, image: ServerImage) -> bool:
    """Delete an image that was left behind, unless it has got data since.

    :returns: whether it was deleted.
    """
    with suppress(NoSuchImage):
        image = cloud.images.get(image)
        if image.is_queued:
            delete_with_snapshots(cloud.images, lambda: cloud.volumes, image)
            return True
    return False
