"""Deleting one image of a server."""

from __future__ import annotations

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import (
    ImageProtected,
    NoSuchImage,
    NotASnapshot,
)
from rax_scheduled_images_ext.model.image import ServerImage


def delete_image(cloud: Cloud, server_id: str, image_id: str) -> ServerImage:
    """Delete an image of a server, read right before; return it as it was.

    :raises NoSuchImage: if there is none with this ID.
    :raises NotASnapshot: if it was not made of this server.
    :raises ImageProtected: if the image service protects it.
    """
    image = cloud.images.get(image_id)
    if image.status == "DELETED":
        raise NoSuchImage(image_id)
    if image.server_id != server_id:
        raise NotASnapshot(image_id, f"it is not one of server {server_id}")
    if image.protected:
        raise ImageProtected(image_id)
    cloud.images.delete(image)
    return image
