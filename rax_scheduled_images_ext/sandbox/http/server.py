"""A small HTTP server: threads, connections that are kept alive."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

# Seconds after which a connection on which nothing is said is closed.
_IDLE = 300


class Server(ThreadingMixIn, TCPServer):
    """Serves a WSGI application; listens from its making on.

    An application that begins no answer gives none: the connection ends. So it
    does behind content that is shorter than its ``Content-Length``.

    :param port: 0 takes any free one.
    :raises OSError: where the address cannot be had.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)
        self.application: WSGIApplication | None = None
        self._open: set[socket.socket] = set()
        self._serving: list[threading.Thread] = []
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """The address listened on."""
        return str(self.server_address[0])

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self.server_address[1])

    def start(self, application: WSGIApplication) -> None:
        """Serve from now on, in the background."""
        self.application = application
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections and wait until nothing is left running."""
        self._stopping = True
        if self._thread is not None:
            self._wake()
            self._thread.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # Also those whose connection is closed already.
        for thread in self._serving:
            thread.join()
        self.server_close()

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def _wake(self) -> None:
        # The thread waits for a connection, so it is given one.
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=1).close()

    def process_request(self, request: Any, client_address: Any) -> None:
        # Daemons, so that a server that was not stopped does not keep the process.
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            daemon=True,
        )
        self._open.add(request)
        self._serving = [each for each in self._serving if each.is_alive()]
        self._serving.append(thread)
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no error of ours.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests and writes what the application answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # One packet an answer.
    wbufsize = -1
    timeout = _IDLE
    server: Server

    def setup(self) -> None:
        super().setup()
        # How the application has begun its answer to the present request.
        self._started: list[tuple[str, list[tuple[str, str]]]] = []

    def finish(self) -> None:
        # Closing fails where the client is gone before its answer.
        try:
            super().finish()
        finally:
            self.rfile.close()

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self.send_error(400, "Bad request body")
            return
        application = self.server.application
        assert application is not None
        self._started.clear()
        result = application(self._environ(body), self._begin)
        try:
            content = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        if self._started:
            self._answer(*self._started[-1], content)
        else:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _begin(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Any:
        self._started.append((status, headers))
        return self.wfile.write

    def _answer(
        self, status: str, headers: list[tuple[str, str]], content: bytes
    ) -> None:
        code, _, reason = status.partition(" ")
        self.log_request(code)
        self.send_response_only(int(code), reason)
        length = len(content)
        for name, value in headers:
            if name.lower() == "content-length":
                length = int(value)
            elif name.lower() != "server":
                self.send_header(name, value)
        bare = int(code) in (204, 304)
        if not bare:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD" and not bare:
            self.wfile.write(content)
            # The content is shorter than announced: closing the connection shows it.
            self.close_connection = self.close_connection or length > len(content)
        self.wfile.flush()

    def _body(self) -> bytes | None:
        """Read all of the request, so that the next one can follow."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _chunks(self) -> bytes | None:
        whole = b""
        try:
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
        except ValueError:
            return None
        while self.rfile.readline().strip():
            pass  # What follows the last chunk are headers, which say nothing.
        return whole

    def _environ(self, body: bytes) -> WSGIEnvironment:
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": self.server.host,
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = f"HTTP_{name.upper().replace('-', '_')}"
            if "_" not in name and key not in (
                "HTTP_CONTENT_TYPE",
                "HTTP_CONTENT_LENGTH",
                "HTTP_TRANSFER_ENCODING",
            ):
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def version_string(self) -> str:
        return "scheduled-images-sandbox"

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the dispatcher records requests."""
