"""A service on another machine as a WSGI application."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError

from rax_scheduled_images_ext.client.time_limits import TOTAL, limited_pools
from rax_scheduled_images_ext.service.api.answers import fault
from rax_scheduled_images_ext.service.events import log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Seconds to connect, and to wait for more of a response: Nova itself waits for others.
_CONNECT, _SILENCE = 10.0, 300.0
# A persistent connection may just have been closed. Only reads are sent again.
_RETRIES = urllib3.Retry(
    1,
    connect=0,
    status=0,
    other=0,
    allowed_methods=["GET", "HEAD"],
    respect_retry_after_header=False,
)
_CHUNK = 64 * 1024
# Headers about one connection (RFC 9110, 7.6.1), not about the content.
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class Upstream:
    """Forwards requests to a service, and its responses as they come.

    Path, query, body and headers are unchanged, including ``Host``, so that links in
    responses lead back here.

    :param url: where the service is; its path is ignored.
    :param connections: how many are kept open.
    :param cacert: a file with the certificates to trust; None for the system's.
    :param limit: seconds that a whole response may take.
    """

    def __init__(
        self,
        url: str,
        connections: int,
        cacert: str | None = None,
        limit: float = TOTAL,
    ) -> None:
        options: dict[str, Any] = {"ca_certs": cacert} if cacert else {}
        manager = urllib3.PoolManager(
            maxsize=connections,
            timeout=urllib3.Timeout(connect=_CONNECT, read=min(_SILENCE, limit)),
            retries=_RETRIES,
            **options,
        )
        manager.pool_classes_by_scheme = limited_pools(limit)
        self._pool = manager.connection_from_url(url)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            answer = self._pool.urlopen(
                environ["REQUEST_METHOD"],
                _target(environ),
                body=_body(environ),
                headers=_headers(environ),
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            log(logging.ERROR, "compute service failed", {"reason": str(error)})
            message = "The compute service cannot be reached."
            failed: Iterable[bytes] = fault(502, message)(environ, start_response)
            return failed
        headers = [
            (name, value)
            for name, value in answer.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        start_response(f"{answer.status} {answer.reason or ''}", headers)
        return _Content(answer)


class _Content:
    """The content of a response, piece by piece."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.stream(_CHUNK, decode_content=False)

    def close(self) -> None:
        """Close the connection, unless all was read: then it is back in the pool."""
        self._answer.close()


def _target(environ: WSGIEnvironment) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    target = quote(path, safe="/:@!$&'()*+,;=~", encoding="latin-1")
    query = environ.get("QUERY_STRING", "")
    return f"{target}?{query}" if query else target


def _body(environ: WSGIEnvironment) -> Any:
    """Return the stream to read the body from, None without a body."""
    length = environ.get("CONTENT_LENGTH")
    return environ["wsgi.input"] if length not in (None, "", "0") else None


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {
        key[5:].replace("_", "-").title(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for key, name in (
        ("CONTENT_TYPE", "Content-Type"),
        ("CONTENT_LENGTH", "Content-Length"),
    ):
        if environ.get(key):
            headers[name] = environ[key]
    caller = environ.get("REMOTE_ADDR")
    before = headers.get("X-Forwarded-For")
    if caller:
        headers["X-Forwarded-For"] = f"{before}, {caller}" if before else caller
    return {k: v for k, v in headers.items() if k.lower() not in _HOP_BY_HOP}
