"""Answers that take too long, from real servers, and threads that leave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import ConnectTimeout
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session

from rax_scheduled_images_ext.client.http import RetryPolicy, Transport
from rax_scheduled_images_ext.client.pool import Throttle, widen
from rax_scheduled_images_ext.client.time_limits import limit_time

# Longer than anything here takes, on a machine that is as busy as can be.
_LONG = 120.0


class Dripping:
    """A server that sends what it is given, and then a byte again and again."""

    def __init__(self, head: bytes, drip: bytes) -> None:
        self._head, self._drip = head, drip
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.left = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(
                    target=self._drip_on, args=(connection,), daemon=True
                ).start()

    def _drip_on(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.requests.append(connection.recv(65536))
            connection.sendall(self._head)
            while self._drip and not self._closed.wait(0.02):
                connection.sendall(self._drip)
            self._closed.wait()
        self.left.set()

    def close(self) -> None:
        self._closed.set()
        # This wakes the thread that accepts.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def dripping(head: bytes, drip: bytes) -> Iterator[Dripping]:
    server = Dripping(head, drip)
    try:
        yield server
    finally:
        server.close()


def transport(
    url: str, *, silence: float | None = 0.5, total: float = 0.5, **options: Any
) -> Transport:
    session = Session(auth=NoAuth(), timeout=silence, **options)
    limit_time(session.session, total=None)
    adapter = Adapter(session, endpoint_override=url)
    return Transport(adapter, total=total, retry=RetryPolicy(tries=1))


BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (BODY, b" "),
        (CHUNKED, b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"", b"H"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "header", "status line", "informational"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_drips_ends_at_the_limit(
    head: bytes, drip: bytes, method: str
) -> None:
    with dripping(head, drip) as server:
        with pytest.raises(ConnectTimeout) as caught:
            transport(server.url).send(method, "/servers", query={"limit": 1})
        # The connection is given up as well, and nothing is sent again.
        assert server.left.wait(_LONG)
        assert len(server.requests) == 1
    assert str(caught.value) == (
        f"The compute service did not answer {method} /servers?limit=1 completely"
        " within 0.5 s"
    )


def test_an_answer_that_stops_ends_at_the_limit_of_silence() -> None:
    with dripping(BODY + b"{", b"") as server, pytest.raises(ConnectTimeout) as caught:
        transport(server.url, silence=0.2, total=_LONG).get("/servers")
    assert str(caught.value) == (
        "The compute service did not answer GET /servers for 0.2 s"
    )


def test_a_longer_limit_of_the_session_is_respected() -> None:
    """Who waits longer for a first byte waits no shorter for the last one."""
    late = pytest.raises(ConnectTimeout, match=r"completely within 0\.7 s")
    with dripping(BODY, b" ") as server, late:
        transport(server.url, silence=0.7, total=0.2).get("/servers")


def test_nothing_but_a_get_is_sent_again_by_the_session() -> None:
    with dripping(BODY, b" ") as server:
        slow = transport(server.url, connect_retries=3)
        with pytest.raises(ConnectTimeout):
            slow.send("POST", "/servers/1/action", body={})
        assert len(server.requests) == 1


def test_the_limit_lasts_when_room_is_made() -> None:
    with dripping(BODY, b" ") as server:
        slow = transport(server.url)
        widen(slow.adapter.session, 5)
        with pytest.raises(ConnectTimeout):
            slow.get("/servers")


def test_through_a_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping(BODY, b" ") as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(ConnectTimeout, match="completely within"):
            transport("http://cloud.invalid").get("/servers")
        assert server.requests[0].startswith(b"GET http://cloud.invalid/servers ")


def test_who_shares_the_session_keeps_their_own_limits() -> None:
    """A download of theirs may take as long as they like."""
    content = b"x" * 20
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
    with dripping(head, b"x") as server:
        shared = transport(server.url, silence=None, total=0.01).adapter.session
        assert shared.get(f"{server.url}/file").content == content
        assert shared.timeout is None


def test_a_session_of_ones_own_has_the_limit_for_all() -> None:
    with dripping(BODY, b" ") as server:
        session = Session(auth=NoAuth(), timeout=0.3)
        limit_time(session.session, total=0.3)
        limit_time(session.session, total=None)
        with pytest.raises(Exception, match=r"imed out|no complete answer"):
            session.get(f"{server.url}/v3/auth/tokens")


def test_a_whole_answer_is_read_as_ever() -> None:
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"a": [1]'
    with dripping(head[:-9] + b'{"a": 17}', b"") as server:
        answer = transport(server.url, total=_LONG).get("/x")
        assert answer.document() == {"a": 17}


class Died(BaseException):
    """Ends a thread wherever it is."""


class Time:
    """Time that the longest of the pauses moves; it can end a thread that looks."""

    def __init__(self) -> None:
        self.now = 0.0
        self.doomed: set[int] = set()

    def __call__(self) -> float:
        if threading.get_ident() in self.doomed:
            raise Died
        self.now += 1
        return self.now


#: What a thread does: a request that is answered, that fails, that is refused for so
#: many seconds; and its end, in order, or while it waits for its turn.
ACTS = st.lists(
    st.sampled_from(["answered", "fails", "refused", "slowed", "dies waiting"]),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@example(scripts=[["refused"], ["answered"]], most=1)
@given(scripts=st.lists(ACTS, min_size=1, max_size=6), most=st.integers(1, 4))
def test_every_request_gets_through_whatever_others_did(
    scripts: list[list[str]], most: int
) -> None:
    clock = Time()
    throttle = Throttle(most, clock)
    ended: list[str] = []

    def work(script: list[str]) -> None:
        with suppress(Died):
            for act in script:
                if act == "dies waiting":
                    clock.doomed.add(threading.get_ident())
                with suppress(ValueError), throttle:
                    if act == "fails":
                        raise ValueError
                if act == "refused":
                    throttle.pause(0.01)
                if act == "slowed":
                    throttle.slow_down(0.01)
        clock.doomed.discard(threading.get_ident())
        ended.append("ended")

    threads = [
        threading.Thread(target=work, args=(script,), daemon=True) for script in scripts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_LONG)
    late = threading.Thread(target=work, args=(["answered"] * 3,), daemon=True)
    late.start()
    late.join(_LONG)
    assert len(ended) == len(scripts) + 1


def test_it_is_known_when_the_last_request_was_answered() -> None:
    clock = Time()
    throttle = Throttle(2, clock)
    answers = [throttle.last_answer]
    for error in (None, ValueError):
        with suppress(ValueError), throttle:
            if error is not None:
                raise error
        answers.append(throttle.last_answer)
    assert answers[0] is None
    assert answers[1] is not None
    assert answers[2] == answers[1]
