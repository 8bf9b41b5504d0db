"""The HTTP server of the panel and of the service's API."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Server:
    """Serves a WSGI application on a bound socket.

    :param threads: how many requests are answered at once.
    """

    def __init__(
        self, application: WSGIApplication, listening: socket.socket, threads: int
    ) -> None:
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
        )

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
        wasyncore.loop(timeout=seconds, map=self._connections, count=1)

    def stop(self, grace: float = 5.0) -> None:
        """End all connections, those kept alive too.

        :param grace: seconds that requests under way are given.
        """
        self._server.task_dispatcher.shutdown(timeout=grace)
        # In the loop's own thread: another might find what wakes it closed already.
        self._server.trigger.pull_trigger(self._stopped.set)
