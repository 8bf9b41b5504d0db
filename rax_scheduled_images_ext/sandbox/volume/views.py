"""Volumes and their snapshots in the form of the block storage API."""

from __future__ import annotations

import re
from typing import Any

from rax_scheduled_images_ext.sandbox.backend.models import Volume, VolumeSnapshot
from rax_scheduled_images_ext.sandbox.backend.region.servers import ZONE
from rax_scheduled_images_ext.sandbox.http.common import Call, Microversion, microtime

Json = dict[str, Any]

#: The only type of volumes.
VOLUME_TYPE = "__DEFAULT__"
#: The ID of that type.
TYPE_ID = "3f1c1c5e-7c0f-4f6e-9a53-6f1d5b8e2a10"
_SERVICE_ID = "7d0b8f0e-52c4-4b55-9d0e-1f7f2f6c9a41"
_ATTRIBUTES = "os-extended-snapshot-attributes"


def volume_brief(call: Call, volume: Volume) -> Json:
    """Return a volume as in a short list."""
    bookmark = re.sub("/v3(?=/|$)", "", call.root)
    links = [
        {"rel": "self", "href": f"{call.root}/volumes/{volume.id}"},
        {"rel": "bookmark", "href": f"{bookmark}/volumes/{volume.id}"},
    ]
    return {"id": volume.id, "name": volume.name, "links": links}


def volume_view(call: Call, volume: Volume) -> Json:
    """Return a volume with details, for a user who is no operator."""
    view: Json = volume_brief(call, volume) | {
        "status": volume.status,
        "size": volume.size,
        "availability_zone": ZONE,
        "created_at": microtime(volume.created),
        "updated_at": microtime(volume.updated),
        "description": volume.description,
        "volume_type": VOLUME_TYPE,
        "snapshot_id": volume.snapshot_id,
        "source_volid": None,
        "metadata": dict(volume.metadata),
        "user_id": volume.user_id,
        "bootable": str(volume.bootable).lower(),
        "encrypted": False,
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": False,
        "attachments": _attachments(volume),
        "os-vol-tenant-attr:tenant_id": volume.project_id,
    }
    if volume.image_properties:
        view["volume_image_metadata"] = dict(volume.image_properties)
    newer: dict[Microversion, Json] = {
        (3, 13): {"group_id": None},
        (3, 48): {"shared_targets": False, "service_uuid": _SERVICE_ID},
        (3, 63): {"volume_type_id": TYPE_ID},
        (3, 65): {"consumes_quota": True},
    }
    return view | _since(call.version, newer)


def _attachments(volume: Volume) -> list[Json]:
    if volume.server_id is None:
        return []
    return [
        {
            "id": volume.id,
            "attachment_id": volume.id,
            "volume_id": volume.id,
            "server_id": volume.server_id,
            "host_name": None,
            "device": volume.device,
            "attached_at": microtime(volume.attached or volume.updated),
        }
    ]


def snapshot_view(call: Call, snapshot: VolumeSnapshot, *, full: bool) -> Json:
    """Return a volume snapshot, with or without the details."""
    view: Json = {
        "id": snapshot.id,
        "created_at": microtime(snapshot.created),
        "updated_at": microtime(snapshot.updated),
        "name": snapshot.name,
        "description": snapshot.description,
        "volume_id": snapshot.volume_id,
        "status": snapshot.status,
        "size": snapshot.size,
        "metadata": dict(snapshot.metadata),
    }
    if not full:
        return view
    newer: dict[Microversion, Json] = {
        (3, 14): {"group_snapshot_id": None},
        (3, 41): {"user_id": snapshot.user_id},
        (3, 65): {"consumes_quota": True},
    }
    return {
        **view,
        **_since(call.version, newer),
        f"{_ATTRIBUTES}:progress": f"{100 * (snapshot.status == 'available')}%",
        f"{_ATTRIBUTES}:project_id": snapshot.project_id,
    }


def _since(version: Microversion, newer: dict[Microversion, Json]) -> Json:
    """Return the attributes that versions up to this one have added."""
    return {
        key: value
        for first, shown in newer.items()
        if version >= first
        for key, value in shown.items()
    }
