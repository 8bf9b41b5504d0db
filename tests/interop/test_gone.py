"""Servers deleted, restored and archived on the real Nova, which must be up."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.model.image import GONE_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag

from ..scenarios.resources import Workshop
from .cloud.layout import DEFAULT_STATE, Layout
from .fronts import deferring
from .terminal import NEEDS_CLOUD, NEEDS_OPENSTACK, Terminal

pytestmark = NEEDS_CLOUD
LAYOUT = Layout(DEFAULT_STATE)
AFTER = "--after-delete 30d"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, LAYOUT.environ("demo"))


@pytest.fixture
def made() -> Iterator[tuple[Workshop, str]]:
    """A server with a daily schedule; what is left of it is deleted at last."""
    resources = Workshop(LAYOUT.environ("demo"))
    _, server_id = resources.boot()
    tags = {"tags": [MARKER_TAG, schedule_tag(ImageSchedule(7))]}
    resources.api.do("compute", "PUT", f"/servers/{server_id}/tags", tags)
    yield resources, server_id
    for image in resources.images_of(server_id):
        if image["protected"]:
            resources.protect(image["id"], False)
        resources.delete_image(image["id"])
    resources.clear()


def images(made: tuple[Workshop, str]) -> list[str]:
    """The IDs of the server's images, oldest first."""
    resources, server_id = made
    return [image["id"] for image in reversed(resources.images_of(server_id))]


def gone(terminal: Terminal, server_id: str) -> dict[str, Any] | None:
    """What is listed of a server that is gone; None if it is not listed."""
    printed = terminal.run("nova scheduled-images-list --gone --format json")
    rows = (row for row in json.loads(printed) if row["id"] == server_id)
    return next(rows, None)


def prune(terminal: Terminal, *argv: str) -> list[tuple[str, str]]:
    """Delete images of servers that are gone; the IDs, and what became of them."""
    command = " ".join(("nova scheduled-images-prune --format json", *argv))
    rows = json.loads(terminal.run(command))
    return [(row["id"], row["action"]) for row in rows]


def act(made: tuple[Workshop, str], action: str) -> None:
    """Ask for an action of the server that has no options."""
    resources, server_id = made
    path = f"/servers/{server_id}/action"
    resources.api.do("compute", "POST", path, {action: None})


def archive() -> None:
    """Move what is deleted out of Nova's tables, and then away, as operators do.

    SQLite gives numbers again, so that it could not be moved a second time.
    """
    manage("archive_deleted_rows", "--all-cells", "--until-complete", done=1)
    manage("purge", "--all", "--all-cells", done=0)


def manage(*command: str, done: int) -> None:
    """Let Nova's own program work on its databases.

    :param done: the status with which it ends when there was something to do.
    """
    program = (LAYOUT.bin("nova-manage"), "--config-dir", str(LAYOUT.etc / "nova"))
    result = subprocess.run(
        [*program, "db", *command], capture_output=True, text=True, check=False
    )
    assert result.returncode == done, result


def later(days: int) -> str:
    """A time so many days from now."""
    moment = datetime.now(timezone.utc) + timedelta(days=days)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@NEEDS_OPENSTACK
def test_the_images_of_a_deleted_server(
    terminal: Terminal, made: tuple[Workshop, str]
) -> None:
    resources, server_id = made
    terminal.make_images(None, made, 4)
    first, second, third, fourth = images(made)
    server = resources.server(server_id)
    assert server is not None
    _, other = resources.boot(image=second)
    assert gone(terminal, server_id) is None
    assert prune(terminal, "--gone", "--dry-run") == []
    resources.delete_server(server_id)
    row = gone(terminal, server_id)
    assert row is not None
    assert (row["server"], row["state"], row["images"]) == (server["name"], "gone", 4)
    assert row["deleted"] is not None
    listed = terminal.run("openstack server image schedule list --gone -f json")
    assert server_id in [each["ID"] for each in json.loads(listed)]
    # What a server boots from stays, and so does what is protected.
    resources.protect(third)
    planned = prune(terminal, "--gone", "--dry-run")
    assert planned == [
        (first, "delete"),
        (second, "skip"),
        (third, "skip"),
        (fourth, "delete"),
    ]
    assert images(made) == [first, second, third, fourth]
    refused = terminal.try_to(f"nova scheduled-images-prune --yes {server_id}")
    assert refused.returncode == 1
    assert "is gone, and with it its schedule: use --keep" in refused.stderr
    command = f"openstack server snapshot prune --yes --keep 3 {server['name']}"
    (row,) = json.loads(terminal.run(f"{command} -f json"))
    assert (row["ID"], row["Action"]) == (first, "deleted")
    done = terminal.try_to("nova scheduled-images-prune --gone --yes --format json")
    rows = {row["id"]: row["action"] for row in json.loads(done.stdout)}
    assert rows == {second: "skipped", third: "failed", fourth: "deleted"}
    assert images(made) == [second, third]
    # Nobody boots from it any more.
    resources.delete_server(other)
    resources.protect(third, False)
    prune(terminal, "--gone", "--yes")
    assert images(made) == []


