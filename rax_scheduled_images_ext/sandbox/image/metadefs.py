"""Definitions of metadata: only the one of the marker of scheduled images."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.model.metadefs import definition
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError
from rax_scheduled_images_ext.sandbox.image.views import Json

_SCHEMA = "/v2/schemas/metadefs/namespace"
# Since when Glance has it.
_LOADED = "2013-03-20T00:00:00Z"
_TEXTS = ("namespace", "display_name", "description", "owner")
_OTHERS = {
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "protected": {"type": "boolean"},
    "created_at": {"type": "string", "readOnly": True},
    "updated_at": {"type": "string", "readOnly": True},
    "schema": {"type": "string", "readOnly": True},
    "self": {"type": "string", "readOnly": True},
    "resource_type_associations": {"type": "array"},
    "properties": {"type": "object"},
    "objects": {"type": "array"},
    "tags": {"type": "array"},
}


def schema(_call: Call) -> ResponseReturnValue:
    """GET /schemas/metadefs/namespace"""
    texts: Json = {name: {"type": "string"} for name in _TEXTS}
    return {
        "name": "namespace",
        "required": ["namespace"],
        "additionalProperties": False,
        "properties": texts | _OTHERS,
    }


def index(_call: Call) -> ResponseReturnValue:
    """GET /metadefs/namespaces, those of a resource type or all"""
    view = _view()
    del view["properties"]
    types = {each["name"] for each in view["resource_type_associations"]}
    asked = set(filter(None, request.args.get("resource_types", "").split(",")))
    found = [view] if not asked or asked & types else []
    if request.args.get("marker"):
        found = []
    first = "/v2/metadefs/namespaces"
    return {"namespaces": found, "first": first, "schema": f"{_SCHEMA}s"}


def show(_call: Call, name: str) -> ResponseReturnValue:
    """GET /metadefs/namespaces/{name}"""
    view = _view()
    if name != view["namespace"]:
        raise HttpError(404, f"Metadata definition namespace={name} was not found.")
    return view


def _view() -> Json:
    view = definition()
    own = {"created_at": _LOADED, "updated_at": _LOADED, "schema": _SCHEMA}
    view["self"] = f"/v2/metadefs/namespaces/{view['namespace']}"
    types = view["resource_type_associations"]
    view["resource_type_associations"] = [
        {"created_at": _LOADED, **each} for each in types
    ]
    return {"owner": "admin", **view, **own}
