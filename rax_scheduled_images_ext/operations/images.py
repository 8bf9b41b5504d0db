"""Deleting one image of a server, with the volume snapshots that were made for it."""

from __future__ import annotations

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    ImageProtected,
    NoSuchImage,
    NotASnapshot,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.operations.volume_snapshots import delete_with_snapshots


def delete_image(cloud: Cloud, server_id: str, image_id: str) -> ServerImage:
    """Delete an image of a server, read right before; return it as it was.

    :raises NoSuchImage: if there is none with this ID.
    :raises NotASnapshot: if it was not made of this server.
    :raises ImageProtected: if the image service protects it.
    :raises SnapshotsInDoubt: if not all of its volume snapshots are known to be its own
        and can be deleted; nothing was deleted.
    :raises SnapshotsLeft: if the image is gone, and some of its snapshots are not.
    """
    image = cloud.images.get(image_id)
    if image.status == "DELETED":
        raise NoSuchImage(image_id)
    if image.server_id != server_id:
        raise NotASnapshot(image_id, f"it is not one of server {server_id}")
    if image.protected:
        raise ImageProtected(image_id)
    delete_with_snapshots(cloud.images, lambda: cloud.volumes, image)
    return image
