"""Restoring a server on a network: its ports, its addresses and its security groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .drivers import Driver, NovaDriver
from .resources import Workshop

pytestmark = pytest.mark.needs("networks of its own")


@pytest.fixture(scope="module")
def network(resources: Workshop) -> Iterator[str]:
    """The ID of a network with addresses."""
    form = {"network": {"name": resources.name("network")}}
    network_id: str = resources.network("POST", "/networks", form)["network"]["id"]
    subnet = {"network_id": network_id, "ip_version": 4, "cidr": "192.0.2.0/24"}
    resources.network("POST", "/subnets", {"subnet": subnet})
    yield network_id
    resources.network("DELETE", f"/networks/{network_id}")


@pytest.fixture(scope="module")
def group(resources: Workshop) -> Iterator[str]:
    """The name of a security group."""
    name = resources.name("group")
    form = {"security_group": {"name": name}}
    made = resources.network("POST", "/security-groups", form)["security_group"]
    yield name
    resources.network("DELETE", f"/security-groups/{made['id']}")


@pytest.fixture
def imaged(
    resources: Workshop, network: str, group: str
) -> Iterator[tuple[str, str, str]]:
    """The name and the ID of a server on the network, and the ID of its image."""
    name, server_id = resources.boot(network_id=network, group=group)
    image_id = resources.snapshot(server_id)
    resources.done(server_id, image_id)
    yield name, server_id, image_id
    for image in resources.images_of(server_id):
        resources.delete_image(image["id"])
    resources.delete_server(server_id)


def restore(driver: Driver, *argv: str) -> dict[str, Any]:
    """Restore a server, and wait for it; return what is printed."""
    as_json = ("--format" if isinstance(driver, NovaDriver) else "-f", "json")
    result = driver.run("restore", *argv, "--yes", "--wait", *as_json)
    assert result.status == 0, result
    done: dict[str, Any] = json.loads(result.out)
    assert done["status"] == "ACTIVE"
    return done


def port(resources: Workshop, server_id: str) -> dict[str, Any]:
    """Return the only port of a server."""
    found = resources.network("GET", f"/ports?device_id={server_id}")["ports"]
    (only,) = found
    return dict(only)


def test_a_new_server_has_a_port_of_its_own(
    driver: Driver, resources: Workshop, imaged: tuple[str, str, str]
) -> None:
    name, server_id, image_id = imaged
    old = port(resources, server_id)
    done = restore(driver, name, "--as", f"{name}-back", "--image", image_id)
    new = port(resources, done["restored_id"])
    for same in ("network_id", "security_groups"):
        assert new[same] == old[same]
    for different in ("id", "fixed_ips"):
        assert new[different] != old[different]
    assert port(resources, server_id) == old
    resources.delete_server(done["restored_id"])


def test_in_place_it_keeps_its_port(
    driver: Driver, resources: Workshop, imaged: tuple[str, str, str]
) -> None:
    name, server_id, image_id = imaged
    old = port(resources, server_id)
    done = restore(driver, name, "--in-place", "--image", image_id)
    assert done["restored_id"] == server_id
    safety = resources.image(done["safety_image_id"])
    assert safety is not None
    assert safety["status"] == "active"
    new = port(resources, server_id)
    for same in ("id", "network_id", "security_groups", "fixed_ips"):
        assert new[same] == old[same]
