"""The sandbox's HTTP server: werkzeug's, with persistent connections.

The request handler is ours because werkzeug's closes each connection after one response
and answers 500 where the application does not answer. Clients are to be tested on
connections that stay open, that end without a response, and that break off during one.
"""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from rax_scheduled_images_ext.programs.listening import listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

# Seconds after which an idle connection is closed.
_IDLE = 300
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Server(ThreadedWSGIServer):
    """Serves a WSGI application; accepts connections as soon as it is created.

    If the application starts no response, or sends less content than its
    ``Content-Length``, the connection ends.

    :param port: 0 for any free one.
    :raises CannotListen: if it cannot listen on the address.
    """

    host: str

    def __init__(self, host: str, port: int) -> None:
        # Bound here, because werkzeug ends the process if that fails.
        with listen(host, port) as it:
            super().__init__(host, port, _no_answer, _Handler, fd=it.fileno())
        self.host = str(self.server_address[0])
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, application: WSGIApplication) -> None:
        """Start to serve, in the background."""
        self.app = application
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and wait for the threads to end."""
        self._stopping = True
        if self._thread is not None:
            # Wakes it: it waits for a connection.
            with contextlib.suppress(OSError):
                socket.create_connection((self.host, self.port), timeout=1).close()
            self._thread.join()
        for thread, connection in self._connections.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.server_close()

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def process_request(self, request: Any, client_address: Any) -> None:
        # Daemons, so that a server that was not stopped lets the process end.
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            daemon=True,
        )
        alive = {t: each for t, each in self._connections.items() if t.is_alive()}
        self._connections = alive | {thread: request}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # That a client went away is not our error.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    """One connection: reads requests and writes the application's responses."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # One packet per response.
    wbufsize = -1
    timeout = _IDLE

    def run_wsgi(self) -> None:
        try:
            environ = self._environ()
        except (OSError, ValueError):
            self.close_connection = True
            self.send_error(HTTPStatus.BAD_REQUEST, "Bad request")
            return
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(
            status: str, headers: list[tuple[str, str]], _exc_info: object = None
        ) -> Callable[[bytes], object]:
            started.append((status, headers))
            return self.wfile.write

        result = self.server.app(environ, start)
        try:
            content = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        if started:
            self._answer(*started[-1], content)
        else:
            self.close_connection = True

    def _environ(self) -> WSGIEnvironment:
        """Read the whole request, so that the next one can follow.

        :raises OSError: for an invalid chunk.
        :raises ValueError: for an invalid address or length.
        """
        self.wfile.flush()  # "100 Continue", for which some clients wait.
        environ = self.make_environ()
        whole = environ["wsgi.input"]
        if "wsgi.input_terminated" in environ:
            body = whole.read()
        else:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if length < 0 or len(body := whole.read(length)) < length:
                raise ValueError
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return environ

    def _answer(
        self, status: str, headers: list[tuple[str, str]], content: bytes
    ) -> None:
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        length = len(content)
        for name, value in headers:
            if name.lower() == "content-length":
                length = int(value)
            else:
                self.send_header(name, value)
        bare = int(code) in _WITHOUT_CONTENT
        if not bare:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD" and not bare:
            self.wfile.write(content)
            # The content is shorter than its Content-Length: close to show it.
            self.close_connection = self.close_connection or length > len(content)
        self.wfile.flush()

    def finish(self) -> None:
        # Closing fails if the client has gone before its response.
        try:
            super().finish()
        finally:
            self.rfile.close()

    def version_string(self) -> str:
        return "scheduled-images-sandbox"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Print nothing: the dispatcher records requests."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """As above; werkzeug's fails on an invalid address."""


def _no_answer(_environ: WSGIEnvironment, _start: object) -> list[bytes]:
    return []
