"""Many threads over one session: room for their connections, and one pace for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keystoneauth1.plugin import BaseAuthPlugin
    from keystoneauth1.session import Session

#: How many requests are under way at most. More would gain little: a program in
#: Python is busy with the answers by then.
WORKERS = 24


class Throttle:
    """A context for each request; when one meets a busy service, all slow down.

    It is what keystoneauth calls a rate semaphore. After a pause one request goes,
    those first that were refused before; with each answer one more request may
    go side by side.
    """

    def __init__(
        self, most: int = WORKERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = float(most)
        self._allowed = float(most)
        self._clock = clock
        self._change = threading.Condition()
        self._running = 0
        self._refused = 0
        self._opens = 0.0
        self._thread = threading.local()

    def __enter__(self) -> None:
        """Wait until one more request may go, and count it while it is under way."""
        again = getattr(self._thread, "refused", False)
        with self._change:
            while (wait := self._obstacle(again)) is not None:
                self._change.wait(wait or None)
            self._running += 1
            self._thread.refused = False
            if again:
                self._refused -= 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._change:
            self._running -= 1
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
            self._change.notify_all()

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while; this thread's next request goes first."""
        with self._change:
            self.slow_down(seconds)
            self._refused += 1
            self._thread.refused = True

    def slow_down(self, seconds: float) -> None:
        """Let nobody through for a while; whoever was refused does not come again."""
        with self._change:
            self._opens = max(self._opens, self._clock() + seconds)
            self._allowed = 1.0

    def _obstacle(self, again: bool) -> float | None:
        """Return for how long to wait: 0 until something changes, None not at all."""
        closed = self._opens - self._clock()
        if closed > 0:
            return closed
        if self._running >= int(self._allowed) or (self._refused and not again):
            return 0.0
        return None


def make_room(session: Session, auth: BaseAuthPlugin | None, workers: int) -> None:
    """Prepare a keystoneauth session for this many threads.

    It gets room for as many connections, and a token, so that not each thread asks
    for one.
    """
    session.get_token(auth)
    widen(session, workers)


def widen(session: Session, workers: int) -> None:
    """Give a session room for this many connections to each service."""
    adapters: set[Any] = set(session.session.adapters.values())
    for adapter in adapters:
        adapter.close()
        adapter.init_poolmanager(workers, workers)
