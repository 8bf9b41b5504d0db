"""Whatever goes wrong, in whatever order: a held server is resumed exactly once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.operations.snapshot.polling import Timeouts
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.faults.grammar import STATES

from ..functional.raw import START
from ..functional.snapshots import Log, create, following, images

# The statuses that doc/snapshots.rst tells.
DOCUMENTED = (0, 1, 4, 5, 6, 7)
SERVERS = ("db1", "myserver", "web1")


def parts(*choices: Any) -> st.SearchStrategy[str]:
    """Join one of each of these choices to a text."""
    return st.tuples(*map(st.sampled_from, choices)).map(" ".join)


def requests(*states: str) -> st.SearchStrategy[str]:
    """Return faults of requests, in these task states."""
    return parts(
        ("", "GET", "POST", "GET /servers/", "POST /action$", "/images", "/extensions"),
        (
            *("refuse", "404", "404 html", "409", "410", "418", "500", "502 html"),
            *("429 retry-after=0", "413 retry-after=3600", "503 retry-after=1"),
            *("drop", "lose-answer", "truncate", "truncate 0", "delay 0.1s", "expire"),
        ),
        states,
        ("", "after 1", "after 4"),
        ("", "x1", "x2"),
    )


SNAPSHOTS = parts(
    ("freeze", "lose-image"), ("", *STATES), ("", "of db1", "of web1"), ("", "x1")
)
ANY = st.lists(
    requests("", *(f"while {state}" for state in STATES)) | SNAPSHOTS,
    min_size=1,
    max_size=4,
)
# Where the first request fails, which finds the servers, there is nothing to watch.
LATER = st.lists(
    requests(*(f"while {state}" for state in STATES[2:])) | SNAPSHOTS,
    min_size=1,
    max_size=4,
)

thorough = settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe sooner that nothing is under way, and that no answer will come."""
    limits = (600, 21600, 1.5, 0.1, 2, 0.5, 1)
    monkeypatch.setattr(Timeouts.__init__, "__defaults__", limits)


@pytest.fixture
def new_log(tmp_path: Path) -> Callable[[], Log]:
    """Return what makes a log that nobody has written into."""
    numbers = itertools.count()
    return lambda: Log(tmp_path / f"log{next(numbers)}")


@thorough
@given(ANY)
def test_a_held_server_is_resumed_exactly_once(
    nova: Any, hasty: None, new_log: Callable[[], Log], faults: list[str]
) -> None:
    log = new_log()
    limits = ("--wait", "--max-hold", "1s", "--time-limit", "2s")
    with Sandbox(speed=0, start=START, faults=faults) as cloud:
        with following(cloud):
            result = nova(*create("db1", "x", *limits, *log.hooks()), cloud=cloud)
        posts = [seen for seen in cloud.requests if seen.path.endswith("/action")]
        made = {name: image.id for name, image in images(cloud).items()}
        deleted = [seen for seen in cloud.requests if seen.method == "DELETE"]
    event(f"status {result.status}")
    assert result.status in DOCUMENTED, result
    assert "Traceback" not in result.err
    assert not deleted
    if log.words():
        assert log.words() == ["before", "after"], result
    else:
        # It ended before anything was stopped: no image was asked for, then.
        assert (result.status, result.out, posts) == (1, "", []), result
    if result.status:
        assert "ERROR (" in result.err, result
    else:
        assert result.out == f"{made['x']}\n"


@thorough
@given(LATER, st.integers(1, len(SERVERS)))
def test_a_watch_ends_and_says_how(nova: Any, faults: list[str], number: int) -> None:
    with Sandbox(speed=0, start=START) as cloud:
        for name in SERVERS[:number]:
            assert nova("image-create", name, "x", cloud=cloud).status == 0
        cloud.fault(*faults)
        options = ("--interval", "0.1", "--time-limit", "1s")
        with following(cloud):
            result = nova(*("snapshot-watch", *options, *SERVERS[:number]), cloud=cloud)
    event(f"status {result.status}")
    # 1: one of several could not be found.
    assert result.status in (0, 4, 5, 6, *([1] if number > 1 else [])), result
    assert "Traceback" not in result.err
    if result.status == 0:
        # Each was seen to its end.
        assert result.out.count("task_state: none") >= number, result
    else:
        assert "ERROR (" in result.err, result


SILENT = ("503 retry-after=0", "delay 0.2s", "expire")


@pytest.mark.parametrize(
    "fault",
    [
        *("refuse", "401", "404 html", "409", "500", "502 html", "drop"),
        *("lose-answer", "truncate", "truncate 0", *SILENT),
    ],
)
def test_a_watch_goes_on_through_trouble_in_every_state(
    nova: Any, cloud: Sandbox, fault: str
) -> None:
    nova.ok("image-create", "db1", "x")
    cloud.fault(*(f"GET /servers {fault} while {state} x1" for state in STATES[1:]))
    with following(cloud):
        result = nova("snapshot-watch", "--interval", "0.1", "db1")
    assert result.status == 0, result
    assert result.out.count("task_state: none") == 1
    assert "trying again" in result.err or fault in SILENT
    assert [happened for _, happened in cloud.faults()] == [1, 1, 1]


@pytest.mark.parametrize("fault", ["500", "drop", "truncate", "401"])
def test_trouble_of_many_that_are_watched(
    nova: Any, cloud: Sandbox, fault: str
) -> None:
    for name in SERVERS:
        nova.ok("image-create", name, "x")
    cloud.fault(f"GET /servers/detail {fault} x3")
    with following(cloud):
        result = nova("snapshot-watch", "--interval", "0.1", *SERVERS)
    assert result.status == 0, result
    assert result.out.count("task_state: none") == len(SERVERS)
    assert cloud.faults()[0][1] == 3
