"""The HTTP server of the panel, of the service's API and of its metrics.

waitress serves: it reads and writes without a thread for each connection. But its own
limits let slow clients keep others out: its time limit starts anew with every byte, and
at its limit of connections it accepts no more. No other WSGI server limits a whole
request and makes room for new connections either, so :class:`_Connections` does, and
sees of a server only what any has: the listening socket and the application.
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


#: How many bytes the content of a request may have.
LONGEST_BODY = 1024 * 1024
# How many connections there may be.
_CONNECTIONS = 400
# Seconds that a connection may take to send a request, and to read the response.
_PATIENCE = 60.0


class Server:
    """Serves a WSGI application; accepts connections as soon as it is made.

    Slow connections keep nobody out: each has a limit, and where there are too many,
    the oldest of the address that has most of them is closed.

    :param port: 0 for any free one.
    :param threads: how many requests are answered at once.
    :param connections: how many connections there may be.
    :param patience: how many seconds a connection may keep the server waiting: for a
        whole request, or for its response to be read.
    :raises CannotListen: if the address cannot be had.
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
        """Serve from now on, in threads of this process."""
        # Its warnings are of requests that wait for a thread, as they may.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        server: Any = create_server(
            self._connections.watched(application),
            sockets=[self._listening],
            threads=self._threads,
            ident=None,
            asyncore_use_poll=True,
            # The application knows which proxies to believe.
            clear_untrusted_proxy_headers=False,
            max_request_body_size=LONGEST_BODY,
            # Never reached: before that, some are closed.
            connection_limit=2 * self._connections.most + self._threads + 10,
        )

        def serve() -> None:
            try:
                server.run()
            finally:
                server.close()
                self._connections.close()

        # Daemons: answers may have no one who reads them.
        self._serving = threading.Thread(target=serve, daemon=True)
        self._serving.start()
        threading.Thread(target=self._connections.watch, daemon=True).start()

    def stop(self) -> None:
        """Give requests under way a few seconds, and end all connections."""
        self._listening.stopping = True
        if self._serving is None:
            self._listening.close()
            return
        # It waits for a connection, so it is given one.
        with suppress(OSError):
            name = self._listening.getsockname()[:2]
            socket.create_connection(name, timeout=1).close()
        self._serving.join()


class _Listening(socket.socket):
    """A listening socket that reports what it accepts, and can end its server."""

    def __init__(self, bound: socket.socket, connections: _Connections) -> None:
        family, kind, protocol = bound.family, bound.type, bound.proto
        super().__init__(family, kind, protocol, fileno=bound.detach())
        self._connections = connections
        self.stopping = False

    def accept(self) -> tuple[socket.socket, Any]:
        if self.stopping:
            # This is how waitress is told to end.
            raise SystemExit
        accepted, address = super().accept()
        self._connections.add(accepted, address)
        return accepted, address


@dataclass
class _Connection:
    """``since`` is when it began to keep the server waiting; None: it does not."""

    socket: socket.socket
    since: float | None
    is_closed: bool = False


class _Connections:
    """The connections of a server, of which none may keep it waiting for too long."""

    def __init__(self, threads: int, most: int, patience: float) -> None:
        self.most = most
        self._threads, self._patience = threads, patience
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int], _Connection] = {}
        self._answering = 0
        # When all threads were busy last: whoever waits may have waited for them.
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
        """Return an application whose connections wait for it meanwhile."""

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
            # Without those that waitress has closed.
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
                # The oldest of the host that has most of them.
                hosts = Counter(host for host, _ in waiting)
                slow.add(max(waiting, key=lambda k: (hosts[k[0]], -waiting[k])))
            for each in map(known.__getitem__, slow):
                each.is_closed = True
                # waitress finds it at its end, and closes it too.
                with suppress(OSError):
                    each.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all, when the server has ended."""
        self._ended.set()
        with self._lock:
            for each in self._open.values():
                each.socket.close()
