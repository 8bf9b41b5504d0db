"""The schemas of images: attributes and their types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft4Validator, ValidationError

from rax_scheduled_images_ext.sandbox.http.common import HttpError

Json = dict[str, Any]

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

CONTAINER_FORMATS = "ami ari aki bare ovf ova docker compressed".split()
DISK_FORMATS = "ami ari aki vhd vhdx vmdk raw qcow2 vdi iso ploop".split()
VISIBILITIES = "community public private shared".split()
STATUSES = (
    "queued saving active killed deleted uploading importing pending_delete"
    " deactivated".split()
)


def _text(most: int, *, null: bool = True, **more: Any) -> Json:
    kind: Any = ["null", "string"] if null else "string"
    return {"type": kind, "maxLength": most, **more}


_READ_ONLY: Json = {"readOnly": True}
_NO_LESS_THAN_0 = ("min_disk", "min_ram")


def _url(description: str) -> Json:
    return {"type": "string", "description": description, **_READ_ONLY}


# A location of the data of an image, and its metadata.
_LOCATION: Json = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": {
            "type": "object",
            "description": "What the data must be",
            "writeOnly": True,
            "additionalProperties": False,
            "properties": {
                "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                "os_hash_algo": {"type": "string", "maxLength": 64},
                "os_hash_value": {"type": "string", "maxLength": 128},
            },
            "required": ["os_hash_algo", "os_hash_value"],
        },
    },
    "required": ["url", "metadata"],
}

PROPERTIES: Mapping[str, Json] = {
    "id": {
        "type": "string",
        "pattern": "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}"
        "-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$",
        "description": "The image's UUID",
    },
    "name": _text(255, description="Name of the image"),
    "status": {
        "type": "string",
        "enum": STATUSES,
        "description": "Status of the image",
        **_READ_ONLY,
    },
    "visibility": {
        "type": "string",
        "enum": VISIBILITIES,
        "description": "Who may see the image",
    },
    "protected": {
        "type": "boolean",
        "description": "Whether the image is protected against deletion",
    },
    "os_hidden": {
        "type": "boolean",
        "description": "Whether the image is left out of lists",
    },
    "checksum": _text(32, description="MD5 of the data", **_READ_ONLY),
    "os_hash_algo": _text(64, description="Kind of os_hash_value", **_READ_ONLY),
    "os_hash_value": _text(128, description="Hash of the data", **_READ_ONLY),
    "owner": _text(255, description="The project that the image belongs to"),
    "size": {
        "type": ["null", "integer"],
        "description": "Bytes of data",
        **_READ_ONLY,
    },
    "virtual_size": {
        "type": ["null", "integer"],
        "description": "Bytes of the disk inside",
        **_READ_ONLY,
    },
    "container_format": {
        "type": ["null", "string"],
        "enum": [None, *CONTAINER_FORMATS],
        "description": "What the disk is wrapped in",
    },
    "disk_format": {
        "type": ["null", "string"],
        "enum": [None, *DISK_FORMATS],
        "description": "How the disk is written",
    },
    "created_at": {
        "type": "string",
        "description": "When it was created",
        **_READ_ONLY,
    },
    "updated_at": {
        "type": "string",
        "description": "When it last changed",
        **_READ_ONLY,
    },
    "tags": {
        "type": "array",
        "items": {"type": "string", "maxLength": 255},
        "description": "Tags of the image",
    },
    "direct_url": _url("Where its store has the image"),
    "min_ram": {"type": "integer", "description": "MiB of memory needed to boot"},
    "min_disk": {"type": "integer", "description": "GiB of disk needed to boot"},
    "self": _url("Path of the image"),
    "file": _url("Path of the image's data"),
    "stores": _url("The stores that have the image's data"),
    "schema": _url("Path of the schema of an image"),
    "locations": {
        "type": "array",
        "items": _LOCATION,
        "description": "Where the image's data is",
    },
}

READ_ONLY = frozenset(
    "created_at updated_at status checksum size virtual_size direct_url self file"
    " schema id os_hash_algo os_hash_value".split()
)
NOT_IN_NEW = ("direct_url", "self", "file", "schema", "stores")
RESERVED = frozenset({"location", "deleted", "deleted_at"})
RESERVED_PREFIX = "os_glance"


def image_schema() -> Json:
    """Return the JSON schema of an image."""
    return {
        "name": "image",
        "properties": PROPERTIES,
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def images_schema() -> Json:
    """Return the JSON schema of a list of images."""
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": image_schema()},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def check(key: str, value: object) -> None:
    """Check that an attribute or custom property may have this value.

    :raises HttpError: 400 in Glance's form, if not.
    """
    try:
        Draft4Validator(image_schema()).validate({key: value})
    except ValidationError as error:
        text = f"Provided object does not match schema 'image': {error}"
        raise HttpError(400, text) from None
    if key in _NO_LESS_THAN_0 and isinstance(value, int) and value < 0:
        raise HttpError(
            400,
            f"Invalid value '{value}' for parameter '{key}': Cannot be a negative"
            " value",
        )


def denied(why: str) -> HttpError:
    """Return the error for a request that the user may not make."""
    return HttpError(403, "Access was denied to this resource.", detail=why)


def conflict(why: str) -> HttpError:
    """Return the error for a request that the image's state forbids."""
    text = "There was a conflict when trying to complete your request."
    return HttpError(409, text, detail=why)


def unsupported(
    content_type: str, why: str, headers: Mapping[str, str] | None = None
) -> HttpError:
    """Return the error for a body of the wrong type."""
    return HttpError(
        415,
        f"The request media type {content_type} is not supported by this server.",
        headers,
        detail=why,
    )


def check_key(key: str) -> None:
    """Check that clients may change the property.

    :raises HttpError: 403 if not.
    """
    if key in RESERVED or key.startswith(RESERVED_PREFIX):
        raise HttpError(403, f"Attribute '{key}' is reserved.")
