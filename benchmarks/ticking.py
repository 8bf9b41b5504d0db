"""``scheduled-images-service tick`` beside bare requests, and the cost of one image."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import requests

from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.slots import (
    Window,
    next_slot,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

from .cloud import Cloud, sandbox
from .measure import Failed, Run, cpu, ratios, run, wall
from .results import Result, Target
from .setting import Setting

_PART = "e: tick"
_FLOOR = Path(__file__).with_name("floor.py")
_IMAGES = 7
_DUE = 7
_SERVERS = 10_000
_MOMENT = timedelta(seconds=2)
# Longer than a tick: its clock goes on while the sandbox's stands still.
_TICK = timedelta(minutes=2)
# Virtual seconds in which a snapshot ends.
_SNAPSHOT = 300.0


def measure(setting: Setting) -> None:
    """Measure the requests of one image, and a tick over a fleet at each latency."""
    _requests(setting)
    servers = setting.times(_SERVERS, 40)
    state = setting.folder / "scheduled.db"
    _prepare(state, servers, _DUE)
    for latency in setting.latencies:
        _compare(setting, state, servers, latency)


def _prepare(state: Path, servers: int, due: int) -> None:
    """Create a cloud in which this many servers are due and all others done."""
    options = {"servers": servers, "images_per_server": _IMAGES, "speed": 0}
    schedule = ImageSchedule(_IMAGES)
    tags = (MARKER_TAG, schedule_tag(schedule))
    with Sandbox(state=state, extension=False, **options) as made:  # type: ignore[arg-type]
        now = datetime.fromtimestamp(made.advance(0), timezone.utc)
        with made.region() as region:
            fleet = region.servers.select(ServerQuery(name="^server-"))
            moments = {
                server.id: next_slot(server.id, schedule, now, Window()).due
                for server in fleet
            }
            order = sorted(moments, key=lambda server_id: moments[server_id])
            last = moments[order[due - 1]]
            for place, server_id in enumerate(order):
                # Those at the same moment, or during the tick, would be due too.
                wanted = place < due or moments[server_id] > last + _TICK
                region.servers.set_tags(server_id, tags if wanted else ())
        made.advance((last + _MOMENT - now).total_seconds())


def _requests(setting: Setting) -> None:
    """Count the requests for one image, from the first scan to the retention."""
    state = setting.folder / "one.db"
    _prepare(state, 2, 1)
    with sandbox(setting.folder, **_options(state)) as cloud:
        environment = setting.variables(cloud)
        program = str(setting.environments.ours.programs / "scheduled-images-service")
        cloud.requests()
        run([program, "tick"], environment)
        _advance(cloud, _SNAPSHOT)
        run([program, "tick"], environment)
        sent = _of_image(_logged(cloud))
    setting.report.add(
        Result(
            _PART,
            "of one image, from the claim to the retention",
            "requests",
            [sent],
            target=Target(10),
            note="besides the listings of a look, which serve all images",
        )
    )


def _logged(cloud: Cloud) -> list[str]:
    """Return the requests so far; they are logged a moment after the response."""
    time.sleep(1)
    return cloud.requests()


def _of_image(lines: Iterable[str]) -> int:
    """Count requests, except those for tokens, versions and lists."""
    asked = [line.split(maxsplit=1)[1] for line in lines]
    asked = [line for line in asked if re.search("/(servers|images)", line)]
    return sum(not _is_shared(line) for line in asked)


def _is_shared(line: str) -> bool:
    listing = re.search(r"/images\?", line) and "instance_uuid=" not in line
    return "/servers/detail" in line or bool(listing)


def _options(state: Path) -> dict[str, object]:
    return {"state": state, "speed": 0, "without_extension": True}


def _advance(cloud: Cloud, seconds: float) -> None:
    url = f"{cloud.variables['SANDBOX_URL']}/sandbox/advance"
    requests.post(url, json={"seconds": seconds}).raise_for_status()


def _compare(setting: Setting, state: Path, servers: int, latency: float) -> None:
    """Measure ticks and their floor in turn, each pair on a fresh copy of the cloud."""
    ours = setting.environments.ours
    runs: dict[str, list[Run]] = {"tick": [], "floor": []}
    for round_ in range(setting.times(3, 1)):
        copy = setting.folder / f"round-{latency:g}-{round_}.db"
        shutil.copy(state, copy)
        with sandbox(setting.folder, latency=latency, **_options(copy)) as cloud:
            environment = setting.variables(cloud)
            program = str(ours.programs / "scheduled-images-service")
            sides = {
                "tick": [program, "tick", "--limit-project", "20"],
                "floor": [ours.python, str(_FLOOR), "service"],
            }
            # The caches of a cloud that has just started are empty.
            run(sides["floor"], environment)
            for name in sorted(sides, reverse=bool(round_ % 2)):
                runs[name].append(run(sides[name], environment))
            begun = cloud.making()
        if len(begun) != _DUE:
            raise Failed(f"not {_DUE} images were begun: {', '.join(begun)}")
        copy.unlink()
    took, least = wall(runs["tick"]), wall(runs["floor"])
    of = f"of {servers} servers, {_DUE} due"
    whole = servers == _SERVERS
    setting.report.add(
        Result(_PART, f"tick {of}", "s wall", took, latency),
        Result(_PART, f"tick {of}", "s cpu", cpu(runs["tick"]), latency),
        Result(_PART, f"floor {of}", "s wall", least, latency),
        Result(_PART, f"floor {of}", "s cpu", cpu(runs["floor"]), latency),
        Result(
            _PART,
            f"tick / floor {of}",
            "x wall",
            ratios(took, least),
            latency,
            Target(1.5) if whole else None,
        ),
        Result(
            "d: memory",
            f"peak of tick {of}",
            "MiB",
            [each.peak for each in runs["tick"]],
            latency,
            Target(250) if whole else None,
        ),
    )
