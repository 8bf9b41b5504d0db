"""Volumes of the block storage API: lists, show, create, delete."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, Volume
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError
from rax_scheduled_images_ext.sandbox.volume import inputs, schemas
from rax_scheduled_images_ext.sandbox.volume.views import volume_brief, volume_view

_FILTERS = ("name", "status", "bootable")


def list_brief(call: Call) -> ResponseReturnValue:
    """GET /volumes"""
    volumes, links = _page(call, "volumes")
    return {"volumes": [volume_brief(call, each) for each in volumes], **links}


def list_detail(call: Call) -> ResponseReturnValue:
    """GET /volumes/detail"""
    volumes, links = _page(call, "volumes/detail")
    return {"volumes": [volume_view(call, each) for each in volumes], **links}


def _page(call: Call, path: str) -> tuple[list[Volume], dict[str, Any]]:
    volumes = call.region.volumes.select(inputs.listed_project(call))
    return inputs.page(call, path, volumes, _FILTERS)


def show(call: Call, volume_id: str) -> ResponseReturnValue:
    """GET /volumes/{id}"""
    return {"volume": volume_view(call, find(call, volume_id))}


def create(call: Call) -> ResponseReturnValue:
    """POST /volumes"""
    wanted = inputs.body(schemas.CREATE_VOLUME, "volume")
    inputs.may(call, "volume:create")
    image_id = wanted.get("imageRef") or wanted.get("image_id")
    snapshot_id, source_id = wanted.get("snapshot_id"), wanted.get("source_volid")
    if source_id is not None:
        find(call, source_id)
    if wanted.get("size") is None and snapshot_id is None and source_id is None:
        raise HttpError(
            400,
            "The server could not comply with the request since it is either malformed"
            " or otherwise incorrect.",
        )
    volume = call.region.volumes.add(
        project_id=call.project_id,
        user_id=call.user_id,
        name=wanted.get("name") or "",
        description=wanted.get("description"),
        size=None if wanted.get("size") is None else int(wanted["size"]),
        metadata=wanted.get("metadata"),
        image_id=image_id,
        snapshot_id=snapshot_id,
        source_id=source_id,
    )
    return {"volume": volume_view(call, volume)}, 202


def delete(call: Call, volume_id: str) -> ResponseReturnValue:
    """DELETE /volumes/{id}"""
    find(call, volume_id)
    inputs.may(call, "volume:delete")
    call.region.volumes.delete(volume_id)
    return "", 202


def find(call: Call, volume_id: str) -> Volume:
    """Return a volume that the caller may use.

    :raises NotFound: if there is none.
    """
    volume = call.region.volumes.get(volume_id)
    if not call.reaches(volume.project_id):
        raise NotFound(f"Volume {volume_id} could not be found.")
    return volume
