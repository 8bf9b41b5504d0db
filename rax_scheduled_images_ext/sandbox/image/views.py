"""Images in the form of the image API."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.sandbox.backend.models import Image
from rax_scheduled_images_ext.sandbox.http.common import isotime

Json = dict[str, Any]

_HASH = "sha512"
# A disk in this format is as large as its data.
_PLAIN_FORMATS = ("raw", "iso", "ami", "ari", "aki")


def image_view(image: Image) -> Json:
    """Return an image, with all its properties."""
    path = f"/v2/images/{image.id}"
    plain = image.disk_format in _PLAIN_FORMATS
    return {
        **image.properties,
        "name": image.name or None,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "visibility": image.visibility,
        "size": image.size,
        "virtual_size": (image.size or None) if plain else None,
        "status": image.status,
        "checksum": image.checksum,
        "protected": image.protected,
        "min_ram": image.min_ram,
        "min_disk": image.min_disk,
        "owner": image.owner,
        "os_hidden": image.hidden,
        "os_hash_algo": image.sha512 and _HASH,
        "os_hash_value": image.sha512,
        "id": image.id,
        "created_at": isotime(image.created),
        "updated_at": isotime(image.updated),
        "tags": list(image.tags),
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }
