"""``openstack server snapshot``, and images by openstackclient's own commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    PROTECTED_KEY,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery

from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..shell import Result
from ..waiting import until
from .fleet import MYSERVER, NOBODY
from .snapshots import Log, following, images, task_state

pytestmark = not_beside_novaclient_7

SNAPSHOT = ("server", "snapshot")
CREATE = (*SNAPSHOT, "create", "--interval", "0.1")
# How long a program may take to start on a busy machine, in seconds.
STARTING = 120.0
UNKNOWN = "No server with a name or ID of '{}' exists.\n"


@pytest.fixture
def scheduled(cloud: Sandbox, openstack: OpenStack) -> list[Image]:
    """The images of a schedule that keeps seven, newest first."""
    argv = ("server", "image", "schedule", "set", "--retention", "7", "myserver")
    openstack.ok(*argv)
    cloud.advance("10d")
    return cloud.images(MYSERVER)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


# -- list, protect and unprotect


def test_list(openstack: OpenStack, scheduled: list[Image]) -> None:
    rows = openstack.json(*SNAPSHOT, "list", "myserver")
    assert [row["ID"] for row in rows] == [image.id for image in scheduled]
    assert list(rows[0]) == [
        *("ID", "Name", "Created", "Size", "Status", "Retention", "Reason")
    ]
    assert rows[0]["Size"] == scheduled[0].size
    assert rows[-1]["Retention"] == "expires next"
    long = openstack.json(*SNAPSHOT, "list", "--long", MYSERVER)
    assert [row["Runs Left"] for row in long] == [7, 6, 5, 4, 3, 2, 1]
    assert {(row["Counted"], row["Protected"], row["Code"]) for row in long} == {
        (True, False, "newest")
    }
    assert "MiB |" in openstack.ok(*SNAPSHOT, "list", "myserver")
    result = openstack(*SNAPSHOT, "list", "nobody")
    assert (result.status, result.out) == (1, "")
    assert result.err == UNKNOWN.format("nobody")


def test_protect_and_unprotect(
    openstack: OpenStack, cloud: Sandbox, scheduled: list[Image]
) -> None:
    oldest = scheduled[-1]
    assert openstack.ok(*SNAPSHOT, "protect", oldest.name) == ""
    kept = images(cloud)[oldest.name].properties
    assert MARKER_KEY not in kept
    assert PROTECTED_KEY in kept
    result = openstack(*SNAPSHOT, "protect", NOBODY, scheduled[0].id, "nothing")
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"No image with a name or ID of '{name}' exists."
        for name in (NOBODY, "nothing")
    ]
    assert MARKER_KEY not in images(cloud)[scheduled[0].name].properties
    back = openstack(*SNAPSHOT, "unprotect", oldest.id, scheduled[0].id)
    assert (back.status, back.out) == (0, "")
    assert back.err == (
        f"Expires next on server {MYSERVER}: {oldest.name} ({oldest.id}), with the"
        " next scheduled image\n"
    )
    assert images(cloud)[oldest.name].properties[MARKER_KEY] == MARKER_VALUE


def test_images_are_kept_with_openstackclients_own_commands(
    openstack: OpenStack, cloud: Sandbox, scheduled: list[Image]
) -> None:
    newest, *_, oldest = scheduled
    shown = openstack.json("image", "show", oldest.name)
    assert shown["properties"][MARKER_KEY] == MARKER_VALUE
    openstack.ok("image", "unset", "--property", MARKER_KEY, oldest.name)
    cloud.advance("30d")
    left = images(cloud)
    assert oldest.name in left
    assert newest.name not in left
    rows = openstack.json(*SNAPSHOT, "list", "myserver")
    assert (rows[-1]["ID"], rows[-1]["Retention"]) == (oldest.id, "kept (exempt)")
    marker = f"{MARKER_KEY}={MARKER_VALUE}"
    openstack.ok("image", "set", "--property", marker, oldest.name)
    cloud.advance("1d")
    assert oldest.name not in images(cloud)
    openstack.ok("image", "delete", rows[0]["ID"])
    with cloud.region() as region:
        assert all(
            each.id != rows[0]["ID"] for each in region.images.select(ImageQuery())
        )


# -- prune


def test_prune(openstack: OpenStack, cloud: Sandbox, scheduled: list[Image]) -> None:
    with cloud.region() as region:
        locked = scheduled[-1]
        region.images.update(locked.id, attributes={"protected": True})
    plan = openstack.json(*SNAPSHOT, "prune", "--keep", "4", "--dry-run", "myserver")
    going = [image.id for image in reversed(scheduled[4:])]
    assert [row["ID"] for row in plan] == going
    assert [row["Action"] for row in plan] == ["skip", "delete", "delete"]
    assert len(cloud.images(MYSERVER)) == 7

    argv = ("prune", "--keep", "4", "--yes", "-f", "json", "myserver", "nobody")
    result = openstack(*SNAPSHOT, *argv)
    assert result.status == 1
    rows = json.loads(result.out)
    assert [(row["Server"], row["Action"]) for row in rows] == [
        ("myserver", action) for action in ("failed", "deleted", "deleted")
    ]
    assert rows[0]["Size"] == locked.size
    assert result.err.splitlines() == [
        UNKNOWN.format("nobody").rstrip(),
        f"Failed to delete image {locked.id}: Image {locked.id} is protected in the"
        " image service",
    ]
    assert len(cloud.images(MYSERVER)) == 5


def test_prune_asks_first(
    openstack: OpenStack, cloud: Sandbox, scheduled: list[Image]
) -> None:
    result = openstack(*SNAPSHOT, "prune", "--keep", "6", "myserver")
    assert (result.status, result.out) == (2, "")
    assert "no terminal to ask for confirmation: use --yes to delete" in result.err
    for answer, status in (("n\n", 1), ("", 1), ("yes\n", 0)):
        with terminal(answer):
            result = openstack(*SNAPSHOT, "prune", "--keep", "6", "myserver")
        assert result.status == status
        assert scheduled[-1].id in result.err
        assert "Delete these images permanently? [y/N]" in result.err
        assert ("Nothing was deleted." in result.err) == (status == 1)
        assert len(cloud.images(MYSERVER)) == 7 - (status == 0)
    assert "| deleted |" in result.out
    again = openstack(*SNAPSHOT, "prune", "--keep", "6", "--yes", "myserver")
    assert again == Result(0, "", "There is nothing to delete.\n")


def test_a_table_without_rows_is_not_even_a_line(openstack: OpenStack) -> None:
    refused = openstack(*SNAPSHOT, "prune", "--yes", "web1")
    assert (refused.status, refused.out) == (1, "")
    assert "not enabled for server" in refused.err
    argv = ("server", "image", "schedule", "list", "--enabled")
    assert openstack.ok(*argv) == ""
    assert openstack(*argv, "-f", "json").out == "[]\n"


@contextmanager
def terminal(answer: str) -> Iterator[None]:
    """Let a person at a terminal answer so."""
    stdin = mock.Mock(readline=lambda: answer, isatty=lambda: True)
    console = "rax_scheduled_images_ext.cli.openstack.prune.can_ask"
    with mock.patch("sys.stdin", stdin), mock.patch(console, return_value=True):
        yield


def test_what_was_deleted_is_reported_where_the_disk_is_full(
    cloud: Sandbox, scheduled: list[Image]
) -> None:
    argv = [*SNAPSHOT, "prune", "--keep", "6", "--yes", "-f", "value", "myserver"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [Path(sys.executable).with_name("openstack"), *argv],
            env=cloud.environ(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0
    gone = scheduled[-1]
    line = f"Deleted: image {gone.name} ({gone.id}) of server myserver"
    assert line in done.stderr.splitlines()


# -- create and watch


def test_create(openstack: OpenStack, cloud: Sandbox, quick: Sandbox, log: Log) -> None:
    argv = ("--property", "color=red", *log.hooks(), "--wait", "-f", "json")
    result = openstack(*CREATE, *argv, "web1", "monday")
    assert result.status == 0, result
    shown = json.loads(result.out)
    made = images(cloud)["monday"]
    assert shown == {
        "id": made.id,
        "name": "monday",
        "server": "web1",
        "server_id": shown["server_id"],
        "quiesced_seconds": shown["quiesced_seconds"],
    }
    assert isinstance(shown["quiesced_seconds"], float)
    assert made.properties["color"] == "red"
    assert made.properties["instance_uuid"] == shown["server_id"]
    assert made.status == "active"
    assert log.words() == ["before", "after"]
    assert f"Image {made.id} is ACTIVE" in result.err


def test_a_lost_image_is_reported_with_its_id(
    openstack: OpenStack, cloud: Sandbox, quick: Sandbox, log: Log
) -> None:
    cloud.fault("lose-image")
    argv = (*log.hooks(), "--wait", "-f", "value", "-c", "id")
    result = openstack(*CREATE, *argv, "web1", "lost")
    assert result.status == 4, result
    image_id = result.out.strip()
    assert f"image {image_id} of server web1 is" in result.err
    assert log.words() == ["before", "after"]


def test_a_hold_that_lasts_too_long_is_cut_short(
    openstack: OpenStack, cloud: Sandbox, log: Log
) -> None:
    argv = ("--max-hold", "5s", *log.hooks(), "--wait", "-f", "value", "-c", "id")
    result = openstack(*CREATE, *argv, "web1", "held")
    assert result.status == 7, result
    image_id = result.out.strip()
    assert images(cloud)["held"].id == image_id
    assert f"image {image_id} of server web1 may be inconsistent" in result.err
    assert log.words() == ["before", "after"]


def test_snapshots_that_cannot_be_started(
    openstack: OpenStack, cloud: Sandbox, log: Log
) -> None:
    result = openstack(*CREATE, *log.hooks(), "nobody", "x")
    assert (result.status, result.out) == (1, "")
    assert result.err == UNKNOWN.format("nobody")
    openstack.ok("server", "image", "create", "--name", "first", "web1")
    result = openstack(*CREATE, *log.hooks(), "web1", "second")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("Server web1 is busy (task_state: ")
    assert log.words() == []


def test_an_interrupted_snapshot_resumes_the_server(cloud: Sandbox, log: Log) -> None:
    process = subprocess.Popen(
        [
            Path(sys.executable).with_name("openstack"),
            *(*CREATE, *log.hooks(), "-f", "value", "-c", "id", "web1", "held"),
        ],
        env=cloud.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: task_state(cloud, "web1") is not None, STARTING)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert log.words() == ["before", "after"]
    assert out.strip() in ("", images(cloud)["held"].id)


def test_watch(openstack: OpenStack, cloud: Sandbox) -> None:
    openstack.ok("server", "image", "create", "--name", "watched", "web1")
    argv = ("watch", "--interval", "0.1", "--changes-only", "-f", "json", "web1")
    with following(cloud):
        out = openstack.ok(*SNAPSHOT, *argv)
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["name"] for line in lines} == {"web1"}
    states = [line["task_state"] for line in lines if "task_state" in line]
    assert states[-1] is None
    assert "image_uploading" in states
    assert [phase["task_state"] for phase in lines[-1]["phases"]][-1] == (
        "image_uploading"
    )
    over = openstack(*SNAPSHOT, "watch", "web1", "nobody")
    assert over.status == 1
    first, second = over.err.splitlines()
    assert f"{first}\n" == UNKNOWN.format("nobody")
    assert second == "No snapshot of server web1 is under way."


def test_a_failed_snapshot_is_watched(openstack: OpenStack, cloud: Sandbox) -> None:
    cloud.fault("lose-image")
    openstack.ok("server", "image", "create", "--name", "lost", "web1")
    with following(cloud):
        result = openstack(*SNAPSHOT, "watch", "--interval", "0.1", "web1")
    assert result.status == 4
    assert "The snapshot of server web1 has failed" in result.err
    none = openstack(
        *(*SNAPSHOT, "watch", "--interval", "0.1", "--wait-start", "0.3s", "web1")
    )
    assert none.status == 6
    assert none.err == "No snapshot of server web1 has started within 0.3 s\n"


WRONG = {
    ("create", "--before", "", "web1", "x"): "argument --before: ",
    ("create", "--property", "x", "web1", "x"): (
        "argument --property/--metadata: 'x' is not in the format of 'key=value'"
    ),
    ("create", "--hold-until", "x", "web1", "x"): (
        "argument --hold-until: 'x' is not one of image_pending_upload, image_uploading"
    ),
    ("create", "--max-hold", "0s", "web1", "x"): (
        "argument --max-hold: '0s' is too short: it must be more than 0"
    ),
    ("watch", "--interval", "0", "web1"): (
        "argument --interval: '0' is not an interval: seconds, from 0.1 to 3600"
    ),
    ("watch", "--format", "xml", "web1"): (
        "argument -f/--format: 'xml' is not one of text, json"
    ),
    ("prune", "--keep", "0", "--yes", "web1"): "argument --keep: '0' is not a ",
}


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_wrong_usage(
    openstack: OpenStack, cloud: Sandbox, argv: tuple[str, ...]
) -> None:
    result = openstack(*SNAPSHOT, *argv)
    assert (result.status, result.out) == (2, "")
    line = result.err.splitlines()[-1]
    prefix = f"openstack server snapshot {argv[0]}: error: "
    assert line.startswith(prefix + WRONG[argv]), line
    assert all("/identity/" in seen.path for seen in cloud.requests)
