"""The networks and security groups of a new server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rax_scheduled_images_ext.sandbox.backend.models import (
    Network,
    Nic,
    NotFound,
    SecurityGroup,
)
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError


def nics_of(call: Call, wanted: Mapping[str, Any]) -> list[Nic]:
    """Return the network connections that a request asks for.

    :raises HttpError: 400 for what does not exist, 409 for what is in use, or if it is
        unclear which network is meant.
    """
    given: Any = wanted.get("networks") or "auto"
    if given == "none" or call.services.rackspace:
        return []
    if given == "auto":
        networks = call.region.networks.networks(call.project_id)
        if len(networks) > 1:
            raise HttpError(
                409,
                "Multiple possible networks found, use a Network ID to be more"
                " specific.",
            )
        return [Nic(network) for network in networks]
    return [_nic(call, entry) for entry in given]


def _nic(call: Call, entry: Mapping[str, Any]) -> Nic:
    if entry.get("port"):
        return _of_port(call, str(entry["port"]))
    try:
        network = call.region.networks.network(str(entry["uuid"]), call.project_id)
    except NotFound as error:
        raise HttpError(400, str(error)) from None
    if not network.subnets:
        raise HttpError(
            400,
            f"Network {network.id} requires a subnet in order to boot instances on.",
        )
    address = entry.get("fixed_ip")
    if address is not None:
        _check_free(call, network, address)
    return Nic(network, address)


def _of_port(call: Call, port_id: str) -> Nic:
    try:
        port = call.region.networks.port(port_id, call.project_id)
    except NotFound:
        raise HttpError(400, f"Port id {port_id} could not be found.") from None
    if port.device_id:
        raise HttpError(409, f"Port {port_id} is still in use.")
    if port.address is None:
        raise HttpError(400, f"Port {port_id} requires a FixedIP in order to be used.")
    return Nic(port=port)


def _check_free(call: Call, network: Network, address: str) -> None:
    for port in call.region.networks.ports_on(network):
        if port.address == address:
            raise HttpError(
                400,
                f"Fixed IP address {address} is already in use on instance"
                f" {port.device_id}.",
            )


def security_groups_of(call: Call, wanted: Mapping[str, Any]) -> list[SecurityGroup]:
    """Return the security groups that a request names.

    :raises HttpError: 400 for one that does not exist.
    """
    if call.services.rackspace:
        return []
    names = [str(each["name"]) for each in wanted.get("security_groups", [])]
    try:
        return [
            call.region.networks.group(name, call.project_id)
            for name in dict.fromkeys(names)
        ]
    except NotFound as error:
        raise HttpError(400, str(error)) from None
