"""Every state of a snapshot crossed with every fault: resumed exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.operations.snapshot.polling import Timeouts
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.snapshots import Log, create, following, images

STATES = (
    "image_snapshot_pending",
    "image_snapshot",
    "image_pending_upload",
    "image_uploading",
)
HELD = STATES[:2]
FAULTS = (
    "refuse",
    "401",
    "404 html",
    "409",
    "500",
    "502 html",
    "413",
    "429 retry-after=1",
    "503",
    "drop",
    "lose-answer",
    "truncate",
    "truncate 0",
    "delay 0.3s",
    "expire",
)
# Faults that never end, and that let no answer through.
ENDLESS = ("refuse", "500", "404 html", "503 retry-after=3600", "drop", "truncate")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe sooner that nothing is under way, and that an image stays undone."""
    limits = (600, 21600, 1.5, 5, 15, 1, 2)
    monkeypatch.setattr(Timeouts.__init__, "__defaults__", limits)


def snapshot(nova: Any, cloud: Sandbox, log: Log, *options: str) -> Any:
    """Take a snapshot, and assert that the server was resumed exactly once."""
    with following(cloud):
        result = nova(*create("db1", "x", *options, *log.hooks()))
    assert log.words() == ["before", "after"], result
    assert "Traceback" not in result.err
    assert "x" in images(cloud) or result.status, result
    return result


@pytest.mark.parametrize("fault", FAULTS)
def test_trouble_in_every_state_is_waited_out(
    nova: Any, cloud: Sandbox, log: Log, fault: str
) -> None:
    cloud.fault(*(f"GET {fault} while {state} x2" for state in STATES))
    result = snapshot(nova, cloud, log, "--wait")
    assert result.status == 0, result
    image_id = images(cloud)["x"].id
    assert result.out == f"{image_id}\n"
    assert all(count for _, count in cloud.faults())


@pytest.mark.parametrize("state", HELD)
@pytest.mark.parametrize("fault", ENDLESS)
def test_trouble_without_end_ends_with_the_hold(
    nova: Any, cloud: Sandbox, log: Log, fault: str, state: str
) -> None:
    cloud.fault(f"freeze {state}", f"GET /servers/ {fault} while {state}")
    result = snapshot(nova, cloud, log, "--max-hold", "5s")
    assert result.status == 7, result
    assert "may be inconsistent; it is kept" in result.err
    assert images(cloud)["x"].id == result.out.strip()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("refuse", 1),
        ("404", 5),
        ("409", 1),
        ("409 html", 1),
        ("413 retry-after=0 x2", 0),
        ("413 retry-after=3600", 1),
        ("500", 1),
        ("502 html", 1),
        ("503 retry-after=0 x3", 0),
        ("drop", 1),
        ("lose-answer", 0),
        ("truncate", 0),
        ("truncate 0", 0),
        ("delay 0.3s", 0),
        ("expire", 0),
    ],
)
def test_an_image_create_that_goes_wrong(
    nova: Any, cloud: Sandbox, log: Log, quiet: None, fault: str, status: int
) -> None:
    cloud.fault(f"POST /action$ {fault}")
    result = snapshot(nova, cloud, log)
    assert result.status == status, result
    if status == 0:
        assert images(cloud)["x"].id == result.out.strip()
    posts = [seen for seen in cloud.requests if seen.path.endswith("/action")]
    # Sent again only where it is known that nothing was done.
    assert len(posts) == {"x2": 3, "x3": 4, "expire": 2}.get(fault.split()[-1], 1)


@pytest.mark.parametrize("state", STATES)
def test_a_snapshot_that_goes_no_further(
    nova: Any, cloud: Sandbox, log: Log, state: str
) -> None:
    cloud.fault(f"freeze {state}")
    held = state in HELD
    limit = ("--max-hold", "5s") if held else ("--time-limit", "15s")
    result = snapshot(nova, cloud, log, "--wait", *limit)
    assert result.status == (7 if held else 6), result
    assert images(cloud)["x"].id == result.out.strip()


@pytest.mark.parametrize("state", STATES)
def test_an_image_that_is_lost(nova: Any, cloud: Sandbox, log: Log, state: str) -> None:
    cloud.fault(f"lose-image {state}")
    result = snapshot(nova, cloud, log, "--wait")
    assert result.status == 4, result
    line = result.err.splitlines()[-1]
    assert line.startswith("ERROR (ImageLost): image ")
    assert " of server db1 is lost: it is gone (Image " in line


@pytest.mark.parametrize("state", STATES)
def test_a_watch_tells_that_a_snapshot_has_failed(
    nova: Any, cloud: Sandbox, state: str
) -> None:
    cloud.fault(f"lose-image {state}")
    nova.ok("image-create", "db1", "x")
    with following(cloud):
        result = nova("snapshot-watch", "--interval", "0.1", "db1")
    assert result.status == 4, result
    assert "ERROR (ImageLost): The snapshot of server db1 has failed" in result.err
