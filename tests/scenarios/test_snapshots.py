"""snapshot-watch and snapshot-create, through all that can happen to a snapshot."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import Popen

import pytest

from .clouds import CloudUnderTest
from .conftest import Run
from .resources import Workshop

QUICKLY = ("--interval", "0.2")
COPYING, COPIED, UPLOADING = (
    "image_snapshot",
    "image_pending_upload",
    "image_uploading",
)
LINE = (
    r"\d\d:\d\d:\d\d   status: ACTIVE   vm_state: active   task_state: (\S+)"
    r"   power_state: 1"
)
ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def slow(under_test: CloudUnderTest) -> object:
    """Snapshots take so long for each task state that a busy machine sees it."""
    with under_test.slow_snapshots(2.5):
        yield


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What commands write their words to."""
    return tmp_path / "log"


def hooks(log: Path) -> list[str]:
    """Options that note when they are run, and the task state of the server then."""
    state = f"nova show $SERVER_ID 2>/dev/null | grep task_state >> {log}"
    return [
        *("--before", f"sh -c 'echo before >> {log}'"),
        *("--after", f"sh -c 'echo after >> {log}; {state} || :'"),
    ]


def words(log: Path) -> list[str]:
    """What was written, without the rules of tables."""
    return re.findall(r"\b(before|after|image_\w+|-)(?= |$)", log.read_text(), re.M)


def begun_watch(nova: Run, name: str, *options: str) -> Popen[str]:
    """Begin a watch before the snapshot that it is for, so that it misses nothing."""
    argv = ("snapshot-watch", *QUICKLY, "--wait-start", "60s", *options, name)
    watch = nova.start(*argv)
    assert watch.stdout is not None
    first = re.fullmatch(LINE, watch.stdout.readline().strip())
    assert first is not None
    assert first[1] == "none"
    return watch


