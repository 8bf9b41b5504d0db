"""How long an answer of a cloud may take.

A read timeout alone ends no answer that comes byte by byte: each byte begins the wait
anew. So an answer as a whole has a limit too, its headers included.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, cast

from requests.adapters import HTTPAdapter
from urllib3.poolmanager import pool_classes_by_scheme as _USUAL  # noqa: N812

if TYPE_CHECKING:
    import socket

    from requests import Session

#: Seconds without a byte of the answer, unless the session has a limit of its own.
SILENCE = 60.0
#: Seconds for a whole answer, or the session's own limit where that is longer.
TOTAL = 600.0
_THREAD = threading.local()


class TooSlow(TimeoutError):
    """An answer was not complete in time; ``seconds`` is the limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no complete answer within {seconds:g} seconds")
        self.seconds = seconds


def limit_time(session: Session, total: float | None = TOTAL) -> None:
    """Let the answers to a session have a time limit.

    :param total: seconds for any answer; None for those only that :func:`time_limit`
        is about, in a session that others use as well.
    """
    for adapter in set(session.adapters.values()):
        if isinstance(adapter, HTTPAdapter):
            _limit(adapter, limited_pools(total))


@contextmanager
def time_limit(total: float) -> Iterator[None]:
    """Give each answer to this thread so many seconds while a block runs."""
    before = getattr(_THREAD, "total", None)
    _THREAD.total = total
    try:
        yield
    finally:
        _THREAD.total = before


def timed_out(error: BaseException | None) -> TimeoutError | None:
    """Return the timeout that led to an error, if one did."""
    while error is not None and not isinstance(error, TimeoutError):
        error = error.__cause__ or error.__context__
    return error


def _limit(adapter: Any, pools: dict[str, Any]) -> None:
    """Let an adapter make its connections in these pools from now on."""
    if adapter.poolmanager.pool_classes_by_scheme is not _USUAL:
        return
    # The pools that it has made so far have other connections.
    adapter.close()
    adapter.poolmanager.pool_classes_by_scheme = pools
    proxy_manager_for = adapter.proxy_manager_for

    def limited(proxy: str, **options: Any) -> Any:
        manager = proxy_manager_for(proxy, **options)
        # Pools for SOCKS have connections of their own kind.
        if manager.pool_classes_by_scheme is _USUAL:
            manager.pool_classes_by_scheme = pools
        return manager

    adapter.proxy_manager_for = limited


@cache
def limited_pools(total: float | None = TOTAL) -> dict[str, Any]:
    """Return the connection pools of urllib3 whose answers have a limit, by scheme."""
    read: Any = {"response_class": staticmethod(partial(_Answer, total))}

    def limited(pool: Any) -> Any:
        connection = pool.ConnectionCls
        connections = type(connection.__name__, (connection,), read)
        return type(pool.__name__, (pool,), {"ConnectionCls": connections})

    return {scheme: limited(pool) for scheme, pool in _USUAL.items()}


class _Answer(HTTPResponse):
    """An answer that has so many seconds from the moment the request was sent."""

    def __init__(
        self, total: float | None, sock: socket.socket, *args: Any, **options: Any
    ) -> None:
        super().__init__(sock, *args, **options)
        total = getattr(_THREAD, "total", None) or total
        if total is not None:
            reader = _Reader(cast("Any", self.fp).detach(), sock, total)
            self.fp = io.BufferedReader(reader)


class _Reader(io.RawIOBase):
    """Reads from a socket, until a time limit."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, total: float) -> None:
        self._raw = raw
        self._socket = sock
        self._silence = sock.gettimeout()
        self._total = max(total, self._silence or 0)
        self._end = time.monotonic() + self._total

    def readable(self) -> bool:
        """Whether it can be read from."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, or wait for it.

        :raises TimeoutError: if nothing comes, or not all has come in time.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TooSlow(self._total)
        if self._silence is not None and self._silence <= left:
            return self._raw.readinto(buffer)
        self._socket.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            raise TooSlow(self._total) from None
        finally:
            self._socket.settimeout(self._silence)

    def close(self) -> None:
        """Give the socket back."""
        self._raw.close()
        super().close()
