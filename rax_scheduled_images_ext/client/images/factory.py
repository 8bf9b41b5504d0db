"""Which API a cloud's images are reached through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rax_scheduled_images_ext.client.images.base import ImageStore

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud


def image_store(cloud: Cloud) -> ImageStore:
    """Open the image store of a cloud.

    That is its image service, or compute's proxy of one where the catalog lists
    none in the region. No request is sent but for a token, if there is none yet.
    """
    from keystoneauth1.exceptions import EndpointNotFound

    try:
        endpoint = cloud.transport("image").adapter.get_endpoint()
    except EndpointNotFound:
        endpoint = None
    # Late, because a cloud needs just one of them.
    if endpoint:
        from rax_scheduled_images_ext.client.images.glance import GlanceImages

        return GlanceImages.at(cloud, endpoint)
    from rax_scheduled_images_ext.client.images.compute import ComputeImages

    return ComputeImages.of(cloud)
