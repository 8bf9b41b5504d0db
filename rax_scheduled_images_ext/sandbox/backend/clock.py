"""Virtual time: follows the wall clock, at any speed, and can be moved ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rax_scheduled_images_ext.model.times import END

# Leaves room for events that are due some time later.
_LAST = END.timestamp() - 1


class Clock:
    """A clock of unix seconds that never goes back, and stops before the year 9000.

    :param start: the time it shows now; by default, that of the wall clock.
    :param speed: virtual seconds per second; at 0 the clock stands still.
    :param wall: returns real time, in seconds.
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
        """Move the clock forward, and return the new time.

        :raises ValueError: for a negative number, or beyond the clock's end.
        """
        with self._lock:
            self._shown = self._moved(seconds)
            return self._shown

    def ahead(self, seconds: float) -> float:
        """Return the time that the clock would show if it were moved forward now.

        :raises ValueError: as for :meth:`advance`.
        """
        with self._lock:
            return self._moved(seconds)

    def _moved(self, seconds: float) -> float:
        if seconds < 0:
            raise ValueError(f"cannot go back in time by {-seconds} seconds")
        moved = self._read() + seconds
        if not moved <= _LAST:
            raise ValueError(
                f"cannot advance by {seconds:.0f} seconds: the clock ends before the"
                f" year {END.year}"
            )
        return moved

    def resume(self, shown: float, since: float) -> None:
        """Continue from ``shown``, the time when the wall clock showed ``since``."""
        with self._lock:
            self._shown, self._since = shown, min(since, self.wall())

    def _read(self) -> float:
        # Anchored again at each reading, so that a wall clock set back does no harm.
        wall = self.wall()
        passed = max(0.0, wall - self._since) * self._speed
        self._shown = min(self._shown + passed, _LAST)
        self._since = wall
        return self._shown
