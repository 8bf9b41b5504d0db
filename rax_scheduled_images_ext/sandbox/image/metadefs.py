"""Definitions of metadata: that of the marker of scheduled images, and two of servers.

Horizon's dialogs fail for a target that no definition is for.
"""

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


def index(call: Call) -> ResponseReturnValue:
    """GET /metadefs/namespaces, those of some resource types or all"""
    asked = set(filter(None, request.args.get("resource_types", "").split(",")))
    views = [_view(each) for each in _definitions()]
    views = [each for each in views if not asked or asked & _types(each)]
    views = [
        each for each in views if each["namespace"] > request.args.get("marker", "")
    ]
    for view in views:
        del view["properties"]
    first = "/v2/metadefs/namespaces"
    page = views[: request.args.get("limit", call.services.max_limit, type=int)]
    return {"namespaces": page, "first": first, "schema": f"{_SCHEMA}s"}


def show(_call: Call, name: str) -> ResponseReturnValue:
    """GET /metadefs/namespaces/{name}"""
    for each in _definitions():
        if each["namespace"] == name:
            return _view(each)
    raise HttpError(404, f"Metadata definition namespace={name} was not found.")


def _definitions() -> list[Json]:
    """Return all definitions by name."""
    others = ("OS::Nova::Flavor", "OS::Cinder::Volumes")
    note = _for_servers("ServerNotes", "metadata", "sandbox_note", *others)
    hint = _for_servers("ServerHints", "scheduler_hints", "sandbox_hint")
    return sorted([definition(), note, hint], key=lambda each: each["namespace"])


def _for_servers(name: str, target: str, key: str, *others: str) -> Json:
    text = f"Only an example, for {target} of servers."
    server = {"name": "OS::Nova::Server", "properties_target": target}
    return {
        "namespace": name,
        "display_name": name,
        "description": text,
        "visibility": "public",
        "protected": True,
        "resource_type_associations": [server, *({"name": each} for each in others)],
        "properties": {key: {"title": key, "description": text, "type": "string"}},
    }


def _types(view: Json) -> set[str]:
    return {each["name"] for each in view["resource_type_associations"]}


def _view(view: Json) -> Json:
    own = {"created_at": _LOADED, "updated_at": _LOADED, "schema": _SCHEMA}
    view["self"] = f"/v2/metadefs/namespaces/{view['namespace']}"
    types = view["resource_type_associations"]
    view["resource_type_associations"] = [
        {"created_at": _LOADED, **each} for each in types
    ]
    return {"owner": "admin", **view, **own}
