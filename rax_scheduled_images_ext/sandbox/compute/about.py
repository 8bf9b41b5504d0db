"""What the compute API tells of the cloud itself: flavors and limits."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue

from ..wire import Call, Fault
from . import inputs
from .views import flavor_view

# Nothing is refused for being too much; these are what Nova starts with.
_ABSOLUTE = {
    "maxServerMeta": 128,
    "maxTotalInstances": 10,
    "maxTotalCores": 20,
    "maxTotalRAMSize": 51200,
    "maxTotalKeypairs": 100,
    "maxServerGroups": 10,
    "maxServerGroupMembers": 10,
}


def flavor_list(call: Call) -> ResponseReturnValue:
    """GET /flavors"""
    return _flavors(call, full=False)


def flavor_detail(call: Call) -> ResponseReturnValue:
    """GET /flavors/detail"""
    return _flavors(call, full=True)


def _flavors(call: Call, *, full: bool) -> ResponseReturnValue:
    flavors = call.region.flavors()
    ids = [flavor.id for flavor in flavors]
    marker = request.args.get("marker")
    if marker is not None and marker not in ids:
        raise Fault(400, f"marker [{marker}] not found")
    first = 0 if marker is None else ids.index(marker) + 1
    page = flavors[first : first + inputs.page_size(call)]
    return {"flavors": [flavor_view(call, flavor, full=full) for flavor in page]}


def flavor_show(call: Call, flavor_id: str) -> ResponseReturnValue:
    """GET /flavors/{id}"""
    return {"flavor": flavor_view(call, call.region.flavor(flavor_id), full=True)}


def flavor_specs(call: Call, flavor_id: str) -> ResponseReturnValue:
    """GET /flavors/{id}/os-extra_specs"""
    call.region.flavor(flavor_id)
    return {"extra_specs": {}}


def limits(_call: Call) -> ResponseReturnValue:
    """GET /limits"""
    return {"limits": {"rate": [], "absolute": _ABSOLUTE}}
