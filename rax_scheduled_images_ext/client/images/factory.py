"""Which API a cloud's images are reached through."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from rax_scheduled_images_ext.client.http import sibling
from rax_scheduled_images_ext.client.images.base import ImageStore

Result = TypeVar("Result")


def image_store(cs: Any) -> ImageStore:
    """Open the image store of the cloud of a novaclient client.

    That is its image service, or compute's proxy of one where the catalog lists
    none in the region. No request is sent but for a token, if there is none yet.
    """
    from keystoneauth1.exceptions import EndpointNotFound

    from rax_scheduled_images_ext.client.images.compute import ComputeImages
    from rax_scheduled_images_ext.client.images.glance import GlanceImages

    client = partial(sibling, cs.client)
    try:
        endpoint = client(service_type="image").get_endpoint()
    except EndpointNotFound:
        endpoint = None
    if endpoint:
        return GlanceImages.at(endpoint, client)
    return ComputeImages.like(cs.client, client)
