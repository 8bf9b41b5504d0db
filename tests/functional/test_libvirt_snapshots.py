"""Snapshots on hosts with libvirt, which copy the disk later than documented."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.model.times import read_time
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.state import LibvirtTimings
from rax_scheduled_images_ext.sandbox.cli import main

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from .clouds import open_cloud, proxied
from .snapshots import Log, create, following, images

SANDBOX = Path(sys.executable).with_name("scheduled-images-sandbox")
LIBVIRT: dict[str, Any] = {"extension": False, "hypervisor": "libvirt", "speed": 0}
STATES = [
    "image_snapshot_pending",
    "image_snapshot",
    "image_pending_upload",
    "image_uploading",
    "image_pending_upload",
    "image_uploading",
]


@pytest.fixture(params=["plain", "our API in front"])
def cloud(request: pytest.FixtureRequest) -> Any:
    front = proxied if request.param != "plain" else lambda **more: open_cloud(more)
    with front(**LIBVIRT) as cloud:
        # Each is seen once at most: a look takes 14 seconds.
        cloud.cloud.timings = LibvirtTimings(instant=13)
        yield cloud


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def run(cloud: Sandbox, log: Log, *options: str, shell: str = "nova") -> float:
    """Take a snapshot.

    :returns: how many seconds after the moment that the image holds ``--after`` ran.
    """
    seen = log.path.with_name("state")
    state = f"{SANDBOX} state --url {cloud.url} > {seen}"
    hooks = ("--before", log.command("before"), "--after", log.command("after", state))
    with following(cloud):
        if shell == "nova":
            done = Nova(cloud)(*create("db1", "x", "--wait", *options, *hooks))
        else:
            arguments = create("db1", "x", "--wait", *options, *hooks)[1:]
            done = OpenStack(cloud)("server", "snapshot", "create", *arguments)
    assert done.status == 0, done
    assert log.words() == ["before", "after"]
    now = read_time(json.loads(seen.read_text())["now"])
    assert now is not None
    image = images(cloud)["x"]
    (server,) = (each for each in cloud.servers() if each.name == "db1")
    with cloud.region() as region:
        held, disk = region.disks.read(image.id), region.disks.read(server.id)
    assert held is not None
    assert disk is not None
    return disk.at(now.timestamp()).last - held.last


@pytest.mark.parametrize(
    "shell", ["nova", pytest.param("openstack", marks=not_beside_novaclient_7)]
)
def test_what_is_stopped_stays_stopped_until_the_disk_is_copied(
    cloud: Sandbox, log: Log, shell: str
) -> None:
    assert run(cloud, log, shell=shell) >= 0


def test_the_documented_state_is_too_early(cloud: Sandbox, log: Log) -> None:
    assert run(cloud, log, "--hold-until", "image_pending_upload") < -20


def test_the_states_are_those_of_libvirt(cloud: Sandbox) -> None:
    # Each lasts for at least one look.
    cloud.cloud.timings = LibvirtTimings(instant=20)
    nova = Nova(cloud)
    nova.ok("image-create", "db1", "x")
    with following(cloud):
        watched = nova.ok(
            "snapshot-watch", "--interval", "0.1", "--format", "json", "db1"
        )
    lines = map(json.loads, watched.splitlines())
    phases = next(line["phases"] for line in lines if "phases" in line)
    assert [each["task_state"] for each in phases] == STATES


def test_a_cloud_with_the_extension_documents_other_states(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--hypervisor", "libvirt"])
    assert capsys.readouterr().err == (
        "scheduled-images-sandbox: error: --hypervisor libvirt requires"
        " --without-extension\n"
    )
