"""Restoring a server that boots from a volume, on the real Nova, which must be up.

The volumes have no data: what a restored disk holds is tested in ``tests/hypervisor``,
whose servers boot from images.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.model.image import MAPPING_KEY, MARKER_KEY, SERVER_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag

from ..scenarios.resources import Workshop
from .cloud.api import Administrator
from .cloud.layout import DEFAULT_STATE, Layout
from .terminal import NEEDS_CLOUD, NEEDS_OPENSTACK, Terminal

pytestmark = NEEDS_CLOUD
SHELLS = {
    "nova": ("nova scheduled-images-restore", "--format json"),
    "openstack": ("openstack server snapshot restore", "-f json"),
}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, Layout(DEFAULT_STATE).environ("demo"))


@pytest.fixture
def backed() -> Iterator[tuple[Workshop, str]]:
    """A server on a volume with a daily schedule; all that is made of it goes."""
    with booted_from_volume() as made:
        yield made


@pytest.fixture
def small_root() -> Iterator[tuple[Workshop, str]]:
    """Such a server, whose volume is smaller than the disk of its flavor."""
    operator = Administrator(Layout(DEFAULT_STATE).environ("admin"))
    larger = {"name": f"larger-{uuid.uuid4().hex}", "ram": 64, "vcpus": 1, "disk": 2}
    made = operator.post("compute", "/flavors", {"flavor": larger})["flavor"]
    try:
        with booted_from_volume(made["id"]) as backed:
            yield backed
    finally:
        operator.delete("compute", f"/flavors/{made['id']}")


@contextmanager
def booted_from_volume(flavor_id: str | None = None) -> Iterator[tuple[Workshop, str]]:
    """Boot a server from a volume of 1 GiB; remove it, and what was made of it."""
    resources = Workshop(Layout(DEFAULT_STATE).environ("demo"))
    volume_id = resources.make_volume()
    _, server_id = resources.boot(volume_id=volume_id, flavor_id=flavor_id)
    tags = {"tags": [MARKER_TAG, schedule_tag(ImageSchedule(2))]}
    resources.api.do("compute", "PUT", f"/servers/{server_id}/tags", tags)
    yield resources, server_id
    volumes = [volume_id, *volumes_of(resources)]
    for image in resources.images_of(server_id):
        resources.delete_image(image["id"])
    resources.clear()
    for each in dict.fromkeys(volumes):
        if resources.api.ask("block-storage", "GET", f"/volumes/{each}").ok:
            resources.delete_volume(each)


def volumes_of(resources: Workshop) -> list[str]:
    """The IDs of the volumes that servers of the project have."""
    servers = resources.api.do("compute", "GET", "/servers/detail")["servers"]
    return [
        volume["id"]
        for server in servers
        for volume in server["os-extended-volumes:volumes_attached"]
    ]


def volumes_of_project(resources: Workshop) -> set[str]:
    """The IDs of all volumes."""
    found = resources.api.do("block-storage", "GET", "/volumes")["volumes"]
    return {volume["id"] for volume in found}


def size_of_root(resources: Workshop, server_id: str) -> int:
    """The GiB of the only volume of a server."""
    server = resources.server(server_id)
    assert server is not None
    (volume,) = server["os-extended-volumes:volumes_attached"]
    found = resources.api.do("block-storage", "GET", f"/volumes/{volume['id']}")
    return int(found["volume"]["size"])


def named(image: dict[str, Any]) -> str:
    """The volume snapshot that an image names."""
    (mapping,) = json.loads(image[MAPPING_KEY])
    return str(mapping["snapshot_id"])


@NEEDS_OPENSTACK
def test_a_server_on_a_volume_comes_back_on_a_new_one(
    terminal: Terminal, backed: tuple[Workshop, str]
) -> None:
    resources, server_id = backed
    server = resources.server(server_id)
    assert server is not None
    terminal.make_images(None, backed, 1)
    (image,) = resources.images_of(server_id)
    assert image["size"] == 0
    snapshot = resources.volume_snapshot(named(image))
    assert snapshot is not None
    (old,) = server["os-extended-volumes:volumes_attached"]
    assert snapshot["volume_id"] == old["id"]

    for shell, (restore, as_json) in SHELLS.items():
        refused = terminal.try_to(f"{restore} {server_id} --in-place --yes")
        assert refused.returncode == 1
        assert "boots from a volume, which cannot be replaced" in refused.stderr
        new = resources.name(shell)
        printed = terminal.run(
            f"{restore} {server_id} --as {new} --yes --wait {as_json}"
        )
        done = json.loads(printed)
        assert done["status"] == "ACTIVE"
        back = resources.server(done["restored_id"])
        assert back is not None
        (volume,) = back["os-extended-volumes:volumes_attached"]
        assert volume["id"] != old["id"]
        found = resources.api.do("block-storage", "GET", f"/volumes/{volume['id']}")
        assert found["volume"]["snapshot_id"] == snapshot["id"]
    # Nothing of the old server was touched.
    assert resources.server(server_id) == server
    # An image-backed server would get an empty disk.
    plain, _ = resources.boot()
    for restore, _ in SHELLS.values():
        trap = f"{restore} {plain} --in-place --image {image['id']} --yes"
        refused = terminal.try_to(trap)
        assert refused.returncode == 1
        assert "would leave an empty disk" in refused.stderr


def test_a_snapshot_of_the_restored_server_is_its_own(
    terminal: Terminal, backed: tuple[Workshop, str]
) -> None:
    """Nova hands the old server's properties on, its ID and the marker among them."""
    resources, server_id = backed
    terminal.make_images(None, backed, 2)
    before = [image["id"] for image in resources.images_of(server_id)]
    new = resources.name("back")
    restore, as_json = SHELLS["nova"]
    done = json.loads(
        terminal.run(f"{restore} {server_id} --as {new} --yes --wait {as_json}")
    )
    by_nova = resources.snapshot(done["restored_id"])
    resources.done(done["restored_id"], by_nova)
    copy = resources.image(by_nova)
    assert copy is not None
    assert copy[SERVER_KEY] == server_id
    # It names the old server, which neither counts it nor deletes another for it.
    images = terminal.run(f"nova scheduled-images-image-list {server_id} --format json")
    rows = {row["id"]: row for row in json.loads(images)}
    assert (rows[by_nova]["code"], rows[by_nova]["counted"]) == ("inherited", False)
    assert [rows[each]["counted"] for each in before] == [True, True]
    prune = "nova scheduled-images-prune --yes --format json"
    assert json.loads(terminal.run(f"{prune} {server_id}") or "[]") == []
    # The command for snapshots names the server itself, and takes the marker off.
    name = resources.name("by-hand")
    terminal.run(f"nova snapshot-create --wait {new} {name}")
    (ours,) = resources.images_of(done["restored_id"])
    assert (ours["name"], MARKER_KEY in ours) == (name, False)
    found = {image["id"] for image in resources.images_of(server_id)}
    assert found == {*before, by_nova}


