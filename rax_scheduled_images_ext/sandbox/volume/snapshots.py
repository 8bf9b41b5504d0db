"""Volume snapshots of the block storage API, and their metadata."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from oslo_utils import strutils

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, VolumeSnapshot
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError
from rax_scheduled_images_ext.sandbox.volume import inputs, schemas, volumes
from rax_scheduled_images_ext.sandbox.volume.views import snapshot_view

_FILTERS = ("name", "status", "volume_id")
# The first version that lists snapshots by their metadata.
_BY_METADATA = (3, 22)
# The first version that makes snapshots of attached volumes without ``force``.
_IN_USE = (3, 66)


def list_brief(call: Call) -> ResponseReturnValue:
    """GET /snapshots"""
    snapshots, links = _page(call, "snapshots")
    views = [snapshot_view(call, each, full=False) for each in snapshots]
    return {"snapshots": views, **links}


def list_detail(call: Call) -> ResponseReturnValue:
    """GET /snapshots/detail"""
    snapshots, links = _page(call, "snapshots/detail")
    views = [snapshot_view(call, each, full=True) for each in snapshots]
    return {"snapshots": views, **links}


def _page(call: Call, path: str) -> tuple[list[VolumeSnapshot], dict[str, Any]]:
    snapshots = call.region.volumes.snapshots(inputs.listed_project(call))
    wanted = request.args.get("metadata")
    if wanted is not None and call.version >= _BY_METADATA:
        pairs = _literal(wanted)
        snapshots = [each for each in snapshots if _has(each.metadata, pairs)]
    return inputs.page(call, path, snapshots, _FILTERS)


def _literal(text: str) -> dict[str, object] | None:
    """Return the metadata that a query filters by, None if no snapshot can match."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return found if isinstance(found, dict) else None


def _has(metadata: Mapping[str, str], wanted: Mapping[str, object] | None) -> bool:
    return wanted is not None and all(
        metadata.get(key) == value for key, value in wanted.items()
    )


def show(call: Call, snapshot_id: str) -> ResponseReturnValue:
    """GET /snapshots/{id}"""
    return {"snapshot": snapshot_view(call, _find(call, snapshot_id), full=True)}


def create(call: Call) -> ResponseReturnValue:
    """POST /snapshots"""
    wanted = inputs.body(schemas.CREATE_SNAPSHOT, "snapshot")
    volume = volumes.find(call, str(wanted["volume_id"]))
    inputs.may(call, "volume:create_snapshot")
    forced = strutils.bool_from_string(wanted.get("force", False))
    snapshot = call.region.volumes.add_snapshot(
        volume.id,
        user_id=call.user_id,
        name=wanted.get("name"),
        description=wanted.get("description"),
        metadata=wanted.get("metadata"),
        in_use=forced or call.version >= _IN_USE,
    )
    return {"snapshot": snapshot_view(call, snapshot, full=True)}, 202


def delete(call: Call, snapshot_id: str) -> ResponseReturnValue:
    """DELETE /snapshots/{id}"""
    _find(call, snapshot_id)
    inputs.may(call, "volume:delete_snapshot")
    call.region.volumes.delete_snapshot(snapshot_id)
    return "", 202


def metadata(call: Call, snapshot_id: str) -> ResponseReturnValue:
    """GET /snapshots/{id}/metadata"""
    return {"metadata": dict(_find(call, snapshot_id).metadata)}


def add_metadata(call: Call, snapshot_id: str) -> ResponseReturnValue:
    """POST /snapshots/{id}/metadata"""
    wanted = inputs.body(schemas.SET_METADATA, "metadata")
    known = _find(call, snapshot_id).metadata
    return {"metadata": _set(call, snapshot_id, {**known, **wanted})}


def replace_metadata(call: Call, snapshot_id: str) -> ResponseReturnValue:
    """PUT /snapshots/{id}/metadata"""
    wanted = inputs.body(schemas.SET_METADATA, "metadata")
    _find(call, snapshot_id)
    return {"metadata": _set(call, snapshot_id, wanted)}


def show_item(call: Call, snapshot_id: str, key: str) -> ResponseReturnValue:
    """GET /snapshots/{id}/metadata/{key}"""
    known = _find(call, snapshot_id).metadata
    if key not in known:
        raise _no_item(snapshot_id, key)
    return {"meta": {key: known[key]}}


def set_item(call: Call, snapshot_id: str, key: str) -> ResponseReturnValue:
    """PUT /snapshots/{id}/metadata/{key}"""
    wanted = inputs.body(schemas.SET_ITEM, "meta")
    if key not in wanted:
        raise HttpError(400, "Request body and URI mismatch")
    known = _find(call, snapshot_id).metadata
    _set(call, snapshot_id, {**known, **wanted})
    return {"meta": wanted}


def delete_item(call: Call, snapshot_id: str, key: str) -> ResponseReturnValue:
    """DELETE /snapshots/{id}/metadata/{key}"""
    known = dict(_find(call, snapshot_id).metadata)
    if key not in known:
        raise _no_item(snapshot_id, key)
    inputs.may(call, "volume:delete_snapshot_metadata")
    del known[key]
    call.region.volumes.set_snapshot_metadata(snapshot_id, known)
    return "", 200


def _set(call: Call, snapshot_id: str, wanted: dict[str, str]) -> dict[str, str]:
    """Replace the metadata of a snapshot, and return it."""
    inputs.may(call, "volume:update_snapshot_metadata")
    call.region.volumes.set_snapshot_metadata(snapshot_id, wanted)
    return wanted


def _no_item(snapshot_id: str, key: str) -> NotFound:
    return NotFound(f"Snapshot {snapshot_id} has no metadata with key {key}.")


def _find(call: Call, snapshot_id: str) -> VolumeSnapshot:
    """Return a snapshot that the caller may use.

    :raises NotFound: if there is none.
    """
    snapshot = call.region.volumes.snapshot(snapshot_id)
    if not call.reaches(snapshot.project_id):
        raise NotFound(f"Snapshot {snapshot_id} could not be found.")
    return snapshot
