"""One pool of connections and one pace for all threads that send requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rax_scheduled_images_ext.client.http import RetryPolicy

Item = TypeVar("Item")
Result = TypeVar("Result")


#: How many requests are under way at most. More would gain little: a program in
#: Python is busy with the answers by then.
WORKERS = 24


# Of many that a cloud lets through few at a time, some are refused more than once.
_TRIES, _SECONDS = 10, 600.0


class Throttle:
    """Lets requests through; when one meets a busy service, all slow down.

    After a pause one request goes, those first that were refused before; with
    each one that comes back more may go side by side.
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

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until one more request may go, and count it while it is under way."""
        again = getattr(self._thread, "refused", False)
        with self._change:
            while (wait := self._obstacle(again)) is not None:
                self._change.wait(wait or None)
            self._running += 1
            self._thread.refused = False
            if again:
                self._refused -= 1
        try:
            yield
        finally:
            with self._change:
                self._running -= 1
                self._allowed = min(self._most, self._allowed + 1 / self._allowed)
                self._change.notify_all()

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while; this thread's next request goes first."""
        with self._change:
            self._opens = max(self._opens, self._clock() + seconds)
            self._allowed = 1.0
            self._refused += 1
            self._thread.refused = True

    def _obstacle(self, again: bool) -> float | None:
        """Return for how long to wait: 0 until something changes, None not at all."""
        closed = self._opens - self._clock()
        if closed > 0:
            return closed
        if self._running >= int(self._allowed) or (self._refused and not again):
            return 0.0
        return None


class SharedClient:
    """A novaclient ``SessionClient`` for several threads; in all else the same.

    :class:`.transport.Transport` finds its ``retry_policy`` here: who is asked to
    come again later says so to all the others.
    """

    def __init__(self, client: Any, throttle: Throttle) -> None:
        self._client = client
        self.throttle = throttle
        self.retry_policy = RetryPolicy(_TRIES, _SECONDS, sleep=throttle.pause)

    def request(self, url: str, method: str, **options: Any) -> Any:
        """Send a request when it is its turn."""
        with self.throttle.turn():
            return self._client.request(url, method, **options)

    def in_step(self, other: Any) -> SharedClient:
        """Share another client of the same session; busy services slow both down."""
        return SharedClient(other, self.throttle)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def share(client: Any, workers: int = WORKERS) -> SharedClient:
    """Prepare a novaclient ``SessionClient`` for so many threads.

    Its session gets room for as many connections, and a token, so that not each
    thread asks for one. One that is prepared already stays as it is.
    """
    if isinstance(client, SharedClient):
        return client
    client.session.get_token(client.auth)
    for adapter in set(client.session.session.adapters.values()):
        adapter.close()
        adapter.init_poolmanager(workers, workers)
    return SharedClient(client, Throttle(workers))
