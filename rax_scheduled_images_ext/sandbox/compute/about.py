"""Flavors and limits of the compute API."""

from __future__ import annotations

import re
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import OPERATOR
from rax_scheduled_images_ext.sandbox.backend.models import Server, ServerQuery
from rax_scheduled_images_ext.sandbox.backend.region.base import MOST_METADATA
from rax_scheduled_images_ext.sandbox.backend.region.servers import ZONE
from rax_scheduled_images_ext.sandbox.compute import inputs
from rax_scheduled_images_ext.sandbox.compute.views import flavor_view
from rax_scheduled_images_ext.sandbox.http.common import (
    Call,
    HttpError,
    Microversion,
    microtime,
    parse_time,
)

# The first version whose usage has pages.
_USAGE_PAGES = (2, 40)
# No limit.
_ANY_NUMBER = -1
# The limits, each with the last version that shows it; most resources do not exist
# here.
_LIMITS: tuple[tuple[Microversion, dict[str, int]], ...] = (
    (
        (2, 35),
        {
            "maxSecurityGroups": 0,
            "maxSecurityGroupRules": 0,
            "maxTotalFloatingIps": 0,
            "totalSecurityGroupsUsed": 0,
            "totalFloatingIpsUsed": 0,
        },
    ),
    ((2, 38), {"maxImageMeta": MOST_METADATA}),
    ((2, 56), {"maxPersonality": 0, "maxPersonalitySize": 0}),
    (
        (99, 0),
        {
            "maxServerMeta": MOST_METADATA,
            "maxTotalInstances": _ANY_NUMBER,
            "maxTotalCores": _ANY_NUMBER,
            "maxTotalRAMSize": _ANY_NUMBER,
            "maxTotalKeypairs": 0,
            "maxServerGroups": 0,
            "maxServerGroupMembers": 0,
            "totalServerGroupsUsed": 0,
        },
    ),
)


def flavor_list(call: Call) -> ResponseReturnValue:
    """GET /flavors"""
    return _flavors(call, full=False)


def flavor_detail(call: Call) -> ResponseReturnValue:
    """GET /flavors/detail"""
    return _flavors(call, full=True)


def _flavors(call: Call, *, full: bool) -> ResponseReturnValue:
    flavors = call.region.flavors.list()
    name = inputs.pattern("name") if call.version >= (2, 102) else None
    if name is not None:
        flavors = [each for each in flavors if re.search(name, each.name)]
    ids = [flavor.id for flavor in flavors]
    marker = inputs.given("marker")
    if marker is not None and marker not in ids:
        raise HttpError(400, f"marker [{marker}] not found")
    first = 0 if marker is None else ids.index(marker) + 1
    page = flavors[first : first + inputs.page_size(call)]
    return {"flavors": [flavor_view(call, flavor, full=full) for flavor in page]}


def flavor_show(call: Call, flavor_id: str) -> ResponseReturnValue:
    """GET /flavors/{id}"""
    return {"flavor": flavor_view(call, call.region.flavors.get(flavor_id), full=True)}


def flavor_specs(call: Call, flavor_id: str) -> ResponseReturnValue:
    """GET /flavors/{id}/os-extra_specs"""
    call.region.flavors.get(flavor_id)
    return {"extra_specs": {}}


def services(call: Call) -> ResponseReturnValue:
    """GET /os-services"""
    inputs.may(call, "os-services:list", OPERATOR)
    # Nothing runs here besides the API.
    return {"services": []}


def zones(_call: Call) -> ResponseReturnValue:
    """GET /os-availability-zone"""
    zone = {"zoneName": ZONE, "zoneState": {"available": True}, "hosts": None}
    return {"availabilityZoneInfo": [zone]}


def usage(call: Call, project_id: str) -> ResponseReturnValue:
    """GET /os-simple-tenant-usage/{project}: that of servers that exist."""
    if not call.reaches(project_id):
        name = "os-simple-tenant-usage:show"
        raise HttpError(403, f"Policy doesn't allow os_compute_api:{name}")
    now, start = call.services.cloud.now, _period("start")
    query = ServerQuery(project_id=project_id)
    servers = sorted(call.region.servers.select(query), key=lambda server: server.id)
    marker = inputs.given("marker")
    if call.version >= _USAGE_PAGES:
        if marker is not None and marker not in (each.id for each in servers):
            raise HttpError(400, f"Marker {marker} could not be found.")
        servers = [each for each in servers if each.id > (marker or "")]
        servers = servers[: inputs.page_size(call)]
    found = [_usage_of(call, each, now, start or each.created) for each in servers]
    if not found:
        return {"tenant_usage": {}}
    totals = {
        f"total_{key}_usage": sum(each[key] * each["hours"] for each in found)
        for key in ("local_gb", "memory_mb", "vcpus")
    }
    times = {"start": microtime(start or now), "stop": microtime(_period("end") or now)}
    hours = sum(each["hours"] for each in found)
    view = {"tenant_id": project_id, "total_hours": hours, "server_usages": found}
    return {"tenant_usage": view | totals | times}


def _period(name: str) -> float | None:
    text = request.args.get(name)
    try:
        return None if text is None else parse_time(text)
    except ValueError:
        raise HttpError(400, f"Invalid datetime string: {text}") from None


def _usage_of(call: Call, server: Server, now: float, start: float) -> dict[str, Any]:
    flavor = call.region.flavors.known(server.flavor_id)
    return {
        "instance_id": server.id,
        "name": server.name,
        "tenant_id": server.project_id,
        "flavor": flavor.name,
        "local_gb": flavor.disk + flavor.ephemeral,
        "memory_mb": flavor.ram,
        "vcpus": flavor.vcpus,
        "state": server.vm_state,
        "started_at": microtime(server.created),
        "ended_at": None,
        "uptime": int(now - server.created),
        "hours": max(0.0, now - max(start, server.created)) / 3600,
    }


def limits(call: Call) -> ResponseReturnValue:
    """GET /limits"""
    used = call.region.servers.usage(call.project_id)
    absolute = {
        "totalInstancesUsed": sum(number for _, number in used),
        "totalCoresUsed": sum(flavor.vcpus * number for flavor, number in used),
        "totalRAMUsed": sum(flavor.ram * number for flavor, number in used),
    }
    for last, those in _LIMITS:
        if call.version <= last:
            absolute |= those
    return {"limits": {"rate": [], "absolute": absolute}}
