"""The initial content of a new cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone

from rax_scheduled_images_ext.model.image import (
    PENDING_KEY,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.slots import Window, next_slot
from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.models import (
    Image,
    Network,
    Server,
    ServerQuery,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.region.images import image_row

BASE_IMAGE = "Debian 12 (Bookworm)"
NETWORK = "private"
MYSERVER = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
_POLLED = "check-my-task-state"
SERVERS = ("myserver", _POLLED, "web1", "db1")
# The servers with the IDs that Rackspace's articles print.
_ARTICLES = {"myserver": MYSERVER, _POLLED: "933e803f-13b0-4698-a5c7-f74ec424fd38"}
# The servers of the second region, if there is one.
ELSEWHERE = ("backup1",)
# The server whose guest has no console, and the image that it boots from.
WITHOUT_CONSOLE = "db1"
_APPLIANCE = "5c0ffee0-0000-4000-8000-00000000d0b1"
_DAY = 24 * 3600


def seed_cloud(
    cloud: Cloud,
    *,
    project_id: str,
    user_id: str,
    servers: int = 0,
    images_per_server: int = 0,
    network: bool = False,
) -> None:
    """Fill an empty cloud; one that was filled before is left as it is.

    :param servers: the number of additional servers in the first region
        (``server-00001`` and so on).
    :param images_per_server: the number of daily images of each of these. If it is not
        0, they have schedules with that retention, as tags if the cloud has no
        extension.
    :param network: whether there is a network, with the first servers on it.
    """
    with cloud.transaction():
        if cloud.store.noted("seeded"):
            return
        for place, name in enumerate(cloud.regions):
            region = cloud.region(name)
            operator = _operator(cloud, project_id)
            if region.images.name == name:
                base = _base_image(region, operator)
                images = {WITHOUT_CONSOLE: _appliance_image(region, operator)}
            shared = _network(cloud, region, operator) if network else None
            for server_name in ELSEWHERE if place else SERVERS:
                if server_name == _POLLED:
                    # Skip an ID, so that the next ones stay those in the documents.
                    cloud.new_id()
                server = region.servers.boot(
                    project_id=project_id,
                    user_id=user_id,
                    name=server_name,
                    image_id=images.get(server_name, base).id,
                    flavor_id="2",
                    server_id=_ARTICLES.get(server_name),
                )
                if shared is not None:
                    region.networks.add_port(
                        shared,
                        project_id,
                        server_id=server.id,
                        port_id=cloud.named_id("port", region.name, server_name),
                    )
            if not place:
                _fleet(
                    cloud, region, base, project_id, user_id, servers, images_per_server
                )
        cloud.store.note("seeded", 1)


def add_fleet(
    cloud: Cloud, *, project_id: str, user_id: str, servers: int, images_per_server: int
) -> None:
    """Add servers to the first region, as if they had always been there.

    :param servers: as for :func:`seed_cloud`.
    :param images_per_server: as for :func:`seed_cloud`.
    """
    with cloud.transaction():
        region = cloud.region(cloud.regions[0])
        base = region.images.get(region.servers.get(MYSERVER).image_id)
        _fleet(cloud, region, base, project_id, user_id, servers, images_per_server)


def _operator(cloud: Cloud, project_id: str) -> str:
    """Return the ID of the operator's project, in the form of other projects' IDs."""
    digits = "0123456789" if project_id.isdecimal() else "0123456789abcdef"
    return "".join(cloud.chance("operator").choices(digits, k=len(project_id)))


def _network(cloud: Cloud, region: Region, owner: str) -> Network:
    """Make the network that all projects share."""
    key = (region.name, NETWORK)
    network = region.networks.add_network(
        NETWORK, owner, shared=True, network_id=cloud.named_id("network", *key)
    )
    region.networks.add_subnet(
        network,
        f"{NETWORK}-subnet",
        "10.0.0.0/16",
        subnet_id=cloud.named_id("subnet", *key),
    )
    return region.networks.network(network.id, owner)


def _base_image(region: Region, owner: str) -> Image:
    image = region.images.add(
        owner=owner,
        name=BASE_IMAGE,
        visibility="public",
        min_disk=1,
        disk_format="qcow2",
        container_format="bare",
        properties={"os_distro": "debian", "os_version": "12"},
    )
    return region.images.upload(image.id, b"\0" * 4096)


def _appliance_image(region: Region, owner: str) -> Image:
    """Make an image that no list shows, and whose guests print nothing."""
    image = region.images.add(
        image_id=_APPLIANCE,
        owner=owner,
        name="Appliance without a console",
        visibility="public",
        hidden=True,
        min_disk=1,
        disk_format="qcow2",
        container_format="bare",
        properties={"hw_serial_port_count": "0"},
    )
    return region.images.upload(image.id, b"\0" * 4096)


def _fleet(
    cloud: Cloud,
    region: Region,
    base: Image,
    project_id: str,
    user_id: str,
    servers: int,
    images: int,
) -> None:
    """Write the rows directly: booting ten thousand servers would take too long."""
    rows: list[dict[str, object]] = []
    born = cloud.now - (images + 1) * _DAY
    for number, server_id in enumerate(cloud.new_ids(servers), 1):
        row: dict[str, object] = {
            "region": region.name,
            "id": server_id,
            "name": f"server-{number:05d}",
            "project_id": project_id,
            "user_id": user_id,
            "image_id": base.id,
            "flavor_id": "2",
            "status": "ACTIVE",
            "vm_state": "active",
            "power_state": 1,
            "created": born,
            "updated": born,
            "launched": born,
            "metadata": "{}",
            "base_properties": json.dumps(dict(base.properties)),
            "hostname": f"server-{number:05d}",
        }
        if images:
            row |= {
                "retention": images,
                "enabled_at": born,
                "next_run": _next_due(server_id, cloud.now),
                "attempt": 0,
            }
        rows.append(row)
    cloud.store.insert("servers", rows)
    if images and not cloud.extension:
        cloud.store.insert("tags", _schedule_tags(rows, images))
    if images:
        past = _past_images(cloud, region, rows, images)
        cloud.store.insert("images", map(image_row, past))
    region.disks.write_fleet(
        [str(row["id"]) for row in rows], copied=cloud.timings.until_copied
    )


def _schedule_tags(
    rows: list[dict[str, object]], images: int
) -> Iterator[dict[str, object]]:
    """Yield the tags of schedules, for a cloud without the extension."""
    for row in rows:
        for tag in (MARKER_TAG, schedule_tag(ImageSchedule(images))):
            yield {"region": row["region"], "server_id": row["id"], "tag": tag}


def _past_images(
    cloud: Cloud, region: Region, rows: list[dict[str, object]], images: int
) -> Iterator[Image]:
    servers = {server.id: server for server in region.servers.select(ServerQuery())}
    ids = iter(cloud.new_ids(len(rows) * images))
    for row in rows:
        server = servers[str(row["id"])]
        assert server.schedule is not None
        for days in range(images, 0, -1):
            made = server.schedule.next_run - days * _DAY
            yield _past_image(cloud, server, next(ids), made)


def _past_image(cloud: Cloud, server: Server, image_id: str, made: float) -> Image:
    chance = cloud.chance("size", image_id)
    return Image(
        id=image_id,
        name=scheduled_image_name(server.name, weekly=False, now=made),
        region=server.region,
        owner=server.project_id,
        status="active",
        visibility="private",
        protected=False,
        size=chance.randrange(600, 900) * 2**20,
        checksum=f"{chance.getrandbits(128):032x}",
        sha512=f"{chance.getrandbits(512):0128x}",
        min_disk=20,
        min_ram=0,
        disk_format="raw",
        container_format="bare",
        created=made,
        updated=made + cloud.timings.until_active,
        deleted_at=None,
        tags=(),
        properties={
            "os_distro": "debian",
            "os_version": "12",
            "instance_uuid": server.id,
            "user_id": server.user_id,
            "base_image_ref": server.image_id,
            "boot_roles": "member,reader",
            "owner_user_name": "demo",
            "owner_project_name": "demo",
            "image_type": "snapshot",
            **_run_metadata(server.id, image_id, made),
        },
    )


def _run_metadata(server_id: str, image_id: str, made: float) -> dict[str, str]:
    """Return the properties of an image once its retention has been applied."""
    slot = datetime.fromtimestamp(made, timezone.utc).date().isoformat()
    metadata = run_metadata(server_id, slot, image_id)
    del metadata[PENDING_KEY]
    return metadata


def _next_due(server_id: str, now: float) -> float:
    """Return when the next daily image of a server is due."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    return next_slot(server_id, ImageSchedule(1), moment, Window()).due.timestamp()
