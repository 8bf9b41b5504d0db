"""Whether the service is alive, and whether it works."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from rax_scheduled_images_ext.client.pool import Throttle

#: Seconds without a response of the cloud, or without the end of a scan.
SILENCE = 600.0
# How many intervals without the end of a scan are too many.
_LOOKS = 10


class Health:
    """Judges the service by the cloud's responses and the scans that end.

    :param every: seconds between two scans.
    :ivar throttle: knows when the cloud last responded, once there is one; it uses the
        same clock.
    """

    #: The default interval of `run`.
    EVERY = 60.0

    def __init__(
        self, every: float = EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.throttle: Throttle | None = None
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        # Since when a response is expected, of the first scan or of the next one.
        self._expected = clock()
        self._ended = self._expected
        self._good = True

    def looked(self, good: bool) -> None:
        """Record that a scan has ended, and whether it succeeded."""
        with self._lock:
            now = self._clock()
            if self._answered >= self._expected - self._every:
                self._expected = now + self._every
            self._ended, self._good = now, good

    def lifeless(self) -> str | None:
        """Return why the service should be restarted, None if it should not.

        A scan may take any time as long as the cloud responds.
        """
        with self._lock:
            since = max(self._expected, self._answered)
            silent = self._clock() - since
        return _sentence("no response from the cloud", silent, SILENCE)

    def unready(self) -> str | None:
        """Return why the service does not work, None if it does."""
        with self._lock:
            if not self._good:
                return "the last scan failed"
            ended = self._clock() - self._ended
        return _sentence("no scan has ended", ended, max(SILENCE, _LOOKS * self._every))

    @property
    def _answered(self) -> float:
        """When the cloud last responded, minus infinity for never."""
        answered = self.throttle.last_answer if self.throttle else None
        return -math.inf if answered is None else answered


def _sentence(what: str, seconds: float, limit: float) -> str | None:
    return f"{what} for {seconds:.0f} s" if seconds > limit else None
