"""The HTTP server of the panel, of the service's API and of its metrics.

waitress serves: it needs no thread for each connection. But its own limits let slow
clients keep others out: its time limit restarts with every byte, and at its limit of
connections it accepts no more. No other WSGI server limits the time of a whole request
and makes room for new connections either, so :class:`_Connections` does. It uses only
what every server has: the listening socket and the application.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waitress.server import create_server

from rax_scheduled_images_ext.programs.listening import address_of, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


#: The maximum bytes of a request's body.
LONGEST_BODY = 1024 * 1024
# The maximum number of connections.
_CONNECTIONS = 400
# The seconds that a connection may take to send a request, and to read the response.
_PATIENCE = 60.0


class Server:
    """Serves a WSGI application; accepts connections as soon as it is created.

    Slow connections keep nobody out: each has a time limit, and if there are too many,
    the oldest one of the address with the most connections is closed.

    :param port: 0 for any free one.
    :param threads: how many requests are answered at once.
    :param connections: the maximum number of connections.
    :param patience: how many seconds a connection may take to send a whole request, or
        to read the response.
    :raises CannotListen: if it cannot listen on the address.
    """

    def __init__(
        self,
        host: str,
        port: int,
        threads: int,
        *,
        connections: int = _CONNECTIONS,
        patience: float = _PATIENCE,
    ) -> None:
        self._threads = threads
        self._connections = _Connections(threads, connections, patience)
        self._listening = _Listening(listen(host, port), self._connections)
        self.port = int(self._listening.getsockname()[1])
        self.url = address_of(host, self.port)
        self._serving: threading.Thread | None = None

    def start(self, application: WSGIApplication) -> None:
        """Start to serve, in threads of this process."""
        # It warns of requests that wait for a thread, which is normal.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        server: Any = create_server(
            self._connections.watched(application),
            sockets=[self._listening],
            threads=self._threads,
            ident=None,
            asyncore_use_poll=True,
            # The application knows which proxies to trust.
            clear_untrusted_proxy_headers=False,
            max_request_body_size=LONGEST_BODY,
            # Never reached: connections are closed before that.
            connection_limit=2 * self._connections.most + self._threads + 10,
        )

        def serve() -> None:
            try:
                server.run()
            finally:
                server.close()
                self._connections.close()

        # Daemons: nobody may be reading the responses.
        self._serving = threading.Thread(target=serve, daemon=True)
        self._serving.start()
        threading.Thread(target=self._connections.watch, daemon=True).start()

    def stop(self) -> None:
        """Give requests in progress a few seconds, then close all connections."""
        self._listening.stopping = True
        if self._serving is None:
            self._listening.close()
            return
        # Wakes it: it waits for a connection.
        with suppress(OSError):
            name = self._listening.getsockname()[:2]
            socket.create_connection(name, timeout=1).close()
        self._serving.join()


class _Listening(socket.socket):
    """A listening socket that reports what it accepts, and can stop its server."""

    def __init__(self, bound: socket.socket, connections: _Connections) -> None:
        family, kind, protocol = bound.family, bound.type, bound.proto
        super().__init__(family, kind, protocol, fileno=bound.detach())
        self._connections = connections
        self.stopping = False

    def accept(self) -> tuple[socket.socket, Any]:
        if self.stopping:
            # This is what stops waitress.
            raise SystemExit
        accepted, address = super().accept()
        self._connections.add(accepted, address)
        return accepted, address


@dataclass
class _Connection:
    """``since`` is when the server started to wait for it, None if it does not."""

    socket: socket.socket
    since: float | None
    is_closed: bool = False


class _Connections:
    """The connections of a server, none of which may keep it waiting too long."""

    def __init__(self, threads: int, most: int, patience: float) -> None:
        self.most = most
        self._threads, self._patience = threads, patience
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int], _Connection] = {}
        self._answering = 0
        # When all threads were last busy: a connection may have waited for them.
        self._full = 0.0
        self._ended = threading.Event()

    def add(self, accepted: socket.socket, address: Any) -> None:
        """Watch a connection."""
        host, port = address[:2]
        with self._lock:
            self._open[host, port] = _Connection(accepted, time.monotonic())
        self._close_slow_ones()

    def watch(self) -> None:
        """Close slow connections until all are closed."""
        while not self._ended.wait(1.0):
            self._close_slow_ones()

    def watched(self, application: WSGIApplication) -> WSGIApplication:
        """Return an application whose connections are not timed while it works."""

        def answer(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            with self._answered(environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])):
                content = application(environ, start_response)
                try:
                    yield from content
                finally:
                    getattr(content, "close", lambda: None)()

        return answer

    @contextmanager
    def _answered(self, host: str, port: int) -> Iterator[None]:
        connection = self._open.get((host, port))
        self._set_busy(connection, +1)
        try:
            yield
        finally:
            self._set_busy(connection, -1)

    def _set_busy(self, connection: _Connection | None, change: int) -> None:
        now = time.monotonic()
        with self._lock:
            if connection is not None:
                connection.since = None if change > 0 else now
            if self._threads in (self._answering, self._answering + change):
                self._full = now
            self._answering += change

    def _close_slow_ones(self) -> None:
        now = time.monotonic()
        with self._lock:
            # Drop those that waitress has closed.
            self._open = {k: c for k, c in self._open.items() if c.socket.fileno() >= 0}
            known = {k: c for k, c in self._open.items() if not c.is_closed}
            waiting = {k: c.since for k, c in known.items() if c.since is not None}
            full = now if self._answering >= self._threads else self._full
            slow = {
                key
                for key, since in waiting.items()
                if now - max(since, full) > self._patience
            }
            if waiting and len(known) - len(slow) > self.most:
                # The oldest one of the host with the most.
                hosts = Counter(host for host, _ in waiting)
                slow.add(max(waiting, key=lambda k: (hosts[k[0]], -waiting[k])))
            for each in map(known.__getitem__, slow):
                each.is_closed = True
                # waitress finds it closed, and closes its side.
                with suppress(OSError):
                    each.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all when the server has stopped."""
        self._ended.set()
        with self._lock:
            for each in self._open.values():
                each.socket.close()
