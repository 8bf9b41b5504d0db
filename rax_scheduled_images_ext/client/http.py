"""One request to a service, and an answer that is understood or refused.

What lies below (tokens, the catalog, TLS, connections) is keystoneauth's, and
so are the errors of connecting. Nothing here is shared between requests but the
client handed in, so several threads may use one :class:`Transport`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from novaclient import exceptions
from requests import Response, codes

from rax_scheduled_images_ext.client.errors import UnexpectedAnswer
from rax_scheduled_images_ext.model.errors import InvalidValue

#: Statuses that may say when to come again.
BUSY = (
    codes.request_entity_too_large,
    codes.too_many_requests,
    codes.service_unavailable,
)
_MARKUP = re.compile(r"<[^>]*>")
_LONGEST_REASON = 300


def path(*segments: str) -> str:
    """Return the URL path of the segments, each quoted.

    :raises InvalidValue: for a segment that would name something else: an
        empty one, or ``.`` and ``..``, which HTTP libraries resolve.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise InvalidValue(f"'{segment}' cannot be part of an address")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def as_text(value: object) -> str:
    """Return what a caller handed over as text.

    Programs written for older Pythons hand over bytes as well.
    """
    if isinstance(value, str):
        return value
    from six import ensure_text

    return ensure_text(value) if isinstance(value, bytes) else str(value)


def resource_id(resource: object) -> str:
    """Return the ID of a resource object, or of what is the ID itself."""
    return as_text(getattr(resource, "id", resource))


def sibling(client: Any, **options: Any) -> Any:
    """Return a new ``SessionClient`` of the same user as another one.

    :param options: its service, version and so on; the region is the other's
        unless it is among them.
    """
    from novaclient.client import SessionClient

    # A client of its own: novaclient's way of turning its one client to another
    # service for a while lets two threads disturb each other.
    new = SessionClient(
        session=client.session,
        auth=client.auth,
        interface=client.interface,
        user_agent=client.user_agent,
        logger=client.logger,
        timings=client.timings,
        **{"region_name": client.region_name, **options},
    )
    new.times = client.times
    # Where threads share the other one, they share this one as well.
    in_step = getattr(client, "in_step", None)
    return in_step(new) if in_step else new


