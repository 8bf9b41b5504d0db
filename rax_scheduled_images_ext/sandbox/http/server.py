"""The sandbox's HTTP server: werkzeug's, with connections that are kept alive.

The handler of requests is ours because werkzeug's closes each connection after one
answer and answers 500 where the application gives none, while clients are to be tried
on connections that stay, that end without an answer, and that break off within one.
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

# Seconds after which a connection on which nothing is said is closed.
_IDLE = 300
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Server(ThreadedWSGIServer):
    """Serves a WSGI application; connections are accepted from its making on.

    An application that starts no answer gives none: the connection ends. So it
    does after content that is shorter than its ``Content-Length``.

    :param port: 0 takes any free one.
    :raises CannotListen: where the address cannot be had.
    """

    host: str

    def __init__(self, host: str, port: int) -> None:
        # Not bound by werkzeug, which ends the process where that fails.
        with listen(host, port) as it:
            super().__init__(host, port, _no_answer, _Handler, fd=it.fileno())
        self.host = str(self.server_address[0])
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, application: WSGIApplication) -> None:
        """Serve from now on, in the background."""
        self.app = application
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections and wait until nothing is left running."""
        self._stopping = True
        if self._thread is not None:
            # It waits for a connection, so it is given one.
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
        # Daemons, so that a server that was not stopped does not keep the process.
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            daemon=True,
        )
        alive = {t: each for t, each in self._connections.items() if t.is_alive()}
        self._connections = alive | {thread: request}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no error of ours.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    """One connection: reads requests and writes what the application answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # One packet an answer.
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
        """Read all of the request, so that the next one can follow.

        :raises OSError: for chunks that are none.
        :raises ValueError: for an address or a length that is none.
        """
        self.wfile.flush()  # "100 Continue", without which some send nothing.
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
            # The content is shorter than announced: closing the connection shows it.
            self.close_connection = self.close_connection or length > len(content)
        self.wfile.flush()

    def finish(self) -> None:
        # Closing fails where the client is gone before its answer.
        try:
            super().finish()
        finally:
            self.rfile.close()

    def version_string(self) -> str:
        return "scheduled-images-sandbox"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Print nothing: the dispatcher records requests."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """As above; werkzeug's fails at an address that is none."""


def _no_answer(_environ: WSGIEnvironment, _start: object) -> list[bytes]:
    return []