@NEEDS_OPENSTACK
def test_a_server_that_can_be_restored_keeps_all(
    terminal: Terminal, made: tuple[Workshop, str]
) -> None:
    """For a while Nova can restore a server, if the operator wants that."""
    resources, server_id = made
    terminal.make_images(None, made, 2)
    before = images(made)
    with deferring(LAYOUT) as address:
        token = resources.api.token()
        answer = requests.delete(
            f"{address}/v2.1/servers/{server_id}", headers={"X-Auth-Token": token}
        )
        assert answer.status_code == 204
    resources.until(
        "the server is marked as deleted",
        lambda: (resources.server(server_id) or {}).get("status") == "SOFT_DELETED",
    )
    for command in (
        "nova scheduled-images-prune --gone --yes",
        "openstack server snapshot prune --gone --yes",
    ):
        terminal.run(command)
        refused = terminal.try_to(f"{command} {server_id}")
        assert refused.returncode == 1, refused
        assert "is not gone" in refused.stderr
    assert gone(terminal, server_id) is None
    assert terminal.tick(None, later(60), AFTER).startswith("0 ")
    assert images(made) == before
    act(made, "restore")
    resources.until(
        "the server is back",
        lambda: (resources.server(server_id) or {}).get("status") == "ACTIVE",
    )
    assert gone(terminal, server_id) is None
    terminal.run("nova scheduled-images-prune --gone --yes")
    logged = terminal.tick(None, later(90), AFTER)
    assert "image deleted" not in logged
    assert [each for each in images(made) if each in before] == before
    resources.until("it is idle", lambda: resources.task_state(server_id) is None)
    for each in images(made):
        if each not in before:
            resources.delete_image(each)
    # By force there is no way back.
    with deferring(LAYOUT):
        act(made, "forceDelete")
    resources.until("it is gone", lambda: resources.server(server_id) is None)
    row = gone(terminal, server_id)
    assert row is not None
    assert (row["state"], row["deleted"] is not None) == ("gone", True)
    assert prune(terminal, "--gone", "--yes") == [(each, "deleted") for each in before]


def test_the_service_deletes_when_it_is_time(
    terminal: Terminal, made: tuple[Workshop, str]
) -> None:
    resources, server_id = made
    terminal.make_images(None, made, 3)
    first, second, third = images(made)
    _, other = resources.boot(image=first)
    resources.delete_server(server_id)
    assert terminal.tick(None, later(29), AFTER) == "0 "
    assert images(made) == [first, second, third]
    image = resources.image(third)
    assert image is not None
    assert image[GONE_KEY].startswith(f"{third}:{server_id}:")
    logged = terminal.tick(None, later(31), AFTER)
    assert logged.count(f" image deleted server={server_id}") == 2
    assert logged.index(second) < logged.index(third)
    assert images(made) == [first]
    resources.delete_server(other)
    terminal.tick(None, later(32), AFTER)
    assert images(made) == []


@pytest.mark.parametrize("noted", [True, False])
def test_an_archived_history(
    terminal: Terminal, made: tuple[Workshop, str], noted: bool
) -> None:
    """What the newest image carries outlasts the history; without, nothing goes."""
    resources, server_id = made
    terminal.make_images(None, made, 2)
    before = images(made)
    resources.delete_server(server_id)
    if noted:
        assert terminal.tick(None, later(1), AFTER) == "0 "
    archive()
    path = f"/servers/{server_id}/os-instance-actions"
    assert resources.api.ask("compute", "GET", path).status_code == 404
    row = gone(terminal, server_id)
    assert row is not None
    assert (row["state"], row["deleted"] is not None) == ("gone", noted)
    planned = prune(terminal, "--gone", "--dry-run")
    assert planned == ([(each, "delete") for each in before] if noted else [])
    terminal.tick(None, later(60), AFTER)
    assert images(made) == ([] if noted else before)
    if not noted:
        # It may be named: its images name this region.
        prune(terminal, "--gone", "--yes", server_id)
    assert images(made) == []


def test_a_404_alone_deletes_nothing(
    terminal: Terminal, made: tuple[Workshop, str]
) -> None:
    """The server may be one of another region that has the same image service."""
    resources, _ = made
    elsewhere = str(uuid.uuid4())
    theirs = [resources.add_snapshot(elsewhere) for _ in range(2)]
    row = gone(terminal, elsewhere)
    assert row is not None
    assert (row["state"], row["deleted"]) == ("region unknown", None)
    assert prune(terminal, "--gone", "--yes") == []
    for how in ("--gone", "--keep 1"):
        refused = terminal.try_to(
            f"nova scheduled-images-prune --yes {how} {elsewhere}"
        )
        assert refused.returncode == 1
        assert "is not known to have been in this region" in refused.stderr
    terminal.tick(None, later(400), AFTER)
    assert images((resources, elsewhere)) == theirs
