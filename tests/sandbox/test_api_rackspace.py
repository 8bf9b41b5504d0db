"""What a cloud like Rackspace's shows as Rackspace's documents have it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox.backend.seed_data import BASE_IMAGE

from ..functional.fleet import MYSERVER
from ..functional.raw import Box

pytestmark = pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)


def state(made: Box) -> dict[str, Any]:
    server = made.admin.get(f"/servers/{MYSERVER}").json()["server"]
    return dict(server)


def test_a_running_server_is_all_there(cloud_box: Box) -> None:
    assert (state(cloud_box)["status"], state(cloud_box)["progress"]) == ("ACTIVE", 100)
    cloud_box.admin.post(f"/servers/{MYSERVER}/action", {"os-stop": None})
    assert "progress" not in state(cloud_box)


def test_a_snapshot_begins_with_the_copy(cloud_box: Box) -> None:
    cloud_box.admin.snapshot(MYSERVER, "x")
    seen = []
    for _ in range(130):
        seen.append(state(cloud_box)["OS-EXT-STS:task_state"])
        cloud_box.sandbox.advance(1)
    assert list(dict.fromkeys(seen)) == [
        "image_snapshot",
        "image_pending_upload",
        "image_uploading",
        None,
    ]


def test_nova_boots_a_server_from_an_image_that_it_names(nova: Any) -> None:
    boot = ("boot", "--image", BASE_IMAGE, "--flavor", "m1.tiny", "new")
    assert nova(*boot).status == 0
    assert "| new " in nova.ok("list")


def test_nova_names_the_image_of_a_server(nova: Any) -> None:
    shown = nova("show", "myserver")
    assert shown.status == 0
    assert re.search(
        r"\| image +\| Debian 12 \(Bookworm\) \([0-9a-f-]{36}\)", shown.out
    )
    assert "Image not found" not in shown.out
