"""Waiting for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(find: Callable[[], Found], seconds: float = 30) -> Found:
    """Wait until something is true, and return it; fail where it takes too long."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found
