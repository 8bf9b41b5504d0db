"""What keeps one visitor of the panel from being in the way of all others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from rax_scheduled_images_ext.programs.http_server import LONGEST_BODY, Server
from rax_scheduled_images_ext.sandbox import Sandbox

from ..waiting import until
from .panels import Page, Panel, Proxy, Reader, panel_over, through

PARTIAL = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nuser="


@pytest.fixture
def shared(cloud: Sandbox) -> Iterator[Panel]:
    """A panel for several people, behind a proxy."""
    hosts = ("panel.example", "127.0.0.1")
    with panel_over(cloud, login=True, proxies=1, hosts=hosts) as panel:
        yield panel


def status_of(url: str, request: bytes) -> int:
    """Send the beginning of a request; return the status of what is answered."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 60) as connection:
        connection.sendall(request)
        return int(connection.recv(100).split()[1])


# -- size


@pytest.mark.parametrize("path", ["/login", "/p/x/y/servers", "/health"])
def test_a_body_that_is_too_large_is_not_even_read(shared: Panel, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    length = f"Content-Length: {300 * 1024 * 1024}\r\n\r\n"
    assert status_of(shared.url, f"{head}{length}".encode()) == 413
    chunk = b"%x\r\n%s\r\n" % (LONGEST_BODY, b"x" * LONGEST_BODY)
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert status_of(shared.url, chunked + chunk + b"2\r\nxx\r\n0\r\n\r\n") == 413
    assert requests.get(f"{shared.url}/health", timeout=60).text == "ok\n"


# -- slowness


def hello(_environ: object, start: Any) -> list[bytes]:
    """An application."""
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@contextmanager
def serving(app: Any = hello, **options: Any) -> Iterator[str]:
    """Run the HTTP server of the panel with an application."""
    server = Server("127.0.0.1", 0, threads=2, **options)
    server.start(app)
    try:
        yield server.url
    finally:
        server.stop()


def opened(url: str, ending: ExitStack) -> socket.socket:
    parts = urlsplit(url)
    address = (parts.hostname, parts.port)
    return ending.enter_context(socket.create_connection(address, 60))


@pytest.mark.parametrize("begun", [PARTIAL, b"GET / HT", b""])
def test_slow_connections_keep_nobody_out(begun: bytes) -> None:
    with serving(connections=20, patience=600) as url, ExitStack() as ending:
        for _ in range(100):
            connection = opened(url, ending)
            with suppress(ConnectionError):
                connection.sendall(begun)
        for _ in range(3):
            assert requests.get(url, timeout=60).text == "hello"


def test_a_request_has_a_limit_however_it_drips() -> None:
    with serving(patience=1) as url, ExitStack() as ending:
        connection = opened(url, ending)
        connection.sendall(PARTIAL.replace(b"100", b"1000000"))
        connection.settimeout(0.05)

        def closed() -> bool:
            try:
                connection.sendall(b"x")
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        until(closed)


def test_who_waits_for_a_thread_is_not_slow() -> None:
    free, busy = threading.Event(), threading.Semaphore(0)

    def hold(environ: dict[str, str], start: object) -> list[bytes]:
        if environ["PATH_INFO"] == "/held":
            busy.release()
            free.wait(60)
        return hello(environ, start)

    with serving(hold, patience=1) as url, ThreadPoolExecutor(5) as readers:
        held = [readers.submit(requests.get, f"{url}/held", timeout=60) for _ in "12"]
        assert all(busy.acquire(timeout=60) for _ in held)
        rest = [readers.submit(requests.get, url, timeout=60) for _ in "123"]
        time.sleep(3)
        assert not any(each.done() for each in (*held, *rest))
        free.set()
        assert {each.result().text for each in (*held, *rest)} == {"hello"}


def test_who_uses_a_connection_keeps_it() -> None:
    with serving(connections=5, patience=600) as url, requests.Session() as session:
        ports = set()
        for _ in range(20):
            answer = session.get(url, timeout=60, stream=True)
            ports.add(answer.raw.connection.sock.getsockname()[1])
            assert answer.text == "hello"
        assert len(ports) == 1


# -- guesses


def log_in(reader: Reader, user: str, password: str) -> Page:
    reader.get("/login")
    return reader.submit("#login", user=user, password=password)


def from_address(panel: Panel, address: str) -> Reader:
    """Somebody who comes from an address, as the proxy says."""
    return through(Proxy("https://panel.example", panel.url, address))


def test_wrong_passwords_are_slowed_down_by_account_and_address(
    shared: Panel, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rax_scheduled_images_ext.panel.guesses._FIRST", 600.0)
    right = cloud.env()["OS_PASSWORD"]
    guesser = from_address(shared, "192.0.2.66")
    for _ in range(3):
        assert log_in(guesser, "admin", "wrong").status == 403
    cloud.requests.clear()
    for name, password in (("admin", "wrong"), ("ADMIN", "wrong"), ("admin", right)):
        page = log_in(guesser, name, password)
        assert page.status == 429
        assert page.all("#problem") == [
            "Too many wrong passwords for this user from your address. Try again in"
            f" {page.all('#problem')[0].rsplit(' ', 1)[1]}"
        ]
    # Keystone is not even asked.
    assert not cloud.requests
    # The owner of the account is not locked out, nor is a neighbour of the guesser.
    assert log_in(from_address(shared, "192.0.2.7"), "admin", right).path.endswith(
        "/servers"
    )
    assert log_in(guesser, "observer", right).path.endswith("/servers")


def test_a_client_does_not_choose_its_address(
    cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a proxy that is to be believed, the header is only text."""
    monkeypatch.setattr("rax_scheduled_images_ext.panel.guesses._FIRST", 600.0)
    with panel_over(cloud, login=True) as panel:
        for number in range(4):
            reader = panel.reader()
            reader.session.headers["X-Forwarded-For"] = f"192.0.2.{number}"
            page = log_in(reader, "admin", "wrong")
        assert page.status == 429


def test_a_cloud_that_does_not_answer_is_not_a_wrong_password(
    shared: Panel, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rax_scheduled_images_ext.panel.guesses._FIRST", 600.0)
    reader = from_address(shared, "192.0.2.7")
    cloud.fault("POST /tokens 503")
    for _ in range(5):
        assert log_in(reader, "admin", "any").status == 502
    cloud.clear_faults()
    right = cloud.env()["OS_PASSWORD"]
    assert log_in(reader, "admin", right).path.endswith("/servers")
