"""The interfaces, security groups and volumes of a server."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import Port
from rax_scheduled_images_ext.sandbox.compute.inputs import find_server
from rax_scheduled_images_ext.sandbox.compute.views import Json
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError


def index(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/os-interface"""
    find_server(call, server_id)
    ports = call.region.networks.ports_of(server_id)
    return {"interfaceAttachments": [_interface(call, port) for port in ports]}


def show(call: Call, server_id: str, port_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/os-interface/{port id}"""
    find_server(call, server_id)
    for port in call.region.networks.ports_of(server_id):
        if port.id == port_id:
            return {"interfaceAttachment": _interface(call, port)}
    raise HttpError(404, f"Instance {server_id} does not have a port with id {port_id}")


def security_groups(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/os-security-groups"""
    server = find_server(call, server_id)
    ports = call.region.networks.ports_of(server_id)
    used = {group for port in ports for group in port.groups}
    views = [
        {
            "id": group.id,
            "name": group.name,
            "description": group.description,
            "tenant_id": group.project_id,
            "rules": [],
        }
        for group in call.region.networks.groups(server.project_id)
        if group.id in used
    ]
    return {"security_groups": views}


def volumes(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/os-volume_attachments"""
    server = find_server(call, server_id)
    views = []
    for volume_id, goes in server.volumes.items():
        volume = call.region.volumes.get(volume_id)
        view: Json = {
            "volumeId": volume.id,
            "serverId": server.id,
            "device": volume.device,
        }
        if call.version < (2, 89):
            view["id"] = volume.id
        else:
            view |= {"attachment_id": volume.id, "bdm_uuid": volume.id}
        if call.version >= (2, 70):
            view["tag"] = None
        if call.version >= (2, 79):
            view["delete_on_termination"] = goes
        views.append(view)
    return {"volumeAttachments": views}


def _interface(call: Call, port: Port) -> Json:
    fixed = {"subnet_id": port.subnet_id, "ip_address": port.address}
    view: Json = {
        "net_id": port.network_id,
        "port_id": port.id,
        "mac_addr": port.mac,
        "port_state": "ACTIVE",
        "fixed_ips": [fixed] if port.address else [],
    }
    if call.version >= (2, 70):
        view["tag"] = None
    return view
