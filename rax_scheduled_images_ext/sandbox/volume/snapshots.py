"""Volume snapshots of the block storage API: lists, show, create, delete."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from oslo_utils import strutils

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, VolumeSnapshot
from rax_scheduled_images_ext.sandbox.http.common import Call
from rax_scheduled_images_ext.sandbox.volume import inputs, schemas, volumes
from rax_scheduled_images_ext.sandbox.volume.views import snapshot_view

_FILTERS = ("name", "status", "volume_id")
# The first version that makes snapshots of attached volumes without being forced.
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
    snapshots = call.region.volume_snapshots(call.project_id)
    return inputs.page(call, path, snapshots, _FILTERS)


def show(call: Call, snapshot_id: str) -> ResponseReturnValue:
    """GET /snapshots/{id}"""
    return {"snapshot": snapshot_view(call, _find(call, snapshot_id), full=True)}


def create(call: Call) -> ResponseReturnValue:
    """POST /snapshots"""
    wanted = inputs.body(schemas.CREATE_SNAPSHOT, "snapshot")
    volume = volumes.find(call, str(wanted["volume_id"]))
    inputs.may(call, "volume:create_snapshot")
    forced = strutils.bool_from_string(wanted.get("force", False))
    snapshot = call.region.add_volume_snapshot(
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
    call.region.delete_volume_snapshot(snapshot_id)
    return "", 202


def _find(call: Call, snapshot_id: str) -> VolumeSnapshot:
    """Return a snapshot of the caller's project.

    :raises NotFound: where there is no such.
    """
    snapshot = call.region.volume_snapshot(snapshot_id)
    if snapshot.project_id != call.project_id:
        raise NotFound(f"Snapshot {snapshot_id} could not be found.")
    return snapshot
