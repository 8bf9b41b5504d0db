"""Server groups of the compute API; their policies have no effect."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, ServerGroup
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas
from rax_scheduled_images_ext.sandbox.compute.inputs import may
from rax_scheduled_images_ext.sandbox.compute.views import Json
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

# The version from which a group has one policy instead of a list.
_ONE_POLICY = (2, 64)


def index(call: Call) -> ResponseReturnValue:
    """GET /os-server-groups"""
    groups = call.region.groups.list(call.project_id)
    return {"server_groups": [_view(call, group) for group in groups]}


def show(call: Call, group_id: str) -> ResponseReturnValue:
    """GET /os-server-groups/{id}"""
    return {"server_group": _view(call, _find(call, group_id))}


def create(call: Call) -> ResponseReturnValue:
    """POST /os-server-groups"""
    wanted = inputs.body(schemas.create_server_group(call.version))["server_group"]
    may(call, "os-server-groups:create")
    one = call.version >= _ONE_POLICY
    group = call.region.groups.add(
        wanted["name"],
        wanted["policy"] if one else wanted["policies"][0],
        project_id=call.project_id,
        user_id=call.user_id,
    )
    return {"server_group": _view(call, group)}


def delete(call: Call, group_id: str) -> ResponseReturnValue:
    """DELETE /os-server-groups/{id}"""
    group = _find(call, group_id)
    may(call, "os-server-groups:delete")
    call.region.groups.delete(group)
    return inputs.nothing(204)


def _find(call: Call, group_id: str) -> ServerGroup:
    try:
        return call.region.groups.get(group_id, call.project_id)
    except NotFound as error:
        raise HttpError(404, str(error)) from None


def _view(call: Call, group: ServerGroup) -> Json:
    view: Json = {"id": group.id, "name": group.name, "members": list(group.members)}
    if call.version >= _ONE_POLICY:
        view |= {"policy": group.policy, "rules": {}}
    else:
        view |= {"policies": [group.policy], "metadata": {}}
    if call.version >= (2, 13):
        view |= {"project_id": group.project_id, "user_id": group.user_id}
    return view
