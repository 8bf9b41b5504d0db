"""A gate before each service: it counts what passes, and fails on demand."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase

from ..cloud.layout import HOST

_CHUNK = 1 << 16
# What belongs to a connection, not to what it carries.
_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))
_BODILESS = (204, 304)
_UNAVAILABLE = b'{"message": "Service Unavailable"}'


@dataclass
class Passage:
    """A request that came to the gate.

    :param is_tool: whether a tool has sent it, and not a service of the cloud.
    :param status: that of the response; 0 for none.
    :param sent: the bytes of its body, and ``received`` those of the response's.
    """

    service: str
    is_tool: bool
    method: str
    path: str
    status: int = 0
    sent: int = 0
    received: int = 0


@dataclass
class Fault:
    """What happens to certain requests.

    :param of: which ones.
    :param times: how many of them; None for all.
    :param refused: they get 503. Otherwise they are passed on until the connection is
        cut:
    :param after: after so many bytes of a body; None for all but the response.
    :param reached: set when it happens for the first time.
    :param go_on: the connection is cut only when this is set.
    """

    of: Callable[[Passage], bool]
    times: int | None = 1
    refused: bool = False
    after: int | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def hits(self, passage: Passage) -> bool:
        """Whether it happens to this request, which then counts."""
        if not self.of(passage) or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Lost(Exception):
    """The connection is to be cut."""


class Gate:
    """Servers on other ports than those of the services.

    :param ports: the port of the gate and that of the service, by the service's name.
    """

    def __init__(self, ports: Mapping[str, tuple[int, int]]) -> None:
        self.passages: list[Passage] = []
        self.fault: Fault | None = None
        self.lock = threading.Lock()
        self._servers = [
            _Server((HOST, mine), partial(_Handler, self, name, theirs))
            for name, (mine, theirs) in ports.items()
        ]

    @contextmanager
    def open(self) -> Iterator[Gate]:
        """Serve."""
        for server in self._servers:
            threading.Thread(
                target=server.serve_forever, args=(0.05,), daemon=True
            ).start()
        try:
            yield self
        finally:
            for server in self._servers:
                server.shutdown()
                server.server_close()

    @contextmanager
    def failing(self, fault: Fault | None) -> Iterator[None]:
        """Let something happen to requests."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    def hit(self, passage: Passage) -> Fault | None:
        """Return what is to happen to a request that has come."""
        with self.lock:
            self.passages.append(passage)
            fault = self.fault
            return fault if fault is not None and fault.hits(passage) else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, gate: Gate, service: str, port: int, *arguments: object) -> None:
        self.gate, self.service, self.port = gate, service, port
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def handle_one_request(self) -> None:
        """Take one request of a connection, whatever its method."""
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(_CHUNK)
        if not self.raw_requestline or not self.parse_request():
            return
        # Nova sends a token of its own along.
        is_tool = "X-Service-Token" not in self.headers
        passage = Passage(self.service, is_tool, self.command, self.path)
        fault = self.gate.hit(passage)
        upstream = http.client.HTTPConnection(HOST, self.port)
        try:
            if fault is not None and fault.refused:
                self._refuse(passage, fault)
            else:
                self._pass_on(upstream, passage, fault)
        except (Lost, OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            upstream.close()
            with suppress(OSError):
                self.wfile.flush()
        if self.close_connection:
            # The descriptor lives on in the files of the connection.
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, passage: Passage, fault: Fault) -> None:
        for _ in _body(self.headers, self.rfile):
            pass
        passage.status = 503
        fault.reached.set()
        self.send_response_only(503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_UNAVAILABLE)))
        self.end_headers()
        self.wfile.write(_UNAVAILABLE)

    def _pass_on(
        self,
        upstream: http.client.HTTPConnection,
        passage: Passage,
        fault: Fault | None,
    ) -> None:
        upstream.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                upstream.putheader(name, value)
        length = self.headers.get("Content-Length")
        is_chunked = "Transfer-Encoding" in self.headers
        if length is not None:
            upstream.putheader("Content-Length", length)
        if is_chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        for data in _body(self.headers, self.rfile):
            passage.sent += len(data)
            upstream.send(_framed(data) if is_chunked else data)
            _cut(fault, passage.sent)
        if is_chunked:
            upstream.send(_framed(b""))
        response = upstream.getresponse()
        passage.status = response.status
        if fault is not None and fault.after is None:
            _cut(fault, None)
        self._answer(response, passage, fault)

    def _answer(
        self, response: http.client.HTTPResponse, passage: Passage, fault: Fault | None
    ) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        is_empty = self.command == "HEAD" or response.status in _BODILESS
        length = response.getheader("Content-Length")
        is_chunked = length is None and not is_empty
        if length is not None:
            self.send_header("Content-Length", length)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not is_empty and (data := response.read(_CHUNK)):
            passage.received += len(data)
            self.wfile.write(_framed(data) if is_chunked else data)
            _cut(fault, passage.received)
        if is_chunked:
            self.wfile.write(_framed(b""))


def _cut(fault: Fault | None, passed: int | None) -> None:
    """Raise once enough has passed; until the fault may go on, nothing does."""
    if fault is None or (passed or 0) < (fault.after or 0):
        return
    if (fault.after is None) == (passed is None):
        fault.reached.set()
        fault.go_on.wait()
        raise Lost


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _body(headers: Message, file: BufferedIOBase) -> Iterator[bytes]:
    """Yield the body of a request, in pieces."""
    if "Transfer-Encoding" in headers:
        while size := int(file.readline().split(b";")[0] or b"0", 16):
            yield file.read(size)
            file.readline()
        file.readline()
        return
    left = int(headers.get("Content-Length") or 0)
    while left and (data := file.read(min(left, _CHUNK))):
        left -= len(data)
        yield data