@dataclass(frozen=True)
class ApiResponse:
    """What a service answered, before anybody judges it."""

    service: str
    method: str
    path: str
    response: Response
    body: Any

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    def fault(self, key: str) -> str | None:
        """Return the message of an error body whose one key is ``key``."""
        error = self.body.get(key) if isinstance(self.body, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return message if isinstance(message, str) else None

    def error(self, hint: str = "") -> exceptions.ClientException:
        """Return novaclient's exception for the status, in one line of text."""
        body = {"message": self._reason() + hint}
        error = exceptions.from_response(self.response, body, self.path, self.method)
        error.request_id = error.request_id or self._header("x-openstack-request-id")
        return error

    def checked(self) -> ApiResponse:
        """Return the answer itself if it reports success, raise otherwise.

        :raises novaclient.exceptions.ClientException: for 400 and above.
        :raises UnexpectedAnswer: for what is neither success nor an error.
        """
        if self.status >= 400:
            raise self.error()
        if not 200 <= self.status < 300:
            raise self.unexpected("that is neither success nor an error")
        return self

    def empty(self) -> None:
        """Accept success without content, or with content that is JSON.

        :raises UnexpectedAnswer: for a page of something else: whoever sent it
            may not be the service.
        """
        self.checked()
        if self.response.content and self.body is None:
            raise self.unexpected(f"the content is {self._kind()}, not JSON")

    def document(self) -> dict[str, Any]:
        """Return the JSON object of a successful answer."""
        self.checked()
        if not isinstance(self.body, dict):
            raise self.unexpected(f"the content is {self._kind()}, not a JSON object")
        return self.body

    def object(self, key: str) -> dict[str, Any]:
        """Return the JSON object under ``key``."""
        part = self.document().get(key)
        if not isinstance(part, dict):
            raise self.unexpected(f"without a JSON object '{key}'")
        return part

    def objects(self, key: str) -> list[dict[str, Any]]:
        """Return the list of JSON objects under ``key``."""
        parts = self.document().get(key)
        if not isinstance(parts, list) or not all(isinstance(p, dict) for p in parts):
            raise self.unexpected(f"without a list of JSON objects '{key}'")
        return parts

    def next_link(self, key: str) -> str | None:
        """Return the address of the next page from the list of links ``key``."""
        links = self.document().get(key)
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == "next":
                return str(link.get("href", ""))
        return None

    def unexpected(self, problem: str) -> UnexpectedAnswer:
        """Return the error that tells what is wrong with this answer."""
        return UnexpectedAnswer(
            self.service, self.method, self.path, self.status, problem
        )

    def _header(self, name: str) -> str | None:
        return self.response.headers.get(name)

    def _kind(self) -> str:
        """Name the content, for a person."""
        if not self.response.content:
            return "empty"
        if self.body is not None:
            return f"JSON of type {type(self.body).__name__}"
        kind = (self._header("content-type") or "").split(";")[0].strip()
        return "unreadable" if kind in ("", "application/json") else printable(kind)

    def _reason(self) -> str:
        """Return why the service refused, or that it did not say."""
        body = self.body if isinstance(self.body, dict) else {}
        for error in (body, *body.values()):
            message = error.get("message") if isinstance(error, dict) else None
            if isinstance(message, str) and message.strip():
                return printable(_MARKUP.sub(" ", message))
        return (
            f"The {self.service} service refused {self.method} {self.path} without"
            f" a reason that can be read (the content is {self._kind()})"
        )


def printable(text: str) -> str:
    """Return foreign text as one line, of a length that can be read."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "..."


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and for how many seconds in all, a busy service is asked again."""

    tries: int = 5
    seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class Transport:
    """Requests to one service through a novaclient ``SessionClient``.

    A client that several threads share brings its own ``retry_policy``.
    """

    client: Any
    service: str = "compute"
    retry_policy: RetryPolicy | None = None

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        """Send one request; a service that says when to come again is asked again.

        :param path: below the service's endpoint, as :func:`path` makes it.
        :param body: what becomes the JSON of the request; None for none.
        :returns: the last answer, whatever its status.
        :raises keystoneauth1.exceptions.ClientException: if there is no answer.
        :raises novaclient.exceptions.ClientException: if the service stays busy
            beyond our retry_policy.
        """
        shared: RetryPolicy | None = getattr(self.client, "retry_policy", None)
        retry_policy = self.retry_policy or shared or RetryPolicy()
        waited = 0.0
        for tries_left in reversed(range(retry_policy.tries)):
            answer = self._once(method, path, query, body, headers)
            wait = _wait(answer, retry_policy.clock)
            if wait is None:
                break
            if not tries_left:
                raise answer.error(f"; gave up after {retry_policy.tries} tries")
            if waited + wait > retry_policy.seconds:
                raise answer.error(
                    f"; it asks to come again in {wait:.0f} seconds, which is longer"
                    f" than this client waits ({retry_policy.seconds:.0f} in all)"
                )
            retry_policy.sleep(wait)
            waited += wait
        return answer

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> ApiResponse:
        """Get one resource or one page."""
        return self.send("GET", path, query=query)

    def pages(
        self,
        path: str,
        query: Mapping[str, Any],
        link: Callable[[ApiResponse], str | None],
        *,
        ahead: bool = False,
    ) -> Iterator[ApiResponse]:
        """Yield page after page; ``link`` finds the address of the next one in one.

        Of that address only the query is used: a token goes nowhere but to the
        service it is for.

        :param ahead: ask for the next page while the caller is busy with one; for
            those who read to the end.
        """
        text = urlencode(query)
        seen = set()
        answer = self._page(path, text)
        while True:
            following = link(answer)
            if following is None:
                yield answer
                return
            seen.add(text)
            text = urlsplit(following).query
            if text in seen:
                yield answer
                raise answer.unexpected("its next page is one that was read before")
            page: Callable[[], ApiResponse] = partial(self._page, path, text)
            page = _begun(page) if ahead else page
            yield answer
            answer = page()

    def _page(self, path: str, query: str) -> ApiResponse:
        return self.get(f"{path}?{query}" if query else path).checked()

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> ApiResponse:
        options: dict[str, Any] = {"headers": dict(headers or {}), "raise_exc": False}
        if body is not None:
            options["body"] = body
        url = f"{path}?{urlencode(query)}" if query else path
        response, content = self.client.request(url, method, **options)
        return ApiResponse(self.service, method, url, response, content)


def _begun(call: Callable[[], ApiResponse]) -> Callable[[], ApiResponse]:
    """Begin a call in another thread; return how to wait for its result."""
    result: Future[ApiResponse] = Future()

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    # A daemon: a program that ends does not wait for a page that nobody reads.
    threading.Thread(target=work, daemon=True).start()
    return result.result


def _wait(answer: ApiResponse, clock: Callable[[], float]) -> float | None:
    """Return how many seconds a busy service asks us to wait."""
    text = answer.response.headers.get("retry-after")
    if answer.status not in BUSY or text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    return max(0.0, moment - clock())
