"""What Rackspace's face shows as Rackspace's documents have it."""

from __future__ import annotations

import re
from typing import Any

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.seed_data import BASE_IMAGE

from .fleet import MYSERVER
from .raw import Box, box


def state(made: Box) -> dict[str, Any]:
    server = made.admin.get(f"/servers/{MYSERVER}").json()["server"]
    return dict(server)


def test_a_running_server_is_all_there() -> None:
    with box("rackspace") as made:
        assert (state(made)["status"], state(made)["progress"]) == ("ACTIVE", 100)
        made.admin.post(f"/servers/{MYSERVER}/action", {"os-stop": None})
        assert "progress" not in state(made)


def test_a_snapshot_begins_with_the_copy() -> None:
    with box("rackspace") as made:
        made.admin.snapshot(MYSERVER, "x")
        seen = []
        for _ in range(130):
            seen.append(state(made)["OS-EXT-STS:task_state"])
            made.sandbox.advance(1)
        assert list(dict.fromkeys(seen)) == [
            "image_snapshot",
            "image_pending_upload",
            "image_uploading",
            None,
        ]


def test_nova_boots_a_server_from_an_image_that_it_names(
    nova: Any, rackspace: Sandbox
) -> None:
    boot = ("boot", "--image", BASE_IMAGE, "--flavor", "m1.tiny", "new")
    assert nova(*boot, cloud=rackspace).status == 0
    assert "| new " in nova.ok("list", cloud=rackspace)


def test_nova_names_the_image_of_a_server(nova: Any, rackspace: Sandbox) -> None:
    shown = nova("show", "myserver", cloud=rackspace)
    assert shown.status == 0
    assert re.search(
        r"\| image +\| Debian 12 \(Bookworm\) \([0-9a-f-]{36}\)", shown.out
    )
    assert "Image not found" not in shown.out
