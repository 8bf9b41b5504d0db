"""What services have done: processor time, requests, and bytes of responses."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .measure import Failed

# The processor time of a process, as `clock_getcpuclockid` of Linux names its clock.
_SCHEDULED = 2
# Seconds after which services have logged their responses.
_NOTED = 0.3
# The most that idle services use of each second, and how long they may take to idle.
_QUIET = 0.1
_PATIENCE = 600
_LINE = re.compile(r"(\d+ \S+ \S+) (\d+)\n")
# A program that finds nothing to do only reads and logs in.
_HARMLESS = re.compile(r"\d+ (GET \S+|POST \S+/tokens)")


@dataclass(frozen=True)
class Usage:
    """Processor seconds, requests, and bytes of the responses."""

    seconds: float
    requests: float
    size: float

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.seconds + other.seconds,
            self.requests + other.requests,
            self.size + other.size,
        )

    def __sub__(self, other: Usage) -> Usage:
        return self + other * -1

    def __mul__(self, times: float) -> Usage:
        return Usage(self.seconds * times, self.requests * times, self.size * times)


class Meter:
    """Measures services that only get read requests.

    :param pids: their processes, whose children count too.
    :param logs: files with a line for each response: status, method, path and bytes.
    """

    def __init__(self, pids: Sequence[int], logs: Sequence[Path]) -> None:
        self._pids = pids
        # What is in the files already does not count.
        self._logs = {log: log.stat().st_size for log in logs}

    def wait(self) -> None:
        """Wait until the services are idle after the requests of an ended client.

        :raises Failed: if they stay busy for long.
        """
        for _ in range(_PATIENCE):
            before = self._used()
            time.sleep(1)
            if self._used() - before < _QUIET:
                return
        raise Failed("the services are busy with something else")

    def read(self) -> Usage:
        """Return the usage so far: only the difference of two matters.

        :raises Failed: if anything was changed.
        """
        time.sleep(_NOTED)
        lines = [line for log in self._logs for line in self._lines(log)]
        for what, _ in lines:
            if not _HARMLESS.fullmatch(what):
                raise Failed(f"something was due: {what}")
        sizes = [int(size) for _, size in lines]
        return Usage(self._used(), len(sizes), sum(sizes))

    def of(self, action: Callable[[], object]) -> Usage:
        """Return the usage of an action."""
        self.wait()
        before = self.read()
        action()
        return self.read() - before

    def _used(self) -> float:
        return sum(_seconds(each) for pid in self._pids for each in _tree(pid))

    def _lines(self, log: Path) -> list[tuple[str, str]]:
        with log.open() as file:
            file.seek(self._logs[log])
            return _LINE.findall(file.read())


def _seconds(pid: int) -> float:
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))
