"""snapshot-watch and snapshot-create, through all that can happen to a snapshot."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import Popen

import pytest

from .clouds import CloudUnderTest
from .drivers import Driver
from .resources import Workshop

pytestmark = pytest.mark.flow

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


def hooks(log: Path, then: str = ":") -> list[str]:
    """Options that note when they are run, the second before it runs a command."""
    return [
        *("--before", f"sh -c 'echo before >> {log}'"),
        *("--after", f"sh -c 'echo after >> {log}; {then}'"),
    ]


def look(resources: Workshop, log: Path) -> str:
    """Return a command that notes the task state of the server.

    A busy machine takes longer to start a client than the snapshot takes.
    """
    variables = resources.api.polling("$SERVER_ID")
    header = log.with_name("header")
    header.write_text(f'header = "X-Auth-Token: {variables["API_TOKEN"]}"\n')
    url = f"{variables['API_ENDPOINT']}/servers/$SERVER_ID"
    return f'curl -s -K {header} {url} | grep -o "task_state.: .[a-z_]*" >> {log}'


def words(log: Path) -> list[str]:
    """What was written."""
    return re.findall(r"\b(before|after|image_\w+|null)\b", log.read_text())


def begun_watch(driver: Driver, name: str, *options: str) -> Popen[str]:
    """Begin a watch before the snapshot that it is for, so that it misses nothing."""
    watch = driver.start("watch", *QUICKLY, "--wait-start", "60s", *options, name)
    assert watch.stdout is not None
    first = re.fullmatch(LINE, watch.stdout.readline().strip())
    assert first is not None
    assert first[1] == "none"
    return watch


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_watch_sees_every_task_state(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    watch = begun_watch(driver, name, "--changes-only")
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


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_watch_ends_with_the_copy_and_speaks_json(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    image_id = resources.snapshot(server_id)
    argv = (*QUICKLY, "--until", "disk-copied", "--format", "json", name)
    lines = [json.loads(line) for line in driver.ok("watch", *argv).splitlines()]
    assert {line["id"] for line in lines} == {server_id}
    assert [line["task_state"] for line in lines if "task_state" in line][-1] in (
        COPIED,
        UPLOADING,
    )
    resources.done(server_id, image_id)


def test_a_watch_without_a_snapshot_is_over_at_once(
    driver: Driver, server: tuple[str, str]
) -> None:
    result = driver.run("watch", server[0])
    assert result.status == 0
    assert re.fullmatch(LINE, result.out.strip())
    assert result.err == f"No snapshot of server {server[0]} is under way.\n"


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_server_is_held_until_its_disk_is_copied(
    driver: Driver, resources: Workshop, own: tuple[str, str], log: Path
) -> None:
    name, _ = own
    image = resources.name("held")
    options = hooks(log, look(resources, log))
    result = driver.create(name, image, *QUICKLY, "--wait", *options)
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


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_second_snapshot_is_refused(
    driver: Driver, resources: Workshop, own: tuple[str, str], log: Path
) -> None:
    name, server_id = own
    image_id = resources.snapshot(server_id)
    second = {"createImage": {"name": resources.name("second")}}
    path = f"/servers/{server_id}/action"
    assert resources.api.ask("compute", "POST", path, second).status_code == 409
    ours = driver.create(name, resources.name("third"), *hooks(log))
    assert (ours.status, ours.out) == (1, "")
    told = driver.error("ServerBusy", f"Server {name} is busy (task_state")
    assert ours.err.startswith(told)
    # Nothing has been stopped for it.
    assert not log.exists()
    resources.done(server_id, image_id)
    assert len(resources.images_of(server_id)) == 1


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_server_is_deleted_while_it_is_watched(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    watch = begun_watch(driver, name)
    resources.snapshot(server_id)
    assert watch.stdout is not None
    while "task_state: image_" not in (line := watch.stdout.readline()):
        assert re.fullmatch(LINE, line.strip())
    resources.delete_server(server_id)
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 5
    assert driver.error("ServerDisappeared", f"server {name} has disappeared!") in err


@pytest.mark.needs("slow snapshots")
@pytest.mark.usefixtures("slow")
def test_a_server_is_deleted_while_it_is_held(
    driver: Driver, resources: Workshop, own: tuple[str, str], log: Path
) -> None:
    name, server_id = own
    image = resources.name("held")
    create = driver.start("create", *QUICKLY, *hooks(log), name, image)
    resources.until(
        "a snapshot is under way", lambda: resources.task_state(server_id) is not None
    )
    resources.delete_server(server_id)
    _, err = create.communicate(timeout=60)
    assert create.returncode == 5, err
    assert driver.error("ServerDisappeared", f"server {name} has disappeared!") in err
    assert words(log) == ["before", "after"]


@pytest.mark.needs("failing uploads")
def test_an_upload_fails(
    driver: Driver,
    resources: Workshop,
    under_test: CloudUnderTest,
    own: tuple[str, str],
    log: Path,
) -> None:
    name, server_id = own
    image = resources.name("lost")
    with under_test.slow_snapshots(1.5), under_test.failing_uploads():
        result = driver.create(name, image, *QUICKLY, "--wait", *hooks(log))
        assert result.status == 4, result
        image_id = result.out.strip()
        told = driver.error("ImageLost", f"image {image_id} of server {name} is")
        assert told in result.err
        assert words(log)[:2] == ["before", "after"]
        assert words(log).count("after") == 1
        assert resources.image(image_id) is None
    resources.until("it is over", lambda: resources.task_state(server_id) is None)
    assert resources.images_of(server_id) == []
    assert (resources.server(server_id) or {})["status"] == "ACTIVE"


@pytest.mark.needs("failing uploads")
def test_a_failing_upload_is_watched(
    driver: Driver,
    resources: Workshop,
    under_test: CloudUnderTest,
    own: tuple[str, str],
) -> None:
    name, server_id = own
    with under_test.slow_snapshots(1.5), under_test.failing_uploads():
        image_id = resources.snapshot(server_id)
        result = driver.run("watch", *QUICKLY, "--changes-only", name)
    assert result.status == 4, result
    told = driver.error("ImageLost", f"The snapshot of server {name} has failed")
    assert result.err.startswith(told)
    assert UPLOADING in result.out
    assert resources.image(image_id) is None


def test_servers_that_are_not_there(driver: Driver, resources: Workshop) -> None:
    nobody = resources.name("nobody")
    for result in (driver.run("watch", nobody), driver.create(nobody, "image")):
        assert (result.status, result.out) == (1, "")
        told = f"No server with a name or ID of '{nobody}' exists"
        assert result.err.startswith(driver.error("CommandError", told))
        assert len(result.err.splitlines()) == 1
