"""How long ``snapshot-create`` holds a server beyond the copy of its disk.

Each hold's disk takes a different time to copy, so that the ends of the copies fall
anywhere between two polls. Holds of one disk run side by side: they wait.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rax_scheduled_images_ext.sandbox.backend.state import Timings

from .cloud import Cloud, sandbox
from .measure import Failed, run
from .results import Result, Target
from .setting import LATENCIES, Setting

_PART = "e: hold"
_WATCH = "e: watch"
_INTERVALS = (None, "1", "2", "5")
# Virtual seconds from the request until the disk is copied, with a sandbox's timings.
_COPIED = Timings().queue + Timings().copy
# Seconds that the copies of the disks take here: their ends are spread evenly between
# two polls, whatever the interval. Each hold is shorter than a minute, so that its
# requests are those of a minute.
_COPIES = (12.2, 17.8, 19.0, 25.8, 32.6, 39.4, 46.2, 53.0)
_QUICK_COPIES = (1.5,)
_WATCHED = (1, 10, 100)
_WATCH_SECONDS = 60


@dataclass(frozen=True)
class Hold:
    """One hold: seconds beyond the copy, and requests while it lasted."""

    beyond: float
    requests: int


def measure(setting: Setting) -> None:
    """Measure holds at each latency, then what watching costs."""
    for latency in setting.latencies:
        _holds(setting, latency)
    _watches(setting)


def _holds(setting: Setting, latency: float) -> None:
    copies = _QUICK_COPIES if setting.quick else _COPIES
    holds: dict[str | None, list[Hold]] = {each: [] for each in _INTERVALS}
    lanes = [
        threading.Thread(target=_disk, args=(setting, latency, copy, holds))
        for copy in copies
    ]
    for lane in lanes:
        lane.start()
        # The starts, which are busy, must not disturb each other.
        time.sleep(setting.times(5, 0))
    for lane in lanes:
        lane.join()
    note = f"disks that take {', '.join(map(str, copies))} s to copy"
    for interval, found in holds.items():
        if len(found) != len(copies):
            raise Failed("not all holds ended well")
        name = f"every {interval} s" if interval else "default"
        beyond, sent = [h.beyond for h in found], [h.requests for h in found]
        default = interval is None
        setting.report.add(
            Result(
                _PART,
                f"hold beyond the copy, {name}",
                "s",
                beyond,
                latency,
                Target(1) if default else None,
                note,
            ),
            Result(
                _PART,
                f"hold of less than a minute, {name}",
                "requests",
                sent,
                latency,
                Target(40) if default else None,
            ),
        )


def _disk(
    setting: Setting,
    latency: float,
    copy: float,
    holds: dict[str | None, list[Hold]],
) -> None:
    """Hold a server with each interval, at a speed at which the disk takes ``copy``."""
    options = {"speed": _COPIED / copy, "latency": latency, "servers": len(_INTERVALS)}
    with sandbox(setting.folder, **options) as cloud:
        ids = cloud.server_ids(len(_INTERVALS))
        lanes = [
            threading.Thread(
                target=_hold, args=(setting, cloud, copy, server_id, interval, holds)
            )
            for server_id, interval in zip(ids, _INTERVALS, strict=True)
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()


def _hold(
    setting: Setting,
    cloud: Cloud,
    copy: float,
    server_id: str,
    interval: str | None,
    holds: dict[str | None, list[Hold]],
) -> None:
    """Hold a server once, and record when its commands ran."""
    before, after = (setting.folder / f"{w}-{server_id}-{copy}" for w in "ba")
    argv = [
        setting.environments.ours.nova,
        "snapshot-create",
        *(("--interval", interval) if interval else ()),
        "--before",
        f"sh -c 'date +%s.%N > {before}'",
        "--after",
        f"sh -c 'date +%s.%N > {after}'",
        server_id,
        "benchmark",
    ]
    run(argv, setting.variables(cloud))
    held = _moment(after) - _moment(before)
    holds[interval].append(Hold(held - copy, _looks(cloud, server_id)))


def _moment(file: Path) -> float:
    return float(file.read_text())


def _looks(cloud: Cloud, server_id: str) -> int:
    """Return how many requests about a server followed the one for its snapshot."""
    lines = cloud.log.read_text().splitlines()
    about = [line for line in lines if server_id in line]
    begun = next(n for n, line in enumerate(about) if " POST " in line)
    return len(about) - begun - 1


def _watches(setting: Setting) -> None:
    """Count the requests of a minute of watching some servers."""
    seconds = setting.times(_WATCH_SECONDS, 2)
    for number in _WATCHED if not setting.quick else _WATCHED[:2]:
        # So slow that no snapshot ends within the time.
        with sandbox(setting.folder, speed=0.1, servers=number) as cloud:
            ids = cloud.server_ids(number)
            for server_id in ids:
                cloud.snapshot(server_id, "benchmark")
            sent = _watched(setting, cloud, ids, seconds)
        setting.report.add(
            Result(
                _WATCH,
                f"watch {number} servers, every 5 s",
                "requests a minute",
                [60 * sent / seconds],
                LATENCIES[0],
                Target(40),
            )
        )


def _watched(setting: Setting, cloud: Cloud, ids: Sequence[str], seconds: float) -> int:
    """Watch servers for this long; return the requests after the first polls."""
    argv = [setting.environments.ours.nova, "snapshot-watch", *ids]
    # A pipe would fill up, and block the watch.
    printed = setting.folder / f"watch-{len(ids)}"
    with printed.open("w") as out:
        process = subprocess.Popen(
            argv, env=setting.variables(cloud), stdout=out, stderr=subprocess.DEVNULL
        )
    try:
        while not printed.read_text():
            if process.poll() is not None:
                raise Failed("nothing to watch")
            time.sleep(0.01)
        cloud.requests()
        time.sleep(seconds)
        return len(cloud.requests())
    finally:
        process.terminate()
        process.wait()
