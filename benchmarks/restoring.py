"""Restores compared with bare requests, and proofs side by side with one by one.

A sandbox makes a server at once; here it is in BUILD for as long as on a real cloud.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from .cloud import Cloud
from .measure import Run, ratios, run, wall
from .results import Result, Target
from .setting import Setting

_PART = "restore"
_CLOUD = Path(__file__).with_name("slow_boots.py")
# Seconds until a new server is ACTIVE.
_RESTORED, _PROVEN = 30.0, 10.0
_IMAGES = 20
_AT_ONCE = (2, 10)


def measure(setting: Setting) -> None:
    """Measure restores, then proofs."""
    with _cloud(setting, setting.times(1, 0) * _RESTORED + 1, 4) as cloud:
        _restores(setting, cloud)
    number = setting.times(_IMAGES, 2)
    with _cloud(setting, setting.times(1, 0) * _PROVEN + 1, number) as cloud:
        _proofs(setting, cloud)


@contextmanager
def _cloud(setting: Setting, seconds: float, servers: int) -> Iterator[Cloud]:
    """Run a cloud in which it takes so long until a new server is ACTIVE."""
    options = {"speed": 0, "servers": servers, "images_per_server": 1}
    argv = [sys.executable, str(_CLOUD), str(seconds), json.dumps(options)]
    log = setting.folder / "restores.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Cloud(json.loads(process.stdout.readline()), log)
        finally:
            process.stdin.close()


def _restores(setting: Setting, cloud: Cloud) -> None:
    environment, ours = setting.variables(cloud), setting.environments.ours
    image, server = cloud.images()[0]
    numbers = count()

    def restored() -> Run:
        name = f"back-{next(numbers)}"
        argv = [ours.nova, "scheduled-images-restore", server, "--as", name]
        return run([*argv, "--yes", "--wait"], environment)

    def bare() -> Run:
        argv = [ours.python, "-m", "benchmarks.bare_boot", image, "2"]
        return run(argv, environment)

    def started() -> Run:
        return run([ours.nova, "image-show", image], environment)

    sides = {"restore": restored, "bare": bare, "start": started}
    runs = setting.in_turn(sides, 3)
    took, least, start = (wall(runs[name]) for name in sides)
    setting.report.add(
        Result(_PART, "as a new server, to ACTIVE", "s wall", took),
        Result(_PART, "bare requests, to ACTIVE", "s wall", least),
        Result(
            _PART, "nova image-show, as long as nova takes to start", "s wall", start
        ),
        Result(
            _PART,
            "restore / bare requests",
            "x wall",
            ratios(took, least),
            target=Target(1.1),
        ),
        Result(
            _PART,
            "restore without the start of nova / bare requests",
            "x wall",
            ratios([a - b for a, b in zip(took, start, strict=True)], least),
        ),
    )


def _proofs(setting: Setting, cloud: Cloud) -> None:
    environment, ours = setting.variables(cloud), setting.environments.ours
    images = [image for image, _ in cloud.images()]

    def proven(at_once: int) -> Run:
        argv = [ours.nova, "scheduled-images-verify", "--yes", "--level", "booted"]
        return run([*argv, "--at-once", str(at_once), *images], environment)

    one_by_one = proven(1).wall
    for at_once in _AT_ONCE:
        faster = one_by_one / proven(at_once).wall
        what = f"{len(images)} proofs, one by one / {at_once} at once"
        setting.report.add(Result(_PART, what, "x wall", [faster]))