def test_a_root_volume_that_nova_calls_too_small_is_made_larger(
    terminal: Terminal, small_root: tuple[Workshop, str]
) -> None:
    """Nova writes the flavor's disk as the minimum, and then refuses to boot it."""
    resources, server_id = small_root
    server = resources.server(server_id)
    assert server is not None
    terminal.make_images(None, small_root, 1)
    (image,) = resources.images_of(server_id)
    (mapping,) = json.loads(image[MAPPING_KEY])
    assert (mapping["volume_size"], image["min_disk"]) == (1, 2)
    form = {"name": resources.name("bare"), "imageRef": image["id"]}
    form |= {"flavorRef": server["flavor"]["id"], "networks": "none"}
    refused = resources.api.ask("compute", "POST", "/servers", {"server": form})
    assert refused.status_code == requests.codes.bad_request
    assert "Volume is smaller than the minimum size" in refused.text

    restore, as_json = SHELLS["nova"]
    new = resources.name("back")
    done = json.loads(
        terminal.run(f"{restore} {server_id} --as {new} --yes --wait {as_json}")
    )
    assert (
        "its root volume has 2 GiB: the cloud requires the image's minimum disk size"
    ) in done["differs"]
    assert size_of_root(resources, done["restored_id"]) == 2
    assert size_of_root(resources, server_id) == 1
    # So does the test server of a proof; its volume goes with it.
    before = volumes_of_project(resources)
    proof = f"nova scheduled-images-verify {image['id']} --console FAKE --yes"
    (row,) = json.loads(terminal.run(f"{proof} --format json"))
    assert (row["result"], row["level"]) == ("proven", "console")
    assert volumes_of_project(resources) == before
