"""Runs processes in turn, and measures their cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# A small program that runs another one: Linux counts the memory of whoever starts a
# program as the program's own, and the benchmarks themselves can be large.
_RUN = """
import json, os, signal, sys, time
report, argv = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(report, False)
begun = time.perf_counter()
# Python ignores these, and other programs do not.
usual = [signal.SIGPIPE, signal.SIGXFSZ]
started = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=usual)
_, status, used = os.wait4(started, 0)
wall = time.perf_counter() - begun
found = os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime
os.write(report, json.dumps([*found, used.ru_maxrss / 1024]).encode())
"""


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
    read, write = os.pipe()
    with open(read, "rb") as report:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _RUN, str(write), *argv],
                env=environment,
                input=stdin,
                stdout=subprocess.PIPE if keep else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[write],
            )
        finally:
            os.close(write)
        if done.returncode:
            raise Failed(f"cannot be run: {' '.join(argv)[:200]}")
        status, wall, cpu, peak = json.load(report)
    if status not in statuses:
        raise Failed(f"status {status}: {' '.join(argv)[:200]}")
    return Run(wall, cpu, peak, done.stdout or b"")


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
