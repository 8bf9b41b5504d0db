"""The gate between clients and services, and the tables of what was measured."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..interop.rival import page
from ..interop.rival.gate import Fault, Gate

_DATA = b"x" * 200_000


class _Echo(BaseHTTPRequestHandler):
    """A service that answers with the body of the request, in chunks as it came."""

    protocol_version = "HTTP/1.1"
    seen = 0

    def do_PUT(self) -> None:
        type(self).seen += 1
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[int]:
    """The port of a service."""
    _Echo.seen = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


@pytest.fixture
def gate(service: int, port: int) -> Iterator[Gate]:
    with Gate({"glance": (port, service)}).open() as gate:
        yield gate


def put(port: int, **headers: str) -> tuple[int, bytes]:
    """Send data in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    pieces = (_DATA[at : at + 50_000] for at in range(0, len(_DATA), 50_000))
    connection.request("PUT", "/file", pieces, headers, encode_chunked=True)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_it_counts_what_passes_and_who_sent_it(gate: Gate, port: int) -> None:
    assert put(port, **{"Transfer-Encoding": "chunked"}) == (200, _DATA)
    both = {"Transfer-Encoding": "chunked", "X-Service-Token": "secret"}
    assert put(port, **both) == (200, _DATA)
    assert [
        (p.service, p.is_tool, p.method, p.status, p.sent, p.received)
        for p in gate.passages
    ] == [
        ("glance", True, "PUT", 200, len(_DATA), len(_DATA)),
        ("glance", False, "PUT", 200, len(_DATA), len(_DATA)),
    ]


def test_what_is_refused_does_not_arrive(gate: Gate, port: int) -> None:
    with gate.failing(Fault(lambda _: True, refused=True)):
        assert put(port, **{"Transfer-Encoding": "chunked"})[0] == 503
        assert _Echo.seen == 0
        assert put(port, **{"Transfer-Encoding": "chunked"})[0] == 200


@pytest.mark.parametrize("after", [None, 100_000])
def test_what_follows_is_lost(gate: Gate, port: int, after: int | None) -> None:
    fault = Fault(lambda _: True, after=after)
    fault.go_on.set()
    with gate.failing(fault), pytest.raises((http.client.HTTPException, OSError)):
        put(port, **{"Transfer-Encoding": "chunked"})
    assert fault.reached.is_set()
    (passage,) = gate.passages
    assert (passage.sent == len(_DATA)) == (after is None)
    assert (passage.status == 200) == (after is None)


def test_the_page_has_what_was_measured() -> None:
    measured = json.loads(page.MEASURED.read_text())
    assert page.PAGE.read_text() == page.tables(measured)
