"""Clients that nobody here wrote, as they come from the registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import novaclient
import pytest

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..openstackshell import not_beside_novaclient_7

pytestmark = pytest.mark.novaclient

NOVACLIENT_7 = novaclient.__version__.startswith("7.")
OpenStack = Callable[..., Any]


@pytest.fixture
def openstack(cloud: Sandbox) -> OpenStack:
    """``openstack(*argv)``: a real process; its JSON where it prints some."""
    program = Path(sys.executable).with_name("openstack")

    def run(*argv: str) -> Any:
        done = subprocess.run(
            [program, *argv],
            env=cloud.environ(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "json" in argv else done.stdout

    return run


@pytest.fixture
def scheduled(cloud: Sandbox, nova: Any) -> Sandbox:
    """The cloud, ten days after myserver got a schedule that keeps seven."""
    nova.ok("scheduled-images-enable", "myserver", "7")
    cloud.advance("10d")
    return cloud


@not_beside_novaclient_7
class TestOpenStackClient:
    def test_servers(self, openstack: OpenStack) -> None:
        servers = openstack("server", "list", "-f", "json")
        assert {"myserver", "web1"} <= {server["Name"] for server in servers}
        shown = openstack("server", "show", "myserver", "-f", "json")
        assert shown["status"] == "ACTIVE"
        assert shown["image"]

    def test_images(self, scheduled: Sandbox, openstack: OpenStack) -> None:
        listed = openstack("image", "list", "-f", "json")
        daily = [i for i in listed if i["Name"].startswith("Daily-myserver-")]
        assert len(daily) == 7

        image = daily[0]["ID"]
        shown = openstack("image", "show", image, "-f", "json")
        assert shown["properties"][MARKER_KEY] == MARKER_VALUE

        openstack("image", "set", "--property", "kept=for good", image)
        openstack("image", "unset", "--property", MARKER_KEY, image)
        changed = openstack("image", "show", image, "-f", "json")["properties"]
        assert changed["kept"] == "for good"
        assert MARKER_KEY not in changed

        openstack("image", "delete", image)
        left = openstack("image", "list", "-f", "json")
        assert image not in {i["ID"] for i in left}

    def test_volumes(self, cloud: Sandbox, openstack: OpenStack) -> None:
        image = ("--image", "Debian 12 (Bookworm)", "--boot-from-volume", "2")
        more = ("--flavor", "1", "--nic", "none", "-f", "json")
        server = openstack("server", "create", *image, *more, "bfv")
        assert server["image"] == "N/A (booted from volume)"
        (volume,) = openstack("volume", "list", "-f", "json")
        assert (volume["Status"], volume["Size"]) == ("in-use", 2)
        assert volume["Attached to"][0]["server_id"] == server["id"]
        shown = openstack("volume", "show", volume["ID"], "-f", "json")
        assert shown["volume_image_metadata"]["os_distro"] == "debian"

        openstack("server", "image", "create", "--name", "mine", "bfv")
        (snapshot,) = openstack("volume", "snapshot", "list", "-f", "json")
        assert snapshot["Name"] == "snapshot for mine"
        name = ("snapshot for mine", "-f", "json")
        assert openstack("volume", "snapshot", "show", *name)["id"] == snapshot["ID"]
        openstack("server", "create", "--image", "mine", *more, "from-image")
        openstack("volume", "snapshot", "delete", snapshot["ID"])
        assert openstack("volume", "snapshot", "list", "-f", "json") == []


@not_beside_novaclient_7
def test_openstacksdk(scheduled: Sandbox) -> None:
    program = """
import openstack
from openstack.exceptions import ConflictException

cloud = openstack.connect(load_envvars=True)
server = cloud.compute.find_server("myserver")
marked = {"instance_uuid": server.id}
images = list(cloud.image.images(limit=2, **marked))
assert len(images) == 7, images
assert len(list(cloud.image.images(name=images[0].name))) == 1

kept = cloud.image.update_image(images[-1], kept="yes")
assert cloud.image.get_image(kept.id).properties["kept"] == "yes"

snapshot = cloud.compute.create_server_image(server, "by hand")
try:
    cloud.compute.create_server_image(server, "too early")
except ConflictException:
    pass
else:
    raise AssertionError("two snapshots at once")
cloud.compute.set_server_metadata(server, role="test")
assert cloud.compute.get_server_metadata(server).metadata["role"] == "test"
cloud.image.delete_image(images[0])
assert len(list(cloud.image.images(**marked))) == 7  # the one by hand came along
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=scheduled.environ(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
@pytest.mark.skipif(
    NOVACLIENT_7, reason="the shell of novaclient 7 wants a plugin with a user ID"
)
class TestRackspaceApiKey:
    """``nova`` with rackspaceauth's plugin, which knows no password."""

    @pytest.fixture
    def login(self) -> dict[str, str | None]:
        return {"OS_AUTH_TYPE": "rackspace_apikey", "OS_PASSWORD": None}

    def test_a_schedule_comes_and_goes(
        self, nova: Any, cloud: Sandbox, login: dict[str, str | None]
    ) -> None:
        def run(*argv: str) -> str:
            return str(nova.ok(*argv, env=login))

        assert (
            run("scheduled-images-enable", "--day-of-week", "sat", "myserver", "4")
            == ""
        )
        assert run("scheduled-images-show", "myserver") == (
            "Schedule type: Weekly on: SATURDAY\nRetention: 4\n"
        )
        cloud.advance("30d")
        assert run("image-list").count("Weekly-myserver-") == 4
        assert run("scheduled-images-disable", "myserver") == ""

    def test_a_wrong_key_is_refused(
        self, nova: Any, cloud: Sandbox, login: dict[str, str | None]
    ) -> None:
        wrong = {**login, "OS_API_KEY": "wrong"}
        result = nova("scheduled-images-show", "myserver", env=wrong)
        assert result.status == 1
        assert result.err.startswith("ERROR (Unauthorized): ")
        assert "wrong" not in result.err.removeprefix("ERROR")
