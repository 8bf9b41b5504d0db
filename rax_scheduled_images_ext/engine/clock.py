"""The clock that a runner's decisions are based on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

#: How long data that was read is current enough.
FRESH = timedelta(seconds=5)


@dataclass(frozen=True)
class Clock:
    """Returns the cloud's time, or a given one.

    :param seconds: a monotonic clock.
    :param at: the time that it always returns, None for the cloud's.
    """

    seconds: Callable[[], float] = time.monotonic
    at: datetime | None = None

    def time(self, cloud: datetime) -> datetime:
        """Return the time to base decisions on.

        :param cloud: the cloud's time.
        """
        return self.at or cloud


@dataclass(frozen=True)
class LookTime:
    """The time that decisions are based on, which advances during the steps.

    :param looked: the time when the clock's seconds were ``started``.
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
        """Whether data that was read then is still current enough."""
        return self.now - self.looked <= FRESH
