"""Runs processes in turn, and measures their cost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


class Failed(Exception):
    """The measured program failed."""


@dataclass(frozen=True)
class Run:
    """The cost of a process and its children: seconds, and peak MiB."""

    wall: float
    cpu: float
    peak: float
    out: bytes = b""


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    statuses: Sequence[int] = (0,),
    stdin: bytes = b"",
    keep: bool = False,
) -> Run:
    """Run a command to its end.

    :param keep: whether its output is wanted.
    :raises Failed: if it ends with another status.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE if keep else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if process.stdin:
        with process.stdin as pipe:
            pipe.write(stdin)
    out = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in statuses:
        raise Failed(f"status {process.returncode}: {' '.join(argv)[:200]}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out)


def in_turn(
    sides: Mapping[str, Callable[[], Run]], times: int, *, warm: bool = True
) -> dict[str, list[Run]]:
    """Run several things in turn, in changing order.

    :param warm: first run each once to fill the caches.
    """
    if warm:
        for side in sides.values():
            side()
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    names = list(sides)
    for _ in range(times):
        for name in names:
            runs[name].append(sides[name]())
        names.reverse()
    return runs


@dataclass(frozen=True)
class Spread:
    """Several values of the same thing."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize values."""
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.least:.4g}-{self.most:.4g})"


def wall(runs: Sequence[Run]) -> list[float]:
    """Return the wall-clock seconds of runs."""
    return [each.wall for each in runs]


def cpu(runs: Sequence[Run]) -> list[float]:
    """Return the processor seconds of runs."""
    return [each.cpu for each in runs]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each pair of consecutive measurements."""
    return [a / b for a, b in zip(above, below, strict=True)]
