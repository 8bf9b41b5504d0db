"""Versions, schemas and capabilities of the image API.

There is one store, without a name: openstacksdk cannot change images of a Glance with
named stores.
"""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.http.common import Call
from rax_scheduled_images_ext.sandbox.image import schemas
from rax_scheduled_images_ext.sandbox.image.views import Json

_CURRENT = "v2.17"
_MIB, _UNLIMITED = 2**20, -1
# As in a Glance with one store, in its order.
_VERSIONS = (
    *("v2.15", "v2.9", _CURRENT),
    *("v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"),
)


def version_list(root: str) -> Json:
    """Return the document of all versions; ``root`` is the service's own URL."""
    link = {"rel": "self", "href": f"{root.rstrip('/')}/v2/"}
    return {
        "versions": [
            {
                "id": version,
                "status": "CURRENT" if version == _CURRENT else "SUPPORTED",
                "links": [link],
            }
            for version in _VERSIONS
        ]
    }


def image_schema(_call: Call) -> ResponseReturnValue:
    """GET /schemas/image"""
    return schemas.image_schema()


def images_schema(_call: Call) -> ResponseReturnValue:
    """GET /schemas/images"""
    return schemas.images_schema()


def import_methods(_call: Call) -> ResponseReturnValue:
    """GET /info/import; there are none: data is sent with ``PUT /images/{id}/file``."""
    methods = {"description": "Import methods available.", "type": "array", "value": []}
    return {"import-methods": methods}


def usage(call: Call) -> ResponseReturnValue:
    """GET /info/usage; nothing without a quota, as without Keystone's limits.

    Only the number of images is limited, as by ``--image-quota``.
    """
    quota = call.services.cloud.image_quota
    if quota is None:
        return {"usage": {}}
    used = call.region.images.usage(call.project_id)
    shown = {
        "image_size_total": (_UNLIMITED, used.size // _MIB),
        "image_stage_total": (_UNLIMITED, 0),
        "image_count_total": (quota, used.number),
        "image_count_uploading": (_UNLIMITED, used.uploading),
    }
    return {
        "usage": {
            name: {"limit": limit, "usage": number}
            for name, (limit, number) in shown.items()
        }
    }
