"""Applies faults to the requests that they match."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.sandbox.faults.grammar import (
    ANSWER,
    CUT,
    DELAY,
    DROP,
    EXPIRE,
    LOSE,
    Fault,
    Faults,
)
from rax_scheduled_images_ext.sandbox.http.common import (
    INJECTED,
    HttpError,
    Services,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PAGE = (
    "<html>\n<head><title>{0} {1}</title></head>\n<body><center><h1>{0} {1}</h1>"
    "</center>\n<hr><center>sandbox</center>\n</body>\n</html>\n"
)


class Injector:
    """Applies faults to an application's requests.

    :param closing: ends all delays when set.
    """

    def __init__(self, services: Services, closing: threading.Event) -> None:
        self._cloud = services.cloud
        self._faults: Faults = services.cloud.faults
        self._directory = services.directory
        self._closing = closing

    def answer(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Answer as the application does, or with the fault."""
        taken = self._faults.of_request(
            environ["REQUEST_METHOD"],
            environ["REQUEST_URI"],
            has_token="HTTP_X_AUTH_TOKEN" in environ,
            states=self._cloud.task_states,
        )
        for fault in taken:
            if fault.kind == DELAY:
                self._closing.wait(fault.seconds)
            elif fault.kind == EXPIRE:
                self._directory.expire()
            elif fault.kind == DROP:
                return []
            elif fault.kind == ANSWER:
                return _error(fault, app, environ, start_response)
            elif fault.kind == LOSE:
                _whole(app(environ, _nobody))
                return []
            elif fault.kind == CUT:
                return _truncated(fault, app, environ, start_response)
        return app(environ, start_response)


def _error(
    fault: Fault,
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Answer with an error, as the API itself words it or as a page."""
    phrase = HTTPStatus(fault.status).phrase
    more: list[tuple[str, str]] = []
    if fault.retry_after is not None:
        more.append(("Retry-After", str(fault.retry_after)))
    if fault.html:
        text = _PAGE.format(fault.status, phrase).encode()
        headers = [("Content-Type", "text/html"), ("Content-Length", str(len(text)))]
        start_response(f"{fault.status} {phrase}", headers + more)
        return [text]

    def begin(status, headers, exc_info=None):  # type: ignore[no-untyped-def]
        return start_response(status, [*headers, *more], exc_info)

    message = f"{phrase} (a fault of the sandbox: {fault.text})"
    environ[INJECTED] = HttpError(fault.status, message)
    return app(environ, begin)


def _truncated(
    fault: Fault,
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Answer as usual, but end before the content is complete."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def begin(status, headers, exc_info=None):  # type: ignore[no-untyped-def]
        started.append((status, headers))
        return _nobody(status, headers, exc_info)

    content = _whole(app(environ, begin))
    status, headers = started[-1]
    kept = [each for each in headers if each[0].lower() != "content-length"]
    start_response(status, [*kept, ("Content-Length", str(len(content)))])
    length = len(content) // 2 if fault.length is None else fault.length
    return [content[:length]]


def _whole(result: Iterable[bytes]) -> bytes:
    try:
        return b"".join(result)
    finally:
        close: Callable[[], object] | None = getattr(result, "close", None)
        if close:
            close()


def _nobody(
    _status: str, _headers: list[tuple[str, str]], _exc_info: object = None
) -> Callable[[bytes], object]:
    """Accept the start of a response that is never sent."""
    return lambda _content: None
