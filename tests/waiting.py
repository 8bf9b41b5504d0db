"""Waiting for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def until(find: Callable[[], Found], seconds: float = 120) -> Found:
    """Wait until something is true, and return it; fail where it takes too long."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def until_idle(pid: int) -> None:
    """Wait until each thread of a process waits, and none waits for a processor."""

    def states() -> set[str]:
        threads = Path(f"/proc/{pid}/task").glob("*/stat")
        return {each.read_text().rpartition(") ")[2][0] for each in threads}

    until(lambda: states() == {"S"})
