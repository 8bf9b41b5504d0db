"""Parses and applies changes to an image: lists of JSON patch operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rax_scheduled_images_ext.sandbox.backend.models import Image
from rax_scheduled_images_ext.sandbox.http.common import HttpError
from rax_scheduled_images_ext.sandbox.image import schemas

# The content types, and whether operations are written ``{"add": path}`` (the
# older draft) or ``{"op": "add", "path": path}``.
CONTENT_TYPES = {
    "application/openstack-images-v2.0-json-patch": True,
    "application/openstack-images-v2.1-json-patch": False,
}
_OPERATIONS = ("add", "remove", "replace")
# The cloud's own names of attributes, if they differ.
_COLUMNS = {"os_hidden": "hidden"}
_SETTABLE = frozenset(
    "name visibility protected os_hidden min_disk min_ram disk_format"
    " container_format tags".split()
)


@dataclass(frozen=True)
class Change:
    """One operation; ``strict_add`` refuses to add an existing property."""

    operation: str
    key: str
    value: Any = None
    strict_add: bool = False


@dataclass
class Changed:
    """The result of a change: the attributes to set, and all properties."""

    properties: dict[str, str]
    attributes: dict[str, Any] = field(default_factory=dict)


def parse(content_type: str, body: object) -> list[Change]:
    """Parse the operations of a request.

    :raises HttpError: 415 for another content type, 400 for an invalid list, 403 for
        attributes that no client may change.
    """
    if content_type not in CONTENT_TYPES:
        allowed = ", ".join(sorted(CONTENT_TYPES))
        raise schemas.unsupported(
            content_type,
            f"Image PATCH expects Content-Type one of: {allowed}",
            {"Accept-Patch": allowed},
        )
    if not isinstance(body, list):
        raise HttpError(400, "Request body must be a JSON array of operation objects.")
    return [_change(raw, old=CONTENT_TYPES[content_type]) for raw in body]


def _change(raw: object, *, old: bool) -> Change:
    if not isinstance(raw, dict):
        raise HttpError(400, "Operations must be JSON objects.")
    operation, path = _old_target(raw) if old else _target(raw)
    parts = _parts(path)
    key = parts[0]
    if key == "locations":
        raise schemas.denied("Locations cannot be changed here.")
    if len(parts) != 1:
        raise HttpError(400, f"Invalid JSON pointer for this resource: '{path}'")
    if key in schemas.READ_ONLY:
        raise HttpError(403, f"Attribute '{key}' is read-only.")
    schemas.check_key(key)
    if operation == "remove":
        return Change(operation, key)
    if "value" not in raw:
        raise HttpError(
            400, f'Operation "{operation}" requires a member named "value".'
        )
    schemas.check(key, raw["value"])
    return Change(operation, key, raw["value"], strict_add=old)


def _target(raw: Mapping[str, Any]) -> tuple[str, str]:
    available = ", ".join(_OPERATIONS)
    operation = raw.get("op")
    if operation is None:
        raise HttpError(
            400,
            "Unable to find `op` in JSON Schema change. It must be one of the"
            f" following: {available}.",
        )
    if operation not in _OPERATIONS:
        raise HttpError(
            400,
            f"Invalid operation: `{operation}`. It must be one of the following:"
            f" {available}.",
        )
    if not isinstance(raw.get("path"), str):
        raise HttpError(400, "Unable to find 'path' in JSON Schema change")
    return operation, raw["path"]


def _old_target(raw: Mapping[str, Any]) -> tuple[str, str]:
    found = [name for name in _OPERATIONS if isinstance(raw.get(name), str)]
    if len(found) != 1:
        raise HttpError(
            400,
            "Operation objects must contain exactly one member named"
            ' "add", "remove", or "replace".',
        )
    return found[0], raw[found[0]]


def _parts(pointer: str) -> list[str]:
    """Return the keys of a JSON pointer."""
    why = ""
    if not pointer.startswith("/"):
        why = 'does not start with "/"'
    elif re.search(r"/\s*?/", pointer[1:]):
        why = 'contains adjacent "/"'
    elif pointer.endswith("/"):
        why = 'end with "/"'
    elif re.search(r"~(?![01])", pointer):
        why = 'contains "~" not part of a recognized escape sequence'
    if why:
        raise HttpError(400, f"Pointer `{pointer}` {why}.")
    names = pointer[1:].split("/")
    return [name.replace("~1", "/").replace("~0", "~").strip() for name in names]


def apply(image: Image, changes: list[Change]) -> Changed:
    """Apply the operations to the image, in their order.

    :raises HttpError: 409 for a property that already exists, or does not exist, 403
        for one that may not be changed.
    """
    changed = Changed(dict(image.properties))
    for change in changes:
        if change.key in schemas.PROPERTIES:
            _change_attribute(image, changed, change)
        else:
            _change_property(changed.properties, change)
    return changed


def _change_attribute(image: Image, changed: Changed, change: Change) -> None:
    key = change.key
    if change.operation == "remove":
        raise schemas.denied(f"Property {key} may not be removed.")
    if change.strict_add and change.operation == "add":
        raise schemas.conflict(f"Property {key} already present.")
    if key == "owner":
        raise schemas.denied("Owner can't be updated by non admin.")
    if key not in _SETTABLE:
        raise HttpError(403, f"Attribute '{key}' cannot be changed here.")
    if key.endswith("_format") and image.status != "queued":
        raise HttpError(
            403, f"Attribute {key} can be only replaced for a queued image."
        )
    value = "" if key == "name" and not change.value else change.value
    changed.attributes[_COLUMNS.get(key, key)] = value


def _change_property(properties: dict[str, str], change: Change) -> None:
    present = change.key in properties
    if change.operation == "add":
        if present and change.strict_add:
            raise schemas.conflict(f"Property {change.key} already present.")
    elif not present:
        raise schemas.conflict(f"Property {change.key} does not exist.")
    if change.operation == "remove":
        del properties[change.key]
    else:
        properties[change.key] = change.value
