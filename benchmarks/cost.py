"""What the service costs a cloud: a tick, a scan of ``run``, and a day of scans.

On the sandbox, and on the real Nova and Glance of ``tests.interop.cloud``. Processor
time is that of the services alone; of the service's own programs it is the memory.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rax_scheduled_images_ext.model.durations import parse_duration
from tests.interop.cloud.__main__ import alone, up
from tests.interop.cloud.layout import Layout
from tests.interop.cloud.services import Services
from tests.scenarios.resources import Workshop

from .environments import Environment, bare_environment
from .looks import looks
from .measure import Failed, ratios, run
from .meter import Meter, Usage
from .results import Result, Target
from .rows import Fleet, fleet
from .setting import Setting

_SANDBOX, _SERVICES = "f: cost, sandbox", "f: cost, Nova and Glance"
_COUNTED_SANDBOX = Path(__file__).with_name("counted.py")
_SIZES = (10_000, 100_000)
_REAL = 1_000
_IMAGES = 7
# The day that is computed: this many daily servers, with a scan each minute.
_DAILY, _LOOKS_A_DAY = 10_000, 24 * 60
_CHANGED = round(_DAILY / _LOOKS_A_DAY)
# Scans until a changed image is no longer read, and then those that are measured. A
# program that reads all images in each scan has nothing to settle.
_SETTLING, _COUNTED = 8, 4
_CALLED = {"ours": "", "before": " (before)"}
# The API services that the programs use.
_ASKED = ("keystone", "glance", "nova-api", "cinder-api")


@dataclass(frozen=True)
class _Place:
    """A cloud in which nothing is due."""

    part: str
    servers: int
    meter: Meter
    variables: Mapping[str, str]


@dataclass(frozen=True)
class _Looks:
    """The cost of the scans of a run: the first one, and each later one."""

    first: Usage
    later: list[Usage]
    peak: float

    @property
    def each(self) -> Usage:
        """The mean of the later ones."""
        return sum(self.later, Usage(0, 0, 0)) * (1 / len(self.later))


def measure_sandbox(setting: Setting) -> None:
    """Measure ticks and scans on sandboxes of several sizes."""
    for size in (40,) if setting.quick else _SIZES:
        with _sandbox(setting, size) as place:
            _measure_ticks(setting, place)
            _measure_looks(setting, place)


def measure_services(setting: Setting) -> None:
    """Measure ticks, scans and a day on the real services."""
    layout = Layout(setting.cloud)
    number = setting.times(_REAL, 20)
    with _running(layout), _fleet(layout, number) as made:
        place = _real(setting, layout, "demo", number)
        _measure_ticks(setting, place)
        found = _measure_looks(setting, place)
        without = _real(setting, layout, "stranger", 0)
        for name, each in found.items():
            _measure_day(setting, place, without, made, name, each)


@contextmanager
def _sandbox(setting: Setting, size: int) -> Iterator[_Place]:
    options = {
        "servers": size,
        "images_per_server": _IMAGES,
        "speed": 0,
        "extension": False,
    }
    argv = [sys.executable, str(_COUNTED_SANDBOX), json.dumps(options)]
    log = setting.folder / f"counted-{size}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise Failed(f"the sandbox did not start: {log.read_text()[-500:]}")
        variables = {**bare_environment(setting.folder), **json.loads(line)}
        yield _Place(_SANDBOX, size, Meter([process.pid], [log]), variables)
        process.stdin.close()


@contextmanager
def _running(layout: Layout) -> Iterator[None]:
    """Run the real cloud; stop it at the end unless it ran before."""
    services = Services(layout)
    found_up = all(services.running().values())
    try:
        up(services)
        yield
    finally:
        if not found_up:
            with alone(layout):
                services.down()


@contextmanager
def _fleet(layout: Layout, number: int) -> Iterator[Fleet]:
    """Create this many copies of a real server."""
    workshop = Workshop(layout.environ("demo"))
    try:
        _, server_id = workshop.boot()
        image_id = workshop.snapshot(server_id)
        workshop.done(server_id, image_id)
        with fleet(layout, server_id, image_id, number) as made:
            yield made
    finally:
        workshop.clear()


def _real(setting: Setting, layout: Layout, user: str, number: int) -> _Place:
    services = Services(layout)
    pids = [services.process(name).pid() for name in _ASKED]
    meter = Meter(
        [pid for pid in pids if pid], [layout.requests(name) for name in _ASKED]
    )
    variables = {**bare_environment(setting.folder), **layout.environ(user)}
    return _Place(_SERVICES, number, meter, variables)


def _compared(setting: Setting) -> dict[str, Environment]:
    """Return the environments whose programs are measured, by name."""
    known = setting.environments
    found = {"before": known.before, "ours": known.ours}
    return {name: each for name, each in found.items() if each is not None}


def _measure_ticks(setting: Setting, place: _Place) -> None:
    """Measure ticks of each environment in turn."""
    used: dict[str, list[Usage]] = {name: [] for name in _compared(setting)}
    peaks: dict[str, list[float]] = {name: [] for name in used}

    def tick(name: str, environment: Environment) -> Callable[[], None]:
        def once() -> None:
            done = run([environment.service, "tick"], place.variables)
            peaks[name].append(done.peak)

        return once

    if not setting.quick:
        # Services do some things only once after they start.
        run([setting.environments.ours.service, "tick"], place.variables)
    for _ in range(setting.times(3 if place.servers <= _DAILY else 1, 1)):
        for name, environment in _compared(setting).items():
            used[name].append(place.meter.of(tick(name, environment)))
    for name in used:
        _add_usage(setting, place, f"tick{_CALLED[name]}", used[name])
        _add_memory(setting, place, f"tick{_CALLED[name]}", peaks[name])
    _add_ratios(setting, place, "tick", used, 0.55)


def _measure_looks(setting: Setting, place: _Place) -> dict[str, _Looks]:
    """Measure scans that find nothing, in each environment."""
    found = {
        name: _look(place, environment, setting.times(60, 2))
        for name, environment in _compared(setting).items()
    }
    for name, each in found.items():
        what = f"of run{_CALLED[name]}"
        _add_usage(setting, place, f"first look {what}", [each.first])
        _add_usage(setting, place, f"look {what}", each.later)
        _add_memory(setting, place, f"run{_CALLED[name]}", [each.peak])
    used = {name: [each.each] for name, each in found.items()}
    _add_ratios(setting, place, "look of run", used, 0.01)
    return found


def _look(
    place: _Place,
    environment: Environment,
    seconds: float,
    every: str = "2s",
    *options: str,
) -> _Looks:
    """Let a program scan for this long, and at least three times."""
    with looks(environment, place.variables, place.meter, every, *options) as looking:
        first = looking.next()
        later: list[Usage] = []
        end = time.monotonic() + seconds
        while len(later) < 2 or time.monotonic() < end:
            later.append(looking.next())
        return _Looks(first, later, looking.peak)


def _measure_day(
    setting: Setting,
    place: _Place,
    without: _Place,
    made: Fleet,
    name: str,
    found: _Looks,
) -> None:
    """Compute what a day of run costs, besides the requests for each image.

    The cost of a scan without servers is also measured: the rest grows with them.
    """
    environment = _compared(setting)[name]
    base = _look(without, environment, setting.times(60, 2)).each
    refreshes = _refreshes(environment)
    settling = setting.times(_SETTLING, 1) if refreshes else 1
    busy = _look_at_changes(setting, place, environment, made, settling)
    scale = _DAILY / place.servers
    changes = busy - found.each
    again = found.each
    if refreshes:
        # Longer than such a scan takes: none must start before the last was measured.
        every = "2s" if setting.quick else "20s"
        seconds = setting.times(60, 2)
        again = _look(place, environment, seconds, every, "--refresh", "1s").each
    more = found.each - base
    # A chance difference is not tenfold.
    look = base + more * (scale if more.seconds > 0 else 1)
    refresh = (again - base) * scale
    day = (look + changes) * _LOOKS_A_DAY + refresh * refreshes
    what = f"of run{_CALLED[name]}"
    _add_usage(setting, without, f"look {what}", [base])
    _add_usage(setting, place, f"look {what}, {_CHANGED} more images changed", [busy])
    _add_usage(setting, place, f"look {what} that reads all servers again", [again])
    note = (
        f"{_LOOKS_A_DAY} looks of {look.seconds:.3g} s"
        f" = {base.seconds:.3g} + {scale:g} x ({found.each.seconds:.3g} -"
        f" {base.seconds:.3g}), {changes.seconds:.3g} s more in each for {_CHANGED}"
        f" images that have changed, and {refreshes:g} times {refresh.seconds:.3g} s"
        " to read all servers again"
    )
    setting.report.add(
        Result(
            place.part,
            f"day of run{_CALLED[name]}, {_DAILY} daily servers",
            "min cpu",
            [day.seconds / 60],
            target=Target(60) if name == "ours" and not setting.quick else None,
            note=note,
        ),
        Result(
            place.part,
            f"day of run{_CALLED[name]}, {_DAILY} daily servers",
            "requests",
            [day.requests],
        ),
        Result(
            place.part,
            f"day of run{_CALLED[name]}, {_DAILY} daily servers",
            "MB",
            [day.size / 1e6],
        ),
    )


def _look_at_changes(
    setting: Setting,
    place: _Place,
    environment: Environment,
    made: Fleet,
    settling: int,
) -> Usage:
    """Return the cost of a scan if images have changed as on a day with many servers.

    An image in progress changes before one scan and again before the next one.
    """
    every = "2s" if setting.quick else "1m"
    counted = setting.times(_COUNTED, 1)
    chance = random.Random(1)
    changed: list[str] = []
    with looks(environment, place.variables, place.meter, every) as looking:
        looking.next()
        found = []
        for _ in range(settling + counted):
            changed = [*changed[-_CHANGED:], *made.choose(_CHANGED, chance)]
            made.touch(changed)
            found.append(looking.next())
    return sum(found[settling:], Usage(0, 0, 0)) * (1 / counted)


def _refreshes(environment: Environment) -> float:
    """Return how often a day a program reads all servers again between scans.

    One that reads them in every scan has no option for it.
    """
    text = run([environment.service, "run", "--help"], {}, keep=True).out.decode()
    found = re.search(r"--refresh DURATION\s[^()]*\(default: (\w+)\)", text)
    return 24 * 3600 / parse_duration(found[1]) if found else 0.0


def _add_usage(setting: Setting, place: _Place, what: str, used: list[Usage]) -> None:
    of = f"{what}, {place.servers} servers"
    setting.report.add(
        Result(place.part, of, "s cpu", [each.seconds for each in used]),
        Result(place.part, of, "requests", [each.requests for each in used]),
        Result(place.part, of, "MB", [each.size / 1e6 for each in used]),
    )


def _add_memory(setting: Setting, place: _Place, what: str, peaks: list[float]) -> None:
    is_aim = place.servers == _DAILY and "before" not in what
    target = Target(200) if is_aim else None
    of = f"peak of {what}, {place.servers} servers"
    setting.report.add(Result(place.part, of, "MiB", peaks, target=target))


def _add_ratios(
    setting: Setting,
    place: _Place,
    what: str,
    used: Mapping[str, list[Usage]],
    limit: float,
) -> None:
    """Compare with the earlier program, if there is one."""
    if "before" not in used:
        return
    ours = [each.seconds for each in used["ours"]]
    before = [each.seconds for each in used["before"]]
    target = None if setting.quick else Target(limit)
    of = f"{what} / before, {place.servers} servers"
    setting.report.add(
        Result(place.part, of, "x cpu", ratios(ours, before), target=target)
    )
