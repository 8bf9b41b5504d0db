"""The HTTP server of the program."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

# A page waits for the cloud, and others shall not wait for it.
_THREADS = 32


class Server:
    """Serves the panel on a socket that listens."""

    def __init__(self, app: Flask, listening: socket.socket) -> None:
        self._closed = threading.Event()
        self._connections: dict[int, Any] = {}
        self._server: Any = create_server(
            app,
            map=self._connections,
            sockets=[listening],
            threads=_THREADS,
            ident=None,
            # The application knows which proxies to believe.
            clear_untrusted_proxy_headers=False,
        )

    def run(self) -> None:
        """Serve until SystemExit or Ctrl-C, or until it is closed."""
        # Its warnings are of requests that wait for a thread, as they may.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        try:
            self._server.run()
        except OSError:
            # The loop may look at a socket that was closed a moment ago.
            if not self._closed.is_set():
                raise

    def close(self) -> None:
        """End all connections, also those that are kept alive."""
        # A thread that is about to end wakes the loop up, which must be there then.
        self._server.task_dispatcher.shutdown()
        self._closed.set()
        self._server.close()
        wasyncore.close_all(self._connections)
