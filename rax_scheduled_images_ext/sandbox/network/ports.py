"""Ports of the network API."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import Port
from rax_scheduled_images_ext.sandbox.backend.region.networks import OF_SERVER
from rax_scheduled_images_ext.sandbox.http.common import Call, isotime
from rax_scheduled_images_ext.sandbox.network import inputs
from rax_scheduled_images_ext.sandbox.network.inputs import TEXT, Json, may

# A port has at most one address.
_FIXED_IPS: Json = {
    "type": "array",
    "maxItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "ip_address": {"type": "string"},
            "subnet_id": {"type": "string"},
        },
        "additionalProperties": False,
    },
}


def index(call: Call) -> ResponseReturnValue:
    """GET /ports"""
    ports = call.region.networks.ports(call.project_id)
    return inputs.page(call, "ports", map(_view, ports))


def show(call: Call, port_id: str) -> ResponseReturnValue:
    """GET /ports/{id}"""
    return {"port": _view(call.region.networks.port(port_id, call.project_id))}


def create(call: Call) -> ResponseReturnValue:
    """POST /ports"""
    known = {
        "name": TEXT,
        "description": TEXT,
        "network_id": {"type": "string"},
        "admin_state_up": {"enum": [True]},
        "fixed_ips": _FIXED_IPS,
        "security_groups": {"type": "array", "items": {"type": "string"}},
    }
    wanted = inputs.body("port", known, "network_id")
    may(call, "create_port")
    networks, project_id = call.region.networks, call.project_id
    fixed: Json = next(iter(wanted.get("fixed_ips", ())), {})
    groups = wanted.get("security_groups")
    port = networks.add_port(
        networks.network(wanted["network_id"], project_id),
        project_id,
        name=wanted.get("name") or "",
        description=wanted.get("description") or "",
        address=fixed.get("ip_address"),
        subnet_id=fixed.get("subnet_id"),
        groups=groups and [networks.group(each, project_id) for each in groups],
    )
    return {"port": _view(port)}, 201


def delete(call: Call, port_id: str) -> ResponseReturnValue:
    """DELETE /ports/{id}"""
    port = call.region.networks.port(port_id, call.project_id)
    may(call, "delete_port")
    call.region.networks.delete_port(port.id)
    return "", 204


def _view(port: Port) -> Json:
    fixed = {"subnet_id": port.subnet_id, "ip_address": port.address}
    return {
        "id": port.id,
        "name": port.name,
        "description": port.description,
        "network_id": port.network_id,
        "tenant_id": port.project_id,
        "project_id": port.project_id,
        "mac_address": port.mac,
        "admin_state_up": True,
        "status": "ACTIVE" if port.device_id else "DOWN",
        "device_id": port.device_id,
        "device_owner": OF_SERVER if port.device_id else "",
        "fixed_ips": [fixed] if port.address else [],
        "security_groups": list(port.groups),
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "binding:vnic_type": "normal",
        "port_security_enabled": True,
        "tags": [],
        "created_at": isotime(port.created),
        "updated_at": isotime(port.created),
        "revision_number": 1,
    }
