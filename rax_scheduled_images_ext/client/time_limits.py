"""How long a response of a cloud may take.

A read timeout alone does not end a response that comes byte by byte: each byte restarts
it. So the whole response, including its headers, has a limit too.
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

#: Seconds without a byte of the response, unless the session has its own limit.
SILENCE = 60.0
#: Seconds for a whole response, or the session's own limit if that is longer.
TOTAL = 600.0
# How many bytes are read at once: a page of images has a million.
_BUFFER = 2**16
_THREAD = threading.local()


class TooSlow(TimeoutError):
    """A response was not complete in time; ``seconds`` is the limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no complete response within {seconds:g} seconds")
        self.seconds = seconds


def limit_time(session: Session, total: float | None = TOTAL) -> None:
    """Give a session's responses a time limit.

    :param total: seconds for any response; None to limit only those within
        :func:`time_limit`, in a session that others also use.
    """
    for adapter in set(session.adapters.values()):
        if isinstance(adapter, HTTPAdapter):
            _limit(adapter, limited_pools(total))


@contextmanager
def time_limit(total: float) -> Iterator[None]:
    """Limit each response in this thread to these seconds while a block runs."""
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
    """Make an adapter use these connection pools from now on."""
    if adapter.poolmanager.pool_classes_by_scheme is not _USUAL:
        return
    # Its existing pools have other connections.
    adapter.close()
    adapter.poolmanager.pool_classes_by_scheme = pools
    proxy_manager_for = adapter.proxy_manager_for

    def limited(proxy: str, **options: Any) -> Any:
        manager = proxy_manager_for(proxy, **options)
        # SOCKS pools have their own kind of connections.
        if manager.pool_classes_by_scheme is _USUAL:
            manager.pool_classes_by_scheme = pools
        return manager

    adapter.proxy_manager_for = limited


@cache
def limited_pools(total: float | None = TOTAL) -> dict[str, Any]:
    """Return urllib3 connection pools whose responses have a limit, by scheme."""
    read: Any = {"response_class": staticmethod(partial(_Answer, total))}

    def limited(pool: Any) -> Any:
        connection = pool.ConnectionCls
        connections = type(connection.__name__, (connection,), read)
        return type(pool.__name__, (pool,), {"ConnectionCls": connections})

    return {scheme: limited(pool) for scheme, pool in _USUAL.items()}


class _Answer(HTTPResponse):
    """A response with a limit in seconds, counted from when the request was sent."""

    def __init__(
        self, total: float | None, sock: socket.socket, *args: Any, **options: Any
    ) -> None:
        super().__init__(sock, *args, **options)
        total = getattr(_THREAD, "total", None) or total
        if total is not None:
            reader = _Reader(cast("Any", self.fp).detach(), sock, total)
            self.fp = io.BufferedReader(reader, _BUFFER)


class _Reader(io.RawIOBase):
    """Reads from a socket until a time limit."""

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
        """Read what is available, or wait for it.

        :raises TimeoutError: if nothing comes, or not everything in time.
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
        """Release the socket."""
        self._raw.close()
        super().close()
