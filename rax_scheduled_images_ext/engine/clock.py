"""The clock by which a runner decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

#: For how long what was read need not be read again.
FRESH = timedelta(seconds=5)


@dataclass(frozen=True)
class Clock:
    """Shows the cloud's time, or one that is given.

    :param seconds: seconds that never go back.
    :param at: the time that it always shows, None for the cloud's.
    """

    seconds: Callable[[], float] = time.monotonic
    at: datetime | None = None

    def time(self, cloud: datetime) -> datetime:
        """Return the time to decide by.

        :param cloud: the cloud's time.
        """
        return self.at or cloud


@dataclass(frozen=True)
class LookTime:
    """The time by which a look decides, and how it goes on while steps are done.

    :param looked: the time that was when the clock showed ``started``.
    """

    looked: datetime
    started: float
    clock: Clock

    @property
    def now(self) -> datetime:
        """The present time."""
        return self.looked + timedelta(seconds=self.clock.seconds() - self.started)

    @property
    def is_fresh(self) -> bool:
        """Whether what was read by then need not be read again."""
        return self.now - self.looked <= FRESH
