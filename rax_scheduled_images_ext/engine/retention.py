"""Applying the retention once the image of a slot is ACTIVE."""

from __future__ import annotations

from contextlib import suppress

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import (
    ApiError,
    ImageProtected,
    NoSuchImage,
)
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import PENDING_KEY, ServerImage
from rax_scheduled_images_ext.model.retention import apply_policy
from rax_scheduled_images_ext.operations.prune import PrunedImage, delete_surplus
from rax_scheduled_images_ext.operations.retention import ImageRetention


def apply_retention(
    cloud: Cloud,
    server: InventoryServer,
    images: list[ServerImage],
    newest: ServerImage,
) -> list[PrunedImage]:
    """Delete what the server's retention has no place for, and note that on an image.

    The images are read anew before each deletion: whatever has changed since ``images``
    were read counts. Without a valid schedule nothing is deleted. An image that cannot
    be deleted keeps no other from it; where that may pass, the retention is applied
    again at the next look.

    :param server: as it was read a moment ago.
    :param images: the marked images of the server, as far as they are known.
    :param newest: the image that takes the place of those that go.
    :returns: what was done with each image, the oldest first.
    """
    if server.schedule is None:
        return []
    kept = ImageRetention.of(cloud)
    server_id, retention = server.id, server.schedule.retention
    proven = {newest.id}
    decisions = apply_policy(
        images, server_id, retention, server.project_id, proven=proven
    )
    pruned = []
    for decision in reversed(decisions):
        if not decision.surplus:
            continue
        try:
            pruned.append(delete_surplus(kept, decision, proven))
        except ImageProtected as error:
            image = decision.image
            pruned.append(PrunedImage(server_id, image, "skipped", str(error)))
        except PASSING as error:
            image = decision.image
            pruned.append(PrunedImage(server_id, image, "failed", str(error), error))
    failed = (each.error for each in pruned if each.action == "failed")
    if any(error and not _is_refusal(error) for error in failed):
        return pruned
    # If somebody has deleted it, there is nothing left to note.
    with suppress(NoSuchImage):
        cloud.images.delete_metadata(newest, [PENDING_KEY])
    return pruned


def _is_refusal(error: Exception) -> bool:
    """Whether the same request would be refused again."""
    return isinstance(error, ApiError) and error.status in (
        codes.forbidden,
        codes.conflict,
    )
