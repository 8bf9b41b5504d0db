"""Many threads on one session: enough connections, and one pace for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from keystoneauth1.plugin import BaseAuthPlugin
    from keystoneauth1.session import Session

Result = TypeVar("Result")

#: The maximum number of concurrent requests. More would gain little: a Python program
#: is then busy with the responses.
WORKERS = 24


class Throttle:
    """A context for each request; when a service is busy, all requests slow down.

    It is what keystoneauth calls a rate semaphore. After a pause one request is sent,
    preferably one that was refused before; with each response one more may run
    concurrently. A request waits only for requests in progress and for others that
    wait, never for a thread that has left.

    ``last_answer`` is when the last response came, by the clock; None before the first.
    """

    def __init__(
        self, most: int = WORKERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.last_answer: float | None = None
        self._most = float(most)
        self._allowed = float(most)
        self._clock = clock
        self._change = threading.Condition()
        self._running = 0
        # How many of the waiting ones were refused before.
        self._refused = 0
        self._opens = 0.0
        self._thread = threading.local()

    def __enter__(self) -> None:
        """Wait until one more request may be sent, and count it while in progress."""
        again = getattr(self._thread, "refused", False)
        self._thread.refused = False
        with self._change:
            self._refused += again
            try:
                while (wait := self._obstacle(again)) is not None:
                    self._change.wait(wait or None)
                self._running += 1
            finally:
                self._refused -= again
                self._change.notify_all()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._change:
            if error is None:
                self.last_answer = self._clock()
            self._running -= 1
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
            self._change.notify_all()

    def pause(self, seconds: float) -> None:
        """Hold back all requests for a while, then let this thread go first.

        It returns at once: the thread's next request waits.
        """
        self.slow_down(seconds)
        self._thread.refused = True

    def slow_down(self, seconds: float) -> None:
        """Hold back all requests for a while; the refused one is not repeated."""
        with self._change:
            self._opens = max(self._opens, self._clock() + seconds)
            self._allowed = 1.0

    def _obstacle(self, again: bool) -> float | None:
        """Return how long to wait: 0 until something changes, None not at all."""
        closed = self._opens - self._clock()
        if closed > 0:
            return closed
        if self._running >= int(self._allowed) or (self._refused and not again):
            return 0.0
        return None


def make_room(session: Session, auth: BaseAuthPlugin | None, workers: int) -> None:
    """Prepare a keystoneauth session for this many threads.

    It gets as many connections, and a token, so that the threads do not all request
    one.
    """
    session.get_token(auth)
    widen(session, workers)


def widen(session: Session, workers: int) -> None:
    """Give a session this many connections to each service."""
    adapters: set[Any] = set(session.session.adapters.values())
    for adapter in adapters:
        adapter.close()
        # These may be the classes with a time limit.
        classes = adapter.poolmanager.pool_classes_by_scheme
        adapter.init_poolmanager(workers, workers)
        adapter.poolmanager.pool_classes_by_scheme = classes


def started(call: Callable[[], Result]) -> Future[Result]:
    """Start a call in another thread; return what will have its result."""
    result: Future[Result] = Future()

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    # A daemon: a program that ends does not wait for what it does not need.
    threading.Thread(target=work, daemon=True).start()
    return result
