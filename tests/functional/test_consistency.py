"""What both shells say of the data of images, and what no image may inherit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import HOOK_KEY
from rax_scheduled_images_ext.sandbox import Sandbox

from ..openstackshell import not_beside_novaclient_7
from .fleet import MYSERVER
from .snapshots import create, following, images

pytestmark = pytest.mark.flow

HOOKS = ("--before", "true", "--after", "true")
NOW = ("--yes", "--wait", "--format", "json")


def said(nova: Any, server: str) -> dict[str, str]:
    """What is said of each image of a server, by its name."""
    rows = nova.ok("scheduled-images-image-list", server, "--format", "json")
    return {row["name"]: row["consistency"] for row in json.loads(rows)}


def snapshot(nova: Any, cloud: Sandbox, *argv: str) -> Any:
    """Take a snapshot with commands, until its image is ACTIVE."""
    with following(cloud):
        return nova(*create("myserver", *argv, "--wait", *HOOKS))


def test_an_image_made_with_hooks_says_so_and_that_takes_no_request(
    nova: Any, cloud: Sandbox
) -> None:
    assert snapshot(nova, cloud, "monday").status == 0
    nova.ok("image-create", "myserver", "tuesday")
    cloud.advance("10m")
    assert said(nova, "myserver") == {"monday": "hook", "tuesday": "crash"}
    kinds = {seen.method for seen in cloud.requests if "/images" in seen.path}
    assert kinds == {"GET"}


@not_beside_novaclient_7
def test_the_other_shell_says_the_same(
    nova: Any, openstack: Any, cloud: Sandbox
) -> None:
    with following(cloud):
        argv = ("server", "snapshot", "create", "--interval", "0.1", "--wait")
        assert openstack(*argv, *HOOKS, "myserver", "monday").status == 0
    listed = ("server", "snapshot", "list", "myserver", "--long")
    (row,) = openstack.json(*listed)
    assert row["Consistency"] == "hook"
    assert openstack.ok(*listed, "-f", "value", "-c", "Consistency") == "hook\n"
    lines = nova.ok("scheduled-images-image-list", "myserver", "--format", "csv")
    assert lines.splitlines()[0].endswith(",protected,consistency")
    assert lines.splitlines()[1].endswith(",hook")


def test_what_the_boot_image_asks_of_the_agent_is_said(
    nova: Any, cloud: Sandbox
) -> None:
    nova.ok("image-create", "myserver", "base")
    cloud.advance("10m")
    base = images(cloud)["base"]
    wanted = {**base.properties, "hw_qemu_guest_agent": "yes"}
    with cloud.region() as region:
        region.images.update(base.id, properties=wanted)
    options = ("--flavor", "2", "--nic", "none", "--image", base.id)
    assert nova("boot", *options, "asked").status == 0
    cloud.advance("5m")
    nova.ok("image-create", "asked", "frozen-perhaps")
    cloud.advance("10m")
    assert said(nova, "asked") == {"frozen-perhaps": "agent asked for"}
    nova.ok("scheduled-images-enable", "asked", "7")
    cloud.advance("2d")
    argv = ("scheduled-images-list", "--long", "--name", "asked", "--format", "json")
    (row,) = json.loads(nova.ok(*argv))
    assert row["consistency"] == "agent asked for"


def test_a_hold_that_was_cut_short_is_not_said(nova: Any, cloud: Sandbox) -> None:
    # Time stands still: its disk is being copied for ever.
    cut = nova(*create("myserver", "monday", "--max-hold", "2s", *HOOKS))
    assert cut.status == 7
    assert f"Removed {HOOK_KEY} from image" in cut.err
    cloud.advance("10m")
    assert said(nova, "myserver") == {"monday": "crash"}


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
@pytest.mark.parametrize(
    ("state", "expected"),
    [("image_uploading", "hook"), ("image_pending_upload", "crash")],
)
def test_a_state_that_may_not_be_safe_is_no_reason_to_say_it(
    nova: Any, cloud: Sandbox, state: str, expected: str
) -> None:
    assert snapshot(nova, cloud, "monday", "--hold-until", state).status == 0
    assert said(nova, "myserver") == {"monday": expected}


def test_no_image_of_a_restored_server_inherits_it(nova: Any, cloud: Sandbox) -> None:
    assert snapshot(nova, cloud, "monday").status == 0
    restore = ("scheduled-images-restore", "myserver", "--image", "monday")
    plan = json.loads(
        nova.ok(*restore, "--as", "back", "--dry-run", "--format", "json")
    )
    assert plan["consistency"] == "hook"
    with following(cloud):
        done = nova(*restore, "--in-place", *NOW)
        assert nova(*restore, "--as", "back", *NOW).status == 0
    safety = json.loads(done.out)["safety_image_id"]
    for server in ("myserver", "back"):
        nova.ok("image-create", server, "later")
    cloud.advance("10m")
    found = said(nova, "myserver")
    assert (found.pop("monday"), set(found.values())) == ("hook", {"crash"})
    assert said(nova, "back") == {"later": "crash"}
    (kept,) = [each for each in cloud.images() if each.id == safety]
    assert HOOK_KEY not in kept.properties
    assert HOOK_KEY in images(cloud)["later"].properties


def test_a_person_who_says_so_is_not_believed(nova: Any, cloud: Sandbox) -> None:
    forged = f"{HOOK_KEY}={MYSERVER}:0:2026-01-05T12:00:00Z"
    nova.ok("image-create", "--metadata", forged, "myserver", "monday")
    cloud.advance("10m")
    assert said(nova, "myserver") == {"monday": "crash"}
