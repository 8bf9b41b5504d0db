"""Types, limits and transfers of the block storage API."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.http.common import Call
from rax_scheduled_images_ext.sandbox.volume.views import TYPE_ID, VOLUME_TYPE, Json

_ANY_NUMBER = -1


def types(_call: Call) -> ResponseReturnValue:
    """GET /types"""
    return {"volume_types": [_type()]}


def default_type(_call: Call) -> ResponseReturnValue:
    """GET /types/default"""
    return {"volume_type": _type()}


def _type() -> Json:
    return {
        "id": TYPE_ID,
        "name": VOLUME_TYPE,
        "is_public": True,
        "description": "Default Volume Type",
        "extra_specs": {},
        "qos_specs_id": None,
        "os-volume-type-access:is_public": True,
    }


def limits(call: Call) -> ResponseReturnValue:
    """GET /limits; nothing is limited."""
    volumes = call.region.volumes.select(call.project_id)
    snapshots = call.region.volumes.snapshots(call.project_id)
    gigabytes = sum(v.size for v in volumes) + sum(s.size for s in snapshots)
    absolute = {
        "maxTotalVolumes": _ANY_NUMBER,
        "maxTotalSnapshots": _ANY_NUMBER,
        "maxTotalVolumeGigabytes": _ANY_NUMBER,
        "maxTotalBackups": 0,
        "maxTotalBackupGigabytes": 0,
        "totalVolumesUsed": len(volumes),
        "totalSnapshotsUsed": len(snapshots),
        "totalGigabytesUsed": gigabytes,
        "totalBackupsUsed": 0,
        "totalBackupGigabytesUsed": 0,
    }
    return {"limits": {"rate": [], "absolute": absolute}}


def transfers(_call: Call) -> ResponseReturnValue:
    """GET /os-volume-transfer; there are none."""
    return {"transfers": []}
