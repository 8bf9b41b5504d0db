"""Tags of servers, from microversion 2.26 on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import filterfalse

from flask import request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, Server
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas
from rax_scheduled_images_ext.sandbox.compute.inputs import (
    may,
    refused,
)
from rax_scheduled_images_ext.sandbox.compute.views import Links
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

#: The most tags that a server may have.
MOST = 50
# In other states the server's tags cannot be changed.
_CHANGEABLE = frozenset({"active", "paused", "suspended", "stopped"})


def index(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/tags"""
    return {"tags": list(_find(call, server_id, "index").tags)}


def show(call: Call, server_id: str, tag: str) -> ResponseReturnValue:
    """GET /servers/{id}/tags/{tag}"""
    if not any(map(_same(tag), _find(call, server_id, "show").tags)):
        raise HttpError(404, f"Server {server_id} has no tag '{tag}'")
    return inputs.nothing(204)


def add(call: Call, server_id: str, tag: str) -> ResponseReturnValue:
    """PUT /servers/{id}/tags/{tag}"""
    if (body := inputs.content() if request.get_data() else None) is not None:
        raise HttpError(400, f"{body!r} is not of type 'null'")
    server = _changed(call, server_id, "update tag", "update")
    problem = schemas.problem(tag, schemas.TAG)
    if problem:
        raise HttpError(
            400,
            f"Tag '{tag}' is invalid. It must be a non empty string without characters"
            f" '/' and ','. Validation error message: {problem}",
        )
    if len(server.tags) >= MOST:
        raise HttpError(400, f"The number of tags exceeded the per-server limit {MOST}")
    if tag in server.tags:
        return "", 204
    call.region.servers.set_tags(server_id, [*server.tags, tag])
    location = f"{Links(call.root).both('servers', server_id)[0]['href']}/tags/{tag}"
    return "", 201, {"Location": location}


def replace(call: Call, server_id: str) -> ResponseReturnValue:
    """PUT /servers/{id}/tags"""
    tags = inputs.body(schemas.SET_TAGS)["tags"]
    _changed(call, server_id, "update tags", "update_all")
    call.region.servers.set_tags(server_id, tags)
    return {"tags": list(call.region.servers.get(server_id).tags)}


def delete(call: Call, server_id: str, tag: str) -> ResponseReturnValue:
    """DELETE /servers/{id}/tags/{tag}"""
    server = _changed(call, server_id, "delete tag", "delete")
    if not any(map(_same(tag), server.tags)):
        raise HttpError(404, f"Instance {server_id} has no tag '{tag}'")
    call.region.servers.set_tags(server_id, filterfalse(_same(tag), server.tags))
    return inputs.nothing(204)


def delete_all(call: Call, server_id: str) -> ResponseReturnValue:
    """DELETE /servers/{id}/tags"""
    _changed(call, server_id, "delete tags", "delete_all")
    call.region.servers.set_tags(server_id, ())
    return inputs.nothing(204)


def _same(tag: str) -> Callable[[str], bool]:
    """Return whether MySQL, which ignores letter case, takes a tag for this one."""
    return lambda other: other.lower() == tag.lower()


def _changed(call: Call, server_id: str, verb: str, policy: str) -> Server:
    """Return a server whose tags the caller may change.

    :raises HttpError: 404, 409 for its state, or 403 for the caller's role.
    """
    server = _find(call, server_id, policy)
    if server.vm_state not in _CHANGEABLE:
        raise HttpError(
            409,
            f"Cannot '{verb}' instance {server_id} while it is in vm_state"
            f" {server.vm_state}",
        )
    may(call, f"os-server-tags:{policy}")
    return server


def _find(call: Call, server_id: str, policy: str) -> Server:
    """Return a server of the caller's project.

    :raises HttpError: 404 if there is none, 403 for another project's.
    """
    try:
        server = call.region.servers.get(server_id)
    except NotFound:
        raise HttpError(
            404, f"Instance {server_id} has no mapping to a cell."
        ) from None
    if not call.reaches(server.project_id):
        raise refused(f"os-server-tags:{policy}")
    return server
