"""Networks and subnets of the network API."""

from __future__ import annotations

from ipaddress import IPv4Network

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import Network, NotFound, Subnet
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError, isotime
from rax_scheduled_images_ext.sandbox.network import inputs
from rax_scheduled_images_ext.sandbox.network.inputs import TEXT, Json, may


def index(call: Call) -> ResponseReturnValue:
    """GET /networks"""
    networks = call.region.networks.networks(call.project_id)
    return inputs.page(call, "networks", map(_view, networks))


def show(call: Call, network_id: str) -> ResponseReturnValue:
    """GET /networks/{id}"""
    network = call.region.networks.network(network_id, call.project_id)
    return {"network": _view(network)}


def create(call: Call) -> ResponseReturnValue:
    """POST /networks"""
    known = {"name": TEXT, "description": TEXT, "admin_state_up": {"enum": [True]}}
    wanted = inputs.body("network", known)
    may(call, "create_network")
    name = wanted.get("name") or ""
    network = call.region.networks.add_network(name, call.project_id)
    return {"network": _view(network)}, 201


def delete(call: Call, network_id: str) -> ResponseReturnValue:
    """DELETE /networks/{id}"""
    network = call.region.networks.network(network_id, call.project_id)
    may(call, "delete_network")
    _own(call, network, "delete_network")
    call.region.networks.delete_network(network)
    return "", 204


def subnet_index(call: Call) -> ResponseReturnValue:
    """GET /subnets"""
    subnets = call.region.networks.subnets(call.project_id)
    return inputs.page(call, "subnets", map(_subnet_view, subnets))


def subnet_show(call: Call, subnet_id: str) -> ResponseReturnValue:
    """GET /subnets/{id}"""
    for subnet in call.region.networks.subnets(call.project_id):
        if subnet.id == subnet_id:
            return {"subnet": _subnet_view(subnet)}
    raise NotFound(f"Subnet {subnet_id} could not be found.")


def subnet_create(call: Call) -> ResponseReturnValue:
    """POST /subnets"""
    known = {
        "name": TEXT,
        "network_id": {"type": "string"},
        "cidr": {"type": "string"},
        "ip_version": {"enum": [4, "4"]},
        "gateway_ip": TEXT,
        "enable_dhcp": {"type": "boolean"},
    }
    wanted = inputs.body("subnet", known, "network_id", "cidr", "ip_version")
    networks = call.region.networks
    network = networks.network(wanted["network_id"], call.project_id)
    may(call, "create_subnet")
    _own(call, network, "create_subnet")
    subnet = networks.add_subnet(
        network,
        wanted.get("name") or "",
        wanted["cidr"],
        gateway=wanted.get("gateway_ip"),
    )
    return {"subnet": _subnet_view(subnet)}, 201


def _own(call: Call, network: Network, action: str) -> None:
    if network.project_id != call.project_id:
        raise HttpError(403, f"(rule:{action}) is disallowed by policy")


def _view(network: Network) -> Json:
    return {
        "id": network.id,
        "name": network.name,
        "description": "",
        "tenant_id": network.project_id,
        "project_id": network.project_id,
        "admin_state_up": True,
        "status": "ACTIVE",
        "mtu": 1450,
        "shared": network.shared,
        "router:external": False,
        "port_security_enabled": True,
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "subnets": [subnet.id for subnet in network.subnets],
        "tags": [],
        "created_at": isotime(network.created),
        "updated_at": isotime(network.created),
        "revision_number": 1,
    }


def _subnet_view(subnet: Subnet) -> Json:
    hosts = IPv4Network(subnet.cidr)
    pool = {"start": str(hosts[2]), "end": str(hosts[-2])}
    return {
        "id": subnet.id,
        "name": subnet.name,
        "description": "",
        "tenant_id": subnet.project_id,
        "project_id": subnet.project_id,
        "network_id": subnet.network_id,
        "ip_version": 4,
        "cidr": subnet.cidr,
        "gateway_ip": subnet.gateway,
        "enable_dhcp": True,
        "allocation_pools": [pool],
        "dns_nameservers": [],
        "host_routes": [],
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
        "service_types": [],
        "subnetpool_id": None,
        "tags": [],
        "created_at": isotime(subnet.created),
        "updated_at": isotime(subnet.created),
        "revision_number": 0,
    }
