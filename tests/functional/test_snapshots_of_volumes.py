"""Snapshots of servers that boot from a volume: Cinder is later than Nova says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rax_scheduled_images_ext import Timeouts, quiesced_snapshot
from rax_scheduled_images_ext.errors import ImageLost
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.dispatcher import Seen
from rax_scheduled_images_ext.sandbox.fixture import Requests

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..shell import Result
from .fleet import project_of
from .interceptor import Interceptor
from .runners import connected
from .snapshots import Log, create, following, images

pytestmark = [pytest.mark.novaclient, pytest.mark.flow]

PLAIN = {"extension": False}
LIBVIRT = {**PLAIN, "hypervisor": "libvirt"}
KINDS = pytest.mark.parametrize(
    "cloud", ["openstack", PLAIN, LIBVIRT], indirect=True, ids=str
)
SHELLS = pytest.mark.parametrize(
    "shell", ["nova", pytest.param("openstack", marks=not_beside_novaclient_7)]
)
LOOKS = 4


class Looks(Requests):
    """A cloud's requests; something happens at one look at a volume snapshot.

    It happens before the answer leaves, but after it was written.
    """

    def __init__(self, cloud: Sandbox, at: int, happens: Callable[[], object]) -> None:
        super().__init__(cloud.requests)
        self.left, self.happens = at, happens

    def append(self, seen: Seen) -> None:
        super().append(seen)
        if seen.method == "GET" and "/snapshots/" in seen.path:
            self.left -= 1
            if self.left == 0:
                self.happens()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture(autouse=True)
def backed(cloud: Sandbox) -> Iterator[None]:
    """A server that boots from a volume, and what happens takes little time."""
    cloud.boot("database", volume_size=1)
    yield
    cloud.requests = Requests(cloud.requests)


def take(cloud: Sandbox, *options: str, shell: str = "nova") -> Result:
    """Take a snapshot of the server, within a time that is enough for all of this."""
    arguments = create("database", "x", "--max-hold", "20s", *options)
    if shell == "nova":
        return Nova(cloud)(*arguments)
    return OpenStack(cloud)("server", "snapshot", "create", *arguments[1:])


def snapshots(cloud: Sandbox) -> dict[str, str]:
    """The statuses of all volume snapshots, by their IDs."""
    project_id = project_of(cloud)
    with cloud.region() as region:
        found = region.volumes.snapshots(project_id)
    return {each.id: each.status for each in found}


def asked(cloud: Sandbox) -> int:
    """How often a volume snapshot was read."""
    return sum("/snapshots/" in seen.path for seen in cloud.requests)


def fail(cloud: Sandbox) -> None:
    """Let the snapshots that are being made end in error."""
    for snapshot_id, status in snapshots(cloud).items():
        if status == "creating":
            with cloud.region() as region:
                region.volumes.set_snapshot_status(snapshot_id, "error")


@KINDS
@SHELLS
@pytest.mark.parametrize("end", ["available", "error"])
def test_nothing_is_resumed_or_called_done_before_the_volumes_are_copied(
    cloud: Sandbox, log: Log, shell: str, end: str
) -> None:
    cloud.fault("hang-volume")
    then: list[list[str]] = []

    def happens() -> None:
        then.append([*snapshots(cloud).values(), *log.words()])
        if end == "error":
            fail(cloud)
        else:
            cloud.clear_faults()

    cloud.requests = Looks(cloud, LOOKS, happens)
    done = take(cloud, "--wait", *log.hooks(), shell=shell)
    assert then == [["creating", "before"]], done
    assert log.words() == ["before", "after"]
    ((snapshot_id, status),) = snapshots(cloud).items()
    assert status == end
    image = images(cloud)["x"]
    assert image.status == "active"
    named = f"mage {image.id} of server database"
    state = f"its volume snapshot {snapshot_id} is"
    assert done.err.count(f"{named}: {state} creating, not available\n") == 1
    if end == "available":
        assert done.status == 0, done
        assert f"Image {image.id} is ACTIVE\n" in done.err
    else:
        assert done.status == 4, done
        why = f"{state} error, not available; it is kept"
        assert done.err.splitlines()[-1].endswith(
            f"{named} will never be complete: {why}"
        )
        assert "is ACTIVE" not in done.err
    # The ID is told in any case.
    assert image.id in done.out


@KINDS
@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("fail-volume", 4, "is error, not available; it is kept"),
        (
            "hang-volume",
            6,
            "is not complete within the time limit (last seen: its volume snapshot {}"
            " is creating, not available)",
        ),
        ("fail-volume of another", 0, "is ACTIVE"),
    ],
)
def test_only_an_image_with_all_its_volume_snapshots_is_done(
    cloud: Sandbox, fault: str, status: int, text: str
) -> None:
    cloud.fault(fault)
    done = take(cloud, "--wait", "--time-limit", "2s")
    assert done.status == status, done
    (snapshot_id,) = snapshots(cloud)
    assert done.err.rstrip().endswith(text.format(snapshot_id))
    assert images(cloud)["x"].id == done.out.strip()


def test_one_that_failed_says_nothing_of_the_others(cloud: Sandbox, log: Log) -> None:
    server = next(each for each in cloud.servers() if each.name == "database")
    with cloud.region() as region:
        second = region.volumes.add(
            project_id=server.project_id, user_id=server.user_id, size=1
        )
        region.cloud.store.update(
            *("volumes", region.name, second.id), server_id=server.id, device="/dev/vdb"
        )
    for fault in ("fail-volume x1", "hang-volume"):
        cloud.fault(fault)
    then: list[list[str]] = []

    def happens() -> None:
        then.append([*sorted(snapshots(cloud).values()), *log.words()])
        cloud.clear_faults()

    cloud.requests = Looks(cloud, 2 * LOOKS, happens)
    done = take(cloud, *log.hooks())
    assert then == [["creating", "error", "before"]], done
    assert log.words() == ["before", "after"]
    # It is known to be lost, so that is said even to somebody who does not wait.
    assert done.status == 4, done
    assert "is error, not available; it is kept" in done.err


@KINDS
def test_a_hold_is_cut_while_a_volume_is_copied(cloud: Sandbox, log: Log) -> None:
    cloud.fault("hang-volume")
    done = take(cloud, "--wait", "--max-hold", "2s", *log.hooks())
    assert done.status == 7, done
    assert log.words() == ["before", "after"]
    ((snapshot_id, status),) = snapshots(cloud).items()
    assert status == "creating"
    assert (
        "The maximum hold of server database was reached before its disk was copied"
        f" (last seen: its volume snapshot {snapshot_id} is creating, not available):"
    ) in done.err
    assert "may be inconsistent; it is kept" in done.err
    # What it says of its hold is taken back.
    assert "scheduled_images_hook" not in images(cloud)["x"].properties


@pytest.mark.parametrize("hooks", [True, False])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("", "no block storage service in the catalog to read its volume snapshots"),
        ("GET /snapshots/ refuse", "its volume snapshot "),
    ],
)
def test_what_nobody_may_know_is_said_and_not_waited_for(
    cloud: Sandbox, front: Interceptor, log: Log, hooks: bool, fault: str, reason: str
) -> None:
    if fault:
        cloud.fault(fault)
    else:
        front.change("POST", "/tokens$", lambda c: c.replace(b'"block-', b'"no-'))
    done = take(cloud, "--wait", *(log.hooks() if hooks else ()))
    assert done.status == 0, done
    said = f"It cannot be known whether image {done.out.strip()} of server database is"
    assert done.err.count(f"{said} complete: {reason}") == 1
    assert done.err.count("It cannot be known") == 1
    assert log.words() == (["before", "after"] if hooks else [])


@pytest.mark.parametrize("fault", ["503 x3", "drop x2", "truncate x2", "401 x2"])
def test_an_error_that_passes_proves_nothing(
    cloud: Sandbox, log: Log, fault: str
) -> None:
    for each in (f"GET /snapshots/ {fault}", "hang-volume"):
        cloud.fault(each)
    then: list[list[str]] = []

    def happens() -> None:
        then.append(log.words())
        cloud.clear_faults()

    cloud.requests = Looks(cloud, 8, happens)
    done = take(cloud, "--wait", *log.hooks())
    assert done.status == 0, done
    assert then == [["before"]]
    assert done.err.count("trying again") == 1, done
    assert "It cannot be known" not in done.err


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_a_cloud_without_block_storage_keeps_no_server_stopped(
    cloud: Sandbox, log: Log
) -> None:
    cloud.fault("hang-volume")
    done = take(cloud, "--wait", *log.hooks())
    assert done.status == 0, done
    assert log.words() == ["before", "after"]
    assert done.err.count("complete: no block storage service in the catalog") == 1


def test_who_waits_for_an_error_is_told_what_was_seen_last(cloud: Sandbox) -> None:
    cloud.fault("GET /snapshots/ 503")
    done = take(cloud, "--wait", "--time-limit", "2s")
    assert done.status == 6, done
    assert (
        "is not complete within the time limit (last seen: its volume snapshots cannot"
        " be read)"
    ) in done.err


def test_nobody_who_does_not_wait_asks_for_them(cloud: Sandbox) -> None:
    cloud.fault("hang-volume")
    assert take(cloud).status == 0
    assert asked(cloud) == 0


def test_no_request_is_made_for_the_image_of_a_disk(cloud: Sandbox, log: Log) -> None:
    with following(cloud):
        done = Nova(cloud)(*create("db1", "disk", "--wait", *log.hooks()))
        assert done.status == 0, done
    assert not [seen.path for seen in cloud.requests if "/volume/" in seen.path]


def test_python_gets_no_broken_image(cloud: Sandbox) -> None:
    server = next(each for each in cloud.servers() if each.name == "database")
    cloud.fault("fail-volume")
    limits = Timeouts(interval=0.1, slow_interval=0.1)
    client = connected(cloud)
    calls: list[str] = []
    with (
        pytest.raises(ImageLost, match="is error, not available; it is kept"),
        quiesced_snapshot(
            client,
            server.id,
            "x",
            before=lambda _: calls.append("before"),
            after=lambda _: calls.append("after"),
            limits=limits,
            signals=False,
        ),
    ):
        pass
    assert calls == ["before", "after"]
    assert "x" in images(cloud)
