"""Rebuilding servers as Nova does, and what is on their disks before and after."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import Box, Caller
from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from .test_api_compute import refused

APPLIANCE = "5c0ffee0-0000-4000-8000-00000000d0b1"
SNAPSHOT, REBUILD = 121, 12


def console(caller: Caller, server_id: str, length: int | None = None) -> str:
    wanted = {} if length is None else {"length": length}
    action = {"os-getConsoleOutput": wanted}
    answer = caller.post(f"/servers/{server_id}/action", action)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["output"])


def found(caller: Caller, server_id: str) -> tuple[int, int] | None:
    """Return the number that the last boot found, and how many there were."""
    line = re.search(
        r"^VERIFY last=(\d+) gaps=0 bad=0 boots=(\d+)$",
        console(caller, server_id),
        re.M,
    )
    return line and (int(line[1]), int(line[2]))


def last(caller: Caller, server_id: str) -> int:
    return int(re.findall(r"^TICK (\d+)$", console(caller, server_id), re.M)[-1])


def rebuild(
    caller: Caller, server_id: str, image_id: str, version: str = "2.1", **more: Any
) -> requests.Response:
    action = {"rebuild": {"imageRef": image_id, **more}}
    return caller.post(f"/servers/{server_id}/action", action, version=version)


def image_of(caller: Caller, sandbox: Sandbox, server_id: str, name: str = "it") -> str:
    """Make an image of a server, wait for it; its id."""
    image = caller.snapshot(server_id, name)
    sandbox.advance(SNAPSHOT)
    return image


def status(caller: Caller, server_id: str) -> tuple[str, str | None]:
    shown = caller.get(f"/servers/{server_id}").json()["server"]
    return shown["status"], shown["OS-EXT-STS:task_state"]


# -- what a guest counts


def test_a_guest_counts_while_it_runs(admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id()
    assert found(admin, server) == (0, 1)
    assert "myserver login:" in console(admin, server)
    assert "TICK" not in console(admin, server)
    cloud.advance(100)
    assert last(admin, server) == 100
    assert console(admin, server, length=2) == "TICK 99\nTICK 100\n"
    admin.post(f"/servers/{server}/action", {"os-stop": None})
    cloud.advance(50)
    assert (last(admin, server), found(admin, server)) == (100, (0, 1))
    assert console(admin, server, length=1) == "reboot: Power down\n"
    admin.post(f"/servers/{server}/action", {"os-start": None})
    assert found(admin, server) == (100, 2)
    cloud.advance(7)
    assert last(admin, server) == 107
    admin.post(f"/servers/{server}/action", {"reboot": {"type": "HARD"}})
    assert found(admin, server) == (107, 3)


def test_an_image_holds_the_end_of_its_copy(admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id()
    cloud.advance(1000)
    image = image_of(admin, cloud, server)
    cloud.advance(1000)
    copy = admin.boot("copy", imageRef=image, flavorRef="2")
    assert found(admin, copy) == (1042, 2)
    cloud.advance(8)
    assert last(admin, copy) == 1050
    assert last(admin, server) == 1000 + SNAPSHOT + 1000 + 8


def test_no_console(admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id("db1")
    image = image_of(admin, cloud, server)
    copy = admin.boot("copy", imageRef=image, flavorRef="2")
    for each in (server, copy):
        action: dict[str, object] = {"os-getConsoleOutput": {}}
        answer = admin.post(f"/servers/{each}/action", action)
        text = refused(answer, 404)
        assert text == "Guest does not have a console available."


# -- the rebuild


@pytest.mark.parametrize("cloud", ["openstack", "rackspace"], indirect=True)
@pytest.mark.parametrize("stopped", [False, True])
def test_the_data_is_back(admin: Caller, cloud: Sandbox, stopped: bool) -> None:
    server = admin.server_id()
    cloud.advance(1000)
    image = image_of(admin, cloud, server)
    held = 1000 + (40 if cloud.like == "rackspace" else 42)
    if stopped:
        admin.post(f"/servers/{server}/action", {"os-stop": None})
    cloud.advance(5000)
    answer = rebuild(admin, server, image)
    assert answer.status_code == 202
    shown = answer.json()["server"]
    assert (shown["id"], shown["status"]) == (server, "REBUILD")
    assert shown["image"]["id"] == image
    assert shown["adminPass"]
    states = []
    for _ in range(REBUILD):
        states.append(status(admin, server))
        cloud.advance(1)
    assert list(dict.fromkeys(states)) == [
        ("REBUILD", "rebuilding"),
        ("REBUILD", "rebuild_block_device_mapping"),
        ("REBUILD", "rebuild_spawning"),
    ]
    assert status(admin, server) == ("SHUTOFF" if stopped else "ACTIVE", None)
    assert found(admin, server) == (held, 2)
    cloud.advance(10)
    if not stopped:
        assert last(admin, server) == held + 10
    actions = admin.get(f"/servers/{server}/os-instance-actions").json()
    assert actions["instanceActions"][0]["action"] == "rebuild"
    assert actions["instanceActions"][0]["message"] is None


def test_what_a_rebuild_keeps_and_changes(admin: Caller, cloud: Sandbox) -> None:
    server = admin.boot("kept", metadata={"a": "1", "b": "2"})
    admin.put(f"/servers/{server}/tags", {"tags": ["t"]}, version="2.26")
    image = image_of(admin, cloud, server)

    def shown() -> Any:
        return admin.get(f"/servers/{server}", version="2.90").json()["server"]

    before = shown()
    assert rebuild(admin, server, image).status_code == 202
    cloud.advance(REBUILD)
    after = shown()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"image", "updated"}
    more = {"name": "new", "metadata": {"c": "3"}, "description": None}
    user_data = {"user_data": "IyEvYmluL3No"}
    answer = rebuild(
        admin, server, image, "2.90", **more, hostname="other", **user_data
    ).json()["server"]
    assert answer["user_data"] == "IyEvYmluL3No"
    assert answer["tags"] == ["t"]
    after = shown()
    assert {key: after[key] for key in more} == more
    assert after["OS-EXT-SRV-ATTR:hostname"] == "other"
    # It is shown to nobody else.
    assert "user_data" not in after


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("2.1", "adminPass"),
        ("2.54", "key_name"),
        ("2.57", "user_data"),
        ("2.75", "config_drive"),
    ],
)
def test_the_answer(admin: Caller, server: str, version: str, has: str) -> None:
    answer = rebuild(admin, admin.server_id(), admin.base_image(), version)
    shown = answer.json()["server"]
    assert answer.headers["Location"] == f"{admin.root}{server}"
    assert {"adminPass", has} <= set(shown)
    for key, first in (("key_name", 54), ("user_data", 57), ("config_drive", 75)):
        assert (key in shown) == (int(version[2:]) >= first)
    given = rebuild(admin, admin.server_id("web1"), admin.base_image(), adminPass="s")
    assert given.json()["server"]["adminPass"] == "s"


def test_later_images_inherit(admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id()
    mine = {MARKER_KEY: MARKER_VALUE, "note": "n"}
    image = admin.snapshot(server, "it", **mine)
    cloud.advance(SNAPSHOT)
    long = {"op": "add", "path": "/long", "value": "x" * 300}
    assert admin.patch(image, long).status_code == 200
    rebuild(admin, server, image)
    cloud.advance(REBUILD)
    later = image_of(admin, cloud, server, "later")
    shown = admin.image("GET", f"/images/{later}").json()
    assert {key: shown[key] for key in mine} == mine
    assert shown["long"] == "x" * 255
    assert shown["base_image_ref"] == image


# -- refusals


def test_states(cloud_box: Box, server: str) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    base, server_id = admin.base_image(), admin.server_id()
    admin.snapshot(server_id, "running")
    text = refused(rebuild(admin, server_id, base), 409)
    assert text == (
        f"Cannot 'rebuild' instance {server_id} while it is in task_state"
        " image_snapshot_pending"
    )
    sandbox.advance(SNAPSHOT)
    assert rebuild(admin, server_id, base).status_code == 202
    assert "rebuilding" in refused(rebuild(admin, server_id, base), 409)
    action = {"createImage": {"name": "no"}}
    assert "rebuilding" in refused(admin.post(f"{server}/action", action), 409)
    stop = admin.post(f"{server}/action", {"os-stop": None})
    assert "rebuilding" in refused(stop, 409)
    sandbox.advance(REBUILD)
    admin.post(f"{server}/action", {"os-resetState": {"state": "error"}})
    assert rebuild(admin, server_id, base).status_code == 202
    sandbox.advance(REBUILD)
    assert status(admin, server_id) == ("ACTIVE", None)


def test_rights_and_locks(cloud_box: Box) -> None:
    admin, member = cloud_box.admin, cloud_box.as_("creator")
    base, server = admin.base_image(), admin.server_id()
    reader, stranger = cloud_box.as_("observer"), cloud_box.as_("stranger")
    assert refused(rebuild(reader, server, base), 403)
    assert refused(rebuild(stranger, server, base), 404)
    assert refused(rebuild(admin, APPLIANCE, base), 404)
    admin.post(f"/servers/{server}/action", {"lock": None})
    text = refused(rebuild(member, server, base), 409)
    assert text == f"Instance {server} is locked"
    assert member.snapshot(server, "while locked")
    cloud_box.sandbox.advance(SNAPSHOT)
    assert rebuild(admin, server, base).status_code == 202


def test_images_that_do_not_fit(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    server, small = admin.server_id(), admin.boot("small", flavorRef="1")
    base = admin.base_image()
    image = image_of(admin, sandbox, server)
    queued = admin.image("POST", "/images", json={"name": "queued"}).json()["id"]
    for image_id, text in (
        (image, "Flavor's disk is smaller than the minimum size specified in image"),
        (queued, f"Image {queued} is not active."),
        ("5c0ffee0-0000-4000-8000-000000000000", "Cannot find image for rebuild"),
        ("nonsense", "Invalid input for field/attribute imageRef."),
    ):
        assert refused(rebuild(admin, small, image_id), 400).startswith(text)
    for change, text in (
        ({"path": "/min_ram", "value": 4096}, "Flavor's memory is too small"),
        ({"path": "/hw_architecture", "value": "pdp11"}, "Architecture name 'pdp11'"),
    ):
        admin.patch(image, {"op": "add", **change})
        assert refused(rebuild(admin, server, image), 400).startswith(text)
    admin.image("POST", f"/images/{image}/actions/deactivate")
    assert refused(rebuild(admin, server, image), 400)
    private = cloud_box.as_("stranger").image("POST", "/images", json={"name": "no"})
    assert refused(rebuild(admin, server, private.json()["id"]), 400)
    too_many = {f"k{n}": "v" for n in range(129)}
    assert refused(rebuild(admin, server, base, metadata=too_many), 403)
    assert status(admin, server) == ("ACTIVE", None)
    assert found(admin, server) == (0, 1)


def test_hidden_images_and_deleted_flavors_will_do(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    server = admin.server_id()
    with sandbox.region() as region:
        region.flavors.delete("2")
    assert rebuild(admin, server, APPLIANCE).status_code == 202
    shown = admin.get(f"/servers/{server}", version="2.47").json()["server"]
    assert shown["flavor"]["original_name"] == "m1.small"
    assert "2" not in {f["id"] for f in admin.get("/flavors").json()["flavors"]}
    again = {"server": {"name": "n", "imageRef": APPLIANCE, "flavorRef": "2"}}
    text = refused(admin.post("/servers", again), 400)
    assert text == "Flavor 2 could not be found."


# -- what it destroys


def test_a_volume_backed_image_leaves_an_empty_disk(
    admin: Caller, cloud: Sandbox
) -> None:
    volume_backed = cloud.boot("bfv", volume_size=20)
    image = admin.snapshot(volume_backed.id, "no data")
    server = admin.server_id()
    cloud.advance(100)
    assert rebuild(admin, server, image).status_code == 202
    cloud.advance(REBUILD)
    assert status(admin, server) == ("ACTIVE", None)
    assert "No bootable device." in console(admin, server)
    assert found(admin, server) is None


def test_scratch_disks_are_in_no_image(admin: Caller, cloud: Sandbox) -> None:
    server = admin.boot("scratch", flavorRef="4")
    cloud.advance(500)
    image = image_of(admin, cloud, server)
    reboot = {"reboot": {"type": "HARD"}}
    admin.post(f"/servers/{server}/action", reboot)
    kept = f"EPHEMERAL last={500 + SNAPSHOT}\nSWAP last={500 + SNAPSHOT}\n"
    assert kept in console(admin, server)
    rebuild(admin, server, image)
    cloud.advance(REBUILD)
    assert found(admin, server) == (542, 2)
    assert "EPHEMERAL last=0\nSWAP last=0\n" in console(admin, server)


def test_an_image_that_is_gone_meanwhile(admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id()
    image = image_of(admin, cloud, server)
    rebuild(admin, server, image)
    assert admin.image("DELETE", f"/images/{image}").status_code == 204
    cloud.advance(REBUILD)
    shown = admin.get(f"/servers/{server}").json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ERROR", None)
    assert image in shown["fault"]["message"]
    assert found(admin, server) is None
    rebuild(admin, server, admin.base_image())
    cloud.advance(REBUILD)
    shown = admin.get(f"/servers/{server}").json()["server"]
    assert (shown["status"], shown.get("fault")) == ("ACTIVE", None)


# -- servers that boot from volumes


def test_volume_backed_servers(admin: Caller, cloud: Sandbox) -> None:
    server = cloud.boot("bfv", volume_size=20).id
    cloud.advance(100)
    base, image = admin.base_image(), image_of(admin, cloud, admin.server_id())
    text = refused(rebuild(admin, server, image, "2.92"), 400)
    assert text == (
        f"Image {image} is unacceptable: Unable to rebuild with a different image for a"
        " volume-backed server."
    )
    # To its own image it only boots again.
    assert rebuild(admin, server, base, "2.92").status_code == 202
    cloud.advance(REBUILD)
    assert found(admin, server) == (100 + SNAPSHOT, 2)
    assert rebuild(admin, server, image, "2.93").status_code == 202
    cloud.advance(REBUILD)
    assert found(admin, server) == (142, 2)
    shown = admin.get(f"/servers/{server}").json()["server"]
    assert (shown["status"], shown["image"]) == ("ACTIVE", "")


def test_a_volume_backed_image_breaks_a_volume_backed_server(
    admin: Caller, cloud: Sandbox
) -> None:
    server = cloud.boot("bfv", volume_size=20)
    image = admin.snapshot(server.id, "no data")
    assert rebuild(admin, server.id, image, "2.93").status_code == 202
    cloud.advance(REBUILD)
    assert status(admin, server.id) == ("ERROR", None)
    with cloud.region() as region:
        assert region.volumes.get(str(server.root_volume)).status == "reserved"
    again = rebuild(admin, server.id, admin.base_image(), "2.93")
    assert "Currently in 'reserved' status" in refused(again, 400)


# -- clients that nobody here wrote


def test_nova(nova: Nova, admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id()
    cloud.advance(1000)
    image_of(admin, cloud, server, "mine")
    shown = nova.ok("rebuild", "myserver", "mine")
    assert "adminPass" in shown
    assert "rebuilding" in nova.ok("show", "myserver")
    cloud.advance(REBUILD + 3)
    console = nova.ok("console-log", "--length", "3", "myserver")
    assert console.split() == "TICK 1043 TICK 1044 TICK 1045".split()


@not_beside_novaclient_7
def test_openstack(openstack: OpenStack, admin: Caller, cloud: Sandbox) -> None:
    server = admin.server_id()
    cloud.advance(1000)
    image = image_of(admin, cloud, server, "mine")
    openstack.ok("server", "rebuild", "--image", image, "myserver")
    cloud.advance(REBUILD)
    shown = openstack.ok("console", "log", "show", "myserver")
    assert shown.startswith("VERIFY last=1042 gaps=0 bad=0 boots=2\n")
