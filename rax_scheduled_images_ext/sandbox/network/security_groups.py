"""Security groups of the network API; their rules are not emulated."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, SecurityGroup
from rax_scheduled_images_ext.sandbox.http.common import Call, isotime
from rax_scheduled_images_ext.sandbox.network import inputs
from rax_scheduled_images_ext.sandbox.network.inputs import TEXT, Json, may


def index(call: Call) -> ResponseReturnValue:
    """GET /security-groups"""
    groups = call.region.networks.groups(call.project_id)
    return inputs.page(call, "security-groups", map(_view, groups))


def show(call: Call, group_id: str) -> ResponseReturnValue:
    """GET /security-groups/{id}"""
    return {"security_group": _view(_find(call, group_id))}


def create(call: Call) -> ResponseReturnValue:
    """POST /security-groups"""
    known = {"name": TEXT, "description": TEXT, "stateful": {"enum": [True]}}
    wanted = inputs.body("security_group", known)
    may(call, "create_security_group")
    name, description = wanted.get("name") or "", wanted.get("description") or ""
    group = call.region.networks.add_group(call.project_id, name, description)
    return {"security_group": _view(group)}, 201


def delete(call: Call, group_id: str) -> ResponseReturnValue:
    """DELETE /security-groups/{id}"""
    group = _find(call, group_id)
    may(call, "delete_security_group")
    call.region.networks.delete_group(group)
    return "", 204


def _find(call: Call, group_id: str) -> SecurityGroup:
    for group in call.region.networks.groups(call.project_id):
        if group.id == group_id:
            return group
    raise NotFound(f"Security group {group_id} does not exist")


def _view(group: SecurityGroup) -> Json:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project_id,
        "project_id": group.project_id,
        "stateful": True,
        "shared": False,
        "security_group_rules": [],
        "tags": [],
        "created_at": isotime(group.created),
        "updated_at": isotime(group.created),
        "revision_number": 1,
    }
