"""The HTTP server of the panel and of the service's API."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


#: How many bytes the content of a request may have.
LONGEST_BODY = 1024 * 1024
# How many connections there may be, besides those that are about to be closed.
_CONNECTIONS = 400
# Seconds that a connection may take to send a request, and to read the response.
_PATIENCE = 60.0


class _Channel(HTTPChannel):
    """A connection that knows since when it keeps the server waiting."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.waiting_since = time.monotonic()
        super().__init__(*args, **options)

    def service(self) -> None:
        super().service()
        self.waiting_since = time.monotonic()


class Server:
    """Serves a WSGI application on a bound socket.

    Slow connections keep nobody out: each has a limit, and where there are too many,
    the oldest of the address that has most of them is closed.

    :param threads: how many requests are answered at once.
    :param connections: how many connections there may be.
    :param patience: how many seconds a connection may keep the server waiting: for a
        whole request, or for its response to be read.
    """

    def __init__(
        self,
        application: WSGIApplication,
        listening: socket.socket,
        threads: int,
        *,
        connections: int = _CONNECTIONS,
        patience: float = _PATIENCE,
    ) -> None:
        self._most, self._patience = connections, patience
        # Its warnings are of requests that wait for a thread, as they may.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._stopped = threading.Event()
        self._connections: dict[int, Any] = {}
        self._server: Any = create_server(
            application,
            map=self._connections,
            sockets=[listening],
            threads=threads,
            ident=None,
            # The application knows which proxies to believe.
            clear_untrusted_proxy_headers=False,
            max_request_body_size=LONGEST_BODY,
            # Never reached: before that, some are closed.
            connection_limit=2 * connections + 10,
        )
        self._server.channel_class = _Channel  # type: ignore[union-attr]

    def run(self) -> None:
        """Serve until it is stopped, or until SystemExit or Ctrl-C."""
        try:
            while not self._stopped.is_set():
                self._look(seconds=1.0)
            # What was answered last is sent.
            self._look(seconds=0.0)
        except (SystemExit, KeyboardInterrupt):
            self._server.task_dispatcher.shutdown()
        finally:
            wasyncore.close_all(self._connections)

    def _look(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._connections, count=1)
        self._close_slow_ones()

    def _close_slow_ones(self) -> None:
        channels = list(self._server.active_channels.values())
        # Where a request is being answered, nobody waits for the connection.
        waiting = [each for each in channels if not each.requests]
        longest = time.monotonic() - self._patience
        slow = [each for each in waiting if each.waiting_since < longest]
        if waiting and len(channels) - len(slow) > self._most:
            slow = [*slow, self._oldest_of_the_most(waiting)]
        for channel in slow:
            channel.will_close = True

    def _oldest_of_the_most(self, waiting: list[Any]) -> Any:
        """Return the oldest connection of the address that has most of them."""
        count = Counter(each.addr[0] for each in waiting)
        return max(waiting, key=lambda each: (count[each.addr[0]], -each.waiting_since))

    def stop(self, grace: float = 5.0) -> None:
        """End all connections, those kept alive too.

        :param grace: seconds that requests under way are given.
        """
        self._server.task_dispatcher.shutdown(timeout=grace)
        # In the loop's own thread: another might find what wakes it closed already.
        self._server.trigger.pull_trigger(self._stopped.set)
