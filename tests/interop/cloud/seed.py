"""What a new cloud holds: roles, projects, users, catalog, a flavor and an image."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .api import Administrator
from .layout import (
    CINDER,
    GLANCE,
    NEUTRON,
    NOVA,
    PLACEMENT,
    REGION,
    USERS,
    Layout,
    url,
)

SERVICES = {
    "nova": ("compute", url(NOVA, "/v2.1")),
    "glance": ("image", url(GLANCE)),
    "placement": ("placement", url(PLACEMENT)),
    "neutron": ("network", url(NEUTRON)),
    "cinder": ("block-storage", url(CINDER, "/v3")),
}
#: What Glance limits for each project. Nothing may be made beyond one that is unknown.
LIMITS = (
    "image_size_total",
    "image_stage_total",
    "image_count_total",
    "image_count_uploading",
)
ENOUGH = 1_000_000
FLAVOR = {"id": "1", "name": "m1.tiny", "ram": 64, "vcpus": 1, "disk": 1}
IMAGE = {
    "name": "cirros",
    "disk_format": "raw",
    "container_format": "bare",
    "visibility": "public",
}
IMAGE_DATA = b"\x5a" * 4096
GUEST_FLAVOR = {"id": "2", "name": "m1.guest", "ram": 128, "vcpus": 1, "disk": 1}
# The guest fills its larger disk; see files/guest.
FILLED_FLAVOR = GUEST_FLAVOR | {"id": "3", "name": "m1.filled", "disk": 2}
GUEST_IMAGE = {
    "name": "counting-guest",
    "disk_format": "qcow2",
    "container_format": "bare",
    "visibility": "public",
    # Nova asks the agent in the guest to freeze the file system for a snapshot.
    "hw_qemu_guest_agent": "yes",
}


def seed_identity(layout: Layout, admin: Administrator) -> None:
    """Make the users and the catalog, whatever of them is not there yet."""
    roles = {
        name: _ensure(admin, "roles", "role", name)["id"] for name in _role_names()
    }
    people: dict[str, dict[str, tuple[str, ...]]] = {
        "service": dict.fromkeys(SERVICES, ("admin", "service"))
    }
    for name, (project, role) in USERS.items():
        people.setdefault(project, {})[name] = (role,)
    for project, members in people.items():
        project_id = _ensure(
            admin, "projects", "project", project, domain_id="default"
        )["id"]
        for name, held in members.items():
            user = _ensure(
                admin,
                "users",
                "user",
                name,
                domain_id="default",
                password=layout.password(),
            )
            for role in held:
                path = f"/projects/{project_id}/users/{user['id']}/roles/{roles[role]}"
                admin.put("identity", path)
    for name, (kind, address) in SERVICES.items():
        _ensure_endpoint(
            admin, _ensure(admin, "services", "service", name, type=kind), address
        )
    _seed_limits(admin, roles["reader"])


def _seed_limits(admin: Administrator, reader: str) -> None:
    """Let Glance read limits, and register those that it knows; it has no others."""
    glance = admin.get("identity", "/users?name=glance")["users"][0]["id"]
    admin.put("identity", f"/system/users/{glance}/roles/{reader}")
    service = admin.get("identity", "/services?name=glance")["services"][0]["id"]
    known = admin.get("identity", "/registered_limits")["registered_limits"]
    limits = [
        {
            "service_id": service,
            "region_id": REGION,
            "resource_name": name,
            "default_limit": ENOUGH,
        }
        for name in LIMITS
        if name not in {each["resource_name"] for each in known}
    ]
    if limits:
        admin.post("identity", "/registered_limits", {"registered_limits": limits})


def _role_names() -> set[str]:
    return {"service", "reader", *(role for _, role in USERS.values())}


def _ensure(
    admin: Administrator, plural: str, singular: str, name: str, **attributes: str
) -> dict[str, Any]:
    found = admin.get("identity", f"/{plural}?name={name}")[plural]
    if not found:
        body = {singular: {"name": name, **attributes}}
        found = [admin.post("identity", f"/{plural}", body)[singular]]
    first: dict[str, Any] = found[0]
    return first


def _ensure_endpoint(
    admin: Administrator, service: dict[str, Any], address: str
) -> None:
    query = f"/endpoints?service_id={service['id']}"
    have = {
        endpoint["interface"] for endpoint in admin.get("identity", query)["endpoints"]
    }
    for interface in {"public", "internal", "admin"} - have:
        endpoint = {
            "service_id": service["id"],
            "interface": interface,
            "url": address,
            "region_id": REGION,
        }
        admin.post("identity", "/endpoints", {"endpoint": endpoint})


def seed_resources(admin: Administrator) -> None:
    """Make the flavor and the image, if they are not there."""
    _ensure_flavor(admin, FLAVOR)
    _ensure_image(admin, IMAGE, lambda: IMAGE_DATA)


def seed_guest(admin: Administrator, guest: Path) -> None:
    """Make the counting guest's flavors and image, if they are not there."""
    _ensure_flavor(admin, GUEST_FLAVOR)
    _ensure_flavor(admin, FILLED_FLAVOR)
    _ensure_image(admin, GUEST_IMAGE, guest.read_bytes)


def _ensure_flavor(admin: Administrator, flavor: dict[str, Any]) -> None:
    flavors = admin.get("compute", "/flavors")["flavors"]
    if flavor["id"] not in {each["id"] for each in flavors}:
        admin.post("compute", "/flavors", {"flavor": flavor})


def _ensure_image(
    admin: Administrator, form: dict[str, str], data: Callable[[], bytes]
) -> None:
    if not admin.get("image", f"/images?name={form['name']}&status=active")["images"]:
        image = admin.post("image", "/images", form)
        admin.put("image", f"/images/{image['id']}/file", data())


def all_heard_of(
    admin: Administrator,
    kind: str,
    names: Collection[str],
    since: datetime,
    host: str | None = None,
) -> bool:
    """Whether these processes of a service have all reported after ``since``.

    "up" alone is not enough: for a while it is also said of a service that has ended.

    :param host: the one that they must be on.
    """
    services = admin.get(kind, "/os-services")["services"]
    heard = {
        service["binary"]
        for service in services
        if service["updated_at"]
        and host in (None, service["host"])
        and datetime.fromisoformat(service["updated_at"]).replace(tzinfo=timezone.utc)
        > since
    }
    return heard >= set(names)


def allow_servers(admin: Administrator, host: str, *, allowed: bool = True) -> None:
    """Let new servers be put on a host, or let none be; its compute service runs."""
    body = {"host": host, "binary": "nova-compute"}
    admin.put("compute", f"/os-services/{'enable' if allowed else 'disable'}", body)


def host_is_mapped(admin: Administrator, host: str) -> bool:
    """Whether a hypervisor belongs to a cell, so that servers can be put on it."""
    hypervisors = admin.get("compute", "/os-hypervisors/detail")["hypervisors"]
    return host in {each["service"]["host"] for each in hypervisors}
