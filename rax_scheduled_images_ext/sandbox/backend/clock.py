"""Virtual time: follows the wall clock, at any speed, and can be moved ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """A clock of unix seconds that never goes back.

    :param start: what it shows now; the wall clock's time by default.
    :param speed: virtual seconds that pass in a second; 0 stands still.
    :param wall: where real time comes from, in seconds.
    :raises ValueError: for a negative speed.
    """

    def __init__(
        self,
        *,
        start: float | None = None,
        speed: float = 1.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if speed < 0:
            raise ValueError(f"speed {speed} would run backwards: 0 or more is allowed")
        self.wall = wall
        self._speed = speed
        self._lock = threading.Lock()
        self._since = wall()
        self._shown = self._since if start is None else start

    def now(self) -> float:
        """Return the virtual time, in unix seconds."""
        with self._lock:
            return self._read()

    def advance(self, seconds: float) -> float:
        """Move the clock ahead and return the new time.

        :raises ValueError: for a negative number.
        """
        if seconds < 0:
            raise ValueError(f"cannot go back in time by {-seconds} seconds")
        with self._lock:
            self._read()
            self._shown += seconds
            return self._shown

    def resume(self, shown: float, since: float) -> None:
        """Go on from a clock that showed ``shown`` when the wall showed ``since``."""
        with self._lock:
            self._shown, self._since = shown, min(since, self.wall())

    def _read(self) -> float:
        # Anchored anew at each reading, so that a wall clock set back is harmless.
        wall = self.wall()
        self._shown += max(0.0, wall - self._since) * self._speed
        self._since = wall
        return self._shown
