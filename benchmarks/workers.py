"""Workers on Celery and RabbitMQ: how fast they start images, and what a scan costs.

RabbitMQ is the tests' own, from Debian's packages.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
from celery import Celery

from rax_scheduled_images_ext.service import queues
from tests.workers.broker import Broker, free_ports, installed

from .cloud import Cloud, sandbox
from .measure import Failed, ratios, run
from .results import Result, Target
from .setting import Setting

_PART = "e: workers"
_REGION = "RegionOne"
_PROGRAM = Path(sys.executable).with_name("scheduled-images-service")
_REPLAY = (sys.executable, "-m", "benchmarks.replay")
_LATENCY = 0.1
_WORKERS = 4
_SIZES = (10_000, 100_000)
_SCANS = 10
# Of every worker: one process, so that it does one thing at a time.
_OPTIONS = ("--every", "1h", "--limit-region", "10000", "--limit-project", "10000")
# So that as many images are due in each run.
_START = "2026-01-05T00:00:00Z"
# Seconds that anything may take.
_LONG = 1800.0


def measure(setting: Setting) -> None:
    """Measure how fast images are started, and scans of several sizes."""
    with Broker(setting.folder / "broker", installed()) as broker:
        _measure_started(setting, broker)
        sizes = (20, 40) if setting.quick else _SIZES
        each = [_measure_scan(setting, broker, size) for size in sizes]
    small, large = (seconds / size for seconds, size in zip(each, sizes, strict=True))
    what = f"scan: a server of {sizes[1]} / of {sizes[0]}"
    target = None if setting.quick else Target(1.2)
    setting.report.add(Result(_PART, what, "x wall", [large / small], 0.0, target))


@dataclass
class _Worker:
    """A worker with one process, and the numbers that it serves."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    _session: requests.Session = field(default_factory=requests.Session)

    def numbers(self) -> Mapping[str, float]:
        """What it serves for Prometheus."""
        self._session.trust_env = False
        text = self._session.get(f"http://127.0.0.1:{self.port}/metrics").text
        found = re.findall(r"^scheduled_images_(\S.*) (\S+)$", text, re.MULTILINE)
        return {name: float(number) for name, number in found}

    def memory(self) -> float:
        """MiB of its largest process."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return max(_memory(each) for each in [str(pid), *children])


@contextmanager
def _workers(
    setting: Setting, cloud: Cloud, broker: Broker, number: int
) -> Iterator[list[_Worker]]:
    """Run this many workers, ready to work."""
    with ExitStack() as stack:
        found = [
            stack.enter_context(_worker(setting, cloud, broker, n))
            for n in range(number)
        ]
        for each in found:
            _until(lambda log=each.log: "metrics served" in log.read_text())  # type: ignore[misc]
        yield found


@contextmanager
def _worker(
    setting: Setting, cloud: Cloud, broker: Broker, number: int
) -> Iterator[_Worker]:
    (port,) = free_ports(1)
    log = setting.folder / f"worker{number}-{port}.log"
    environment = {
        **setting.variables(cloud),
        "CELERY_BROKER_URL": broker.url,
        "PYTHONWARNINGS": "ignore",
    }
    argv = [str(_PROGRAM), "worker", *_OPTIONS, "--metrics-port", str(port)]
    argv += ["--", "--concurrency", "1", "-n", f"worker{number}@%h"]
    with (
        log.open("w") as file,
        subprocess.Popen(argv, env=environment, stdout=file, stderr=file) as process,
    ):
        try:
            yield _Worker(process, port, log)
        finally:
            process.terminate()


def _scan(broker: Broker) -> None:
    """Request a scan, as beat does."""
    app = Celery(set_as_current=False, broker=broker.url)
    queue = queues.consumed(_REGION)[1]
    app.send_task("scheduled_images.scan", [_REGION], queue=queue)


def _until(what: Callable[[], bool], pause: float = 0.02) -> None:
    """Wait for something, looking each ``pause`` seconds."""
    deadline = time.monotonic() + _LONG
    while not what():
        if time.monotonic() > deadline:
            raise Failed("the workers did not do it in time")
        time.sleep(pause)


def _measure_started(setting: Setting, broker: Broker) -> None:
    """Measure how many images a minute one worker starts, and four."""
    images = setting.times(100, 12)
    rates: dict[int, list[float]] = {1: [], _WORKERS: []}
    messages = 0.0
    for _ in range(setting.times(3, 1)):
        for number, found in rates.items():
            rate, messages = _begin(setting, broker, number, images)
            found.append(rate)
    for number, found in rates.items():
        what = f"images a minute, {number} workers"
        setting.report.add(Result(_PART, what, "1/min", found, _LATENCY))
    more = ratios(rates[_WORKERS], rates[1])
    target = None if setting.quick else Target(3.5, at_least=True)
    what = f"images a minute of {_WORKERS} workers / of one"
    setting.report.add(
        Result(_PART, what, "x", more, _LATENCY, target),
        Result(_PART, "messages an image", "", [messages], _LATENCY),
    )


def _begin(
    setting: Setting, broker: Broker, number: int, images: int
) -> tuple[float, float]:
    """Let workers start images; return how many a minute, and messages for each."""
    options = _options(images * 2)
    with (
        sandbox(setting.folder, latency=_LATENCY, **options) as cloud,
        _workers(setting, cloud, broker, number) as workers,
    ):
        # Half of the servers are due, and few of these too long ago.
        cloud.advance("11h")
        cloud.requests()
        _scan(broker)
        times: list[float] = []

        def most_have_started() -> bool:
            new = sum("POST" in r and "/action" in r for r in cloud.requests())
            times.extend([time.perf_counter()] * new)
            # About as many as there will be.
            return len(times) >= images * 3 // 4

        _until(most_have_started)
        # Before the first ones the workers log in.
        times = times[setting.times(2 * _WORKERS, 1) :]
        rate = (len(times) - 1) / (times[-1] - times[0]) * 60
        due = _until_all_started(workers)
        cloud.advance("5m")
        _scan(broker)
        _until(lambda: _total(workers, "steps_total", "retention applied") >= due)
        scans = _total(workers, "looks_total", "done")
        return rate, (_looks(workers) + scans) / due


def _options(servers: int) -> dict[str, object]:
    """Return the options of a sandbox with so many schedules."""
    return {
        "servers": servers,
        "images_per_server": 1,
        "speed": 0,
        "start": _START,
        "without_extension": True,
    }


def _until_all_started(workers: list[_Worker]) -> float:
    """Wait until all images that the scan found due are started; return how many."""
    _until(lambda: _total(workers, "due", "") > 0)
    due = _total(workers, "due", "")
    _until(lambda: _total(workers, "steps_total", "image started") >= due)
    return due


def _looks(workers: list[_Worker]) -> float:
    return _total(workers, "wait_seconds_count", "")


def _total(workers: list[_Worker], name: str, label: str) -> float:
    return sum(
        number
        for worker in workers
        for key, number in worker.numbers().items()
        if key.startswith(name) and label in key
    )


def _measure_scan(setting: Setting, broker: Broker, size: int) -> float:
    """Measure scans beside bare requests; return the seconds of one."""
    options = _options(size - 4)
    most = size == _SIZES[-1]
    with (
        sandbox(setting.folder, **options) as cloud,
        _workers(setting, cloud, broker, 1) as (worker,),
    ):
        # The first one also reads what images there are.
        _one_scan(worker, broker)
        cloud.requests()
        _one_scan(worker, broker)
        paths = [line.split()[2] for line in cloud.requests() if "GET" in line]
        first = worker.memory()
        replay = "\n".join(paths).encode()
        variables = setting.variables(cloud)

        scans: list[float] = []
        floors: list[float] = []
        for _ in range(setting.times(_SCANS, 1)):
            scans.append(_one_scan(worker, broker))
            done = run(_REPLAY, variables, stdin=replay, keep=True)
            floors.append(float(done.out))
        last = worker.memory()
    of = f"of {size} servers"
    ratio = ratios(scans, floors)
    setting.report.add(
        Result(_PART, f"scan {of}", "s wall", scans, 0.0),
        Result(_PART, f"scan {of}", "requests", [len(paths)], 0.0),
        Result(_PART, f"floor {of}", "s wall", floors, 0.0),
        Result(
            _PART,
            f"scan / floor {of}",
            "x wall",
            ratio,
            0.0,
            Target(1.5) if most else None,
        ),
        Result(
            _PART, f"memory {of}", "MiB", [last], 0.0, Target(300) if most else None
        ),
        Result(
            _PART,
            f"memory after ten scans / after two {of}",
            "x",
            [last / first],
            target=Target(1.05) if most else None,
        ),
    )
    return sorted(scans)[len(scans) // 2]


def _one_scan(worker: _Worker, broker: Broker) -> float:
    """Scan once; return the seconds that it took."""
    name = f'looks_total{{outcome="done",region="{_REGION}"}}'
    before = worker.numbers().get(name, 0)
    _scan(broker)
    # Seldom: the worker's numbers cost it, and the broker, some time.
    _until(lambda: worker.numbers().get(name, 0) > before, pause=0.5)
    return worker.numbers()[f'look_seconds{{region="{_REGION}"}}']


def _memory(pid: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024
