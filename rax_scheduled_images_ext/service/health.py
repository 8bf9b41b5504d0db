"""Whether the service is alive, and whether it does its work."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from rax_scheduled_images_ext.client.pool import Throttle

#: Seconds without an answer of the cloud, or without the end of a look.
SILENCE = 600.0
# How many times the pace of the looks is long.
_LOOKS = 10


class Health:
    """Judges the service by the answers that it gets and the looks that end.

    :param every: seconds between two looks.
    :ivar throttle: what knows when the cloud answered last, once there is one; its
        clock is the same.
    """

    #: The pace of `run`, unless it is told another.
    EVERY = 60.0

    def __init__(
        self, every: float = EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.throttle: Throttle | None = None
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        # Since when an answer is expected: of the first look, or of the one that comes.
        self._expected = clock()
        self._ended = self._expected
        self._good = True

    def looked(self, good: bool) -> None:
        """Note that a look has ended, and whether it did what it should."""
        with self._lock:
            now = self._clock()
            if self._answered >= self._expected - self._every:
                self._expected = now + self._every
            self._ended, self._good = now, good

    def lifeless(self) -> str | None:
        """Return why the service should be started again, None if it should not.

        A look may take as long as it likes, as long as the cloud answers.
        """
        with self._lock:
            since = max(self._expected, self._answered)
            silent = self._clock() - since
        return _sentence("no answer of the cloud", silent, SILENCE)

    def unready(self) -> str | None:
        """Return why the service does not do its work, None if it does."""
        with self._lock:
            if not self._good:
                return "the last look failed"
            ended = self._clock() - self._ended
        return _sentence("no look has ended", ended, max(SILENCE, _LOOKS * self._every))

    @property
    def _answered(self) -> float:
        """When the cloud answered last, before all time for never."""
        answered = self.throttle.last_answer if self.throttle else None
        return -math.inf if answered is None else answered


def _sentence(what: str, seconds: float, limit: float) -> str | None:
    return f"{what} for {seconds:.0f} s" if seconds > limit else None
