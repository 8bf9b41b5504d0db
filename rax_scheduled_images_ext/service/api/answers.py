"""Responses in the form of the compute API's own."""

from __future__ import annotations

import re
from typing import Any

from webob import Response

_FAULTS = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    409: "conflictingRequest",
    415: "badMediaType",
    503: "serviceUnavailable",
}
# The headers of Nova's response that belong to the request, not to the content.
_ABOUT = re.compile("date|vary|.*-api-version|.*-request-id", re.IGNORECASE)


class Refused(Exception):
    """A request is refused; ``answer`` says why.

    ``own`` is whether we refused it, not Nova.
    """

    def __init__(self, answer: Response, *, own: bool = True) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.own = own


def json_answer(
    body: Any = None, status: int = 200, *, about: Response | None = None
) -> Response:
    """Return a JSON response.

    :param body: its JSON, None for an empty one.
    :param about: Nova's response on which it is based: it gets the same time, version
        and request ID.
    """
    answer = Response(status=status)
    if body is not None:
        answer = Response(status=status, json=body)
    tell_about(answer, about)
    return answer


def tell_about(answer: Response, about: Response | None) -> None:
    """Give a response the time, version and request ID of another."""
    for name, value in about.headers.items() if about is not None else ():
        if _ABOUT.fullmatch(name):
            answer.headers.add(name, value)


def fault(
    status: int, message: str, *, about: Response | None = None, **more: str
) -> Response:
    """Return the response to a request that is refused or failed.

    :param more: what else it says, for programs.
    """
    name = _FAULTS.get(status, "computeFault")
    body = {name: {"code": status, "message": message, **more}}
    answer = json_answer(body, status, about=about)
    # As Nova writes it.
    answer.headers["Content-Type"] = "application/json; charset=UTF-8"
    return answer


def json_object(answer: Response, key: str) -> dict[str, Any] | None:
    """Return the object under ``key`` of a successful JSON response, else None."""
    part = (json_body(answer) or {}).get(key)
    return part if isinstance(part, dict) else None


def json_body(answer: Response) -> dict[str, Any] | None:
    """Return the JSON object of a successful response, None for any other."""
    if answer.status_int >= 300 or answer.content_type != "application/json":
        return None
    try:
        body = answer.json
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
