"""The time by which a look decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: For how long what was read need not be read again.
FRESH = timedelta(seconds=5)


@dataclass(frozen=True)
class LookTime:
    """The time by which a look decides, and how it goes on while steps are done.

    :param looked: the time that was when the clock showed ``started``.
    :param clock: seconds that never go back.
    :param speed: how many times faster time passes.
    """

    looked: datetime
    started: float
    clock: Callable[[], float]
    speed: float = 1.0

    @property
    def now(self) -> datetime:
        """The present time."""
        passed = (self.clock() - self.started) * self.speed
        return self.looked + timedelta(seconds=passed)

    @property
    def is_fresh(self) -> bool:
        """Whether what was read by then need not be read again."""
        return self.now - self.looked <= FRESH


@dataclass(frozen=True)
class Clock:
    """Whose time looks decide by: the cloud's, or one that is given.

    :param seconds: seconds that never go back.
    :param speed: how many times faster time passes.
    :param at: the time that is when the clock is made, None for the cloud's.
    """

    seconds: Callable[[], float] = time.monotonic
    speed: float = 1.0
    at: datetime | None = None
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_began", self.seconds())

    def looked(self, started: float, date: datetime) -> LookTime:
        """Return the time of a look.

        :param started: what ``seconds`` was when its first request was sent.
        :param date: the time that the cloud has named in its answer.
        """
        if self.at is not None:
            passed = (started - self._began) * self.speed
            date = self.at + timedelta(seconds=passed)
        return LookTime(date, started, self.seconds, self.speed)