@pytest.mark.slow
@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_watch_sees_every_task_state(
    nova: Run, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    watch = begun_watch(nova, name, "--changes-only")
    image_id = resources.snapshot(server_id)
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 0, err
    *lines, phases = out.splitlines()
    states = [re.fullmatch(LINE, line) for line in lines]
    assert all(states), out
    seen = [state[1] for state in states if state]
    assert seen[-4:] == [COPYING, COPIED, UPLOADING, "none"]
    assert set(seen[:-4]) <= {"image_snapshot_pending"}
    for state in (COPYING, COPIED, UPLOADING):
        (seconds,) = re.findall(rf"\b{state} (\d+) s", phases)
        assert 1 <= int(seconds) <= 8
    resources.done(server_id, image_id)


@pytest.mark.slow
@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_watch_ends_with_the_copy_and_speaks_json(
    nova: Run, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    image_id = resources.snapshot(server_id)
    argv = ("snapshot-watch", *QUICKLY, "--until", "disk-copied", "--format", "json")
    lines = [json.loads(line) for line in nova.ok(*argv, name).splitlines()]
    assert {line["id"] for line in lines} == {server_id}
    assert [line["task_state"] for line in lines if "task_state" in line][-1] in (
        COPIED,
        UPLOADING,
    )
    resources.done(server_id, image_id)


def test_a_watch_without_a_snapshot_is_over_at_once(
    nova: Run, server: tuple[str, str]
) -> None:
    result = nova("snapshot-watch", server[0])
    assert result.status == 0
    assert re.fullmatch(LINE, result.out.strip())
    assert result.err == f"No snapshot of server {server[0]} is under way.\n"


@pytest.mark.slow
@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_server_is_held_until_its_disk_is_copied(
    nova: Run, resources: Workshop, own: tuple[str, str], log: Path
) -> None:
    name, _ = own
    image = resources.name("held")
    result = nova("snapshot-create", *QUICKLY, "--wait", *hooks(log), name, image)
    assert result.status == 0, result
    image_id = result.out.strip()
    assert re.fullmatch(ID, image_id)
    made = resources.image(image_id)
    assert made is not None
    assert (made["name"], made["status"]) == (image, "active")
    first, second, state = words(log)
    assert (first, second) == ("before", "after")
    assert state in (COPIED, UPLOADING)
    assert f"Image {image_id} is ACTIVE" in result.err
    held = re.search(rf"Server {name} was quiesced for ([\d.]+) s", result.err)
    assert held is not None
    assert 2 < float(held[1]) < 20


@pytest.mark.slow
@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_second_snapshot_is_refused(
    nova: Run, resources: Workshop, own: tuple[str, str], log: Path
) -> None:
    name, server_id = own
    image_id = resources.snapshot(server_id)
    second = nova("image-create", name, resources.name("second"))
    assert second.status == 1
    assert "HTTP 409" in second.err
    ours = nova("snapshot-create", *hooks(log), name, resources.name("third"))
    assert (ours.status, ours.out) == (1, "")
    assert ours.err.startswith(f"ERROR (ServerBusy): Server {name} is busy (task_state")
    # Nothing has been stopped for it.
    assert not log.exists()
    resources.done(server_id, image_id)
    assert len(resources.images_of(server_id)) == 1


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_server_is_deleted_while_it_is_watched(
    nova: Run, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    watch = begun_watch(nova, name)
    resources.snapshot(server_id)
    assert watch.stdout is not None
    while "task_state: image_" not in (line := watch.stdout.readline()):
        assert re.fullmatch(LINE, line.strip())
    resources.delete_server(server_id)
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 5
    assert f"ERROR (ServerDisappeared): server {name} has disappeared!" in err


@pytest.mark.slow
@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_server_is_deleted_while_it_is_held(
    nova: Run, resources: Workshop, own: tuple[str, str], log: Path
) -> None:
    name, server_id = own
    image = resources.name("held")
    create = nova.start("snapshot-create", *QUICKLY, *hooks(log), name, image)
    resources.until(
        "a snapshot is under way", lambda: resources.task_state(server_id) is not None
    )
    resources.delete_server(server_id)
    _, err = create.communicate(timeout=60)
    assert create.returncode == 5, err
    assert f"ERROR (ServerDisappeared): server {name} has disappeared!" in err
    assert words(log) == ["before", "after"]


@pytest.mark.slow
@pytest.mark.needs("failing uploads")
def test_an_upload_fails(
    nova: Run,
    resources: Workshop,
    under_test: CloudUnderTest,
    own: tuple[str, str],
    log: Path,
) -> None:
    name, server_id = own
    image = resources.name("lost")
    with under_test.slow_snapshots(1.5), under_test.failing_uploads():
        result = nova("snapshot-create", *QUICKLY, "--wait", *hooks(log), name, image)
        assert result.status == 4, result
        image_id = result.out.strip()
        assert f"ERROR (ImageLost): image {image_id} of server {name} is" in result.err
        assert words(log)[:2] == ["before", "after"]
        assert words(log).count("after") == 1
        assert resources.image(image_id) is None
    resources.until("it is over", lambda: resources.task_state(server_id) is None)
    assert resources.images_of(server_id) == []
    assert (resources.server(server_id) or {})["status"] == "ACTIVE"


@pytest.mark.slow
@pytest.mark.needs("failing uploads")
def test_a_failing_upload_is_watched(
    nova: Run, resources: Workshop, under_test: CloudUnderTest, own: tuple[str, str]
) -> None:
    name, server_id = own
    with under_test.slow_snapshots(1.5), under_test.failing_uploads():
        image_id = resources.snapshot(server_id)
        result = nova("snapshot-watch", *QUICKLY, "--changes-only", name)
    assert result.status == 4, result
    told = f"ERROR (ImageLost): The snapshot of server {name} has failed"
    assert result.err.startswith(told)
    assert UPLOADING in result.out
    assert resources.image(image_id) is None


def test_servers_that_are_not_there(nova: Run, resources: Workshop) -> None:
    nobody = resources.name("nobody")
    for argv in (("snapshot-watch", nobody), ("snapshot-create", nobody, "image")):
        result = nova(*argv)
        assert (result.status, result.out) == (1, "")
        told = f"ERROR (CommandError): No server with a name or ID of '{nobody}' exists"
        assert result.err.startswith(told)
        assert len(result.err.splitlines()) == 1
