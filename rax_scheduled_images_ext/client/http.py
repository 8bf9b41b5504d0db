"""Requests to one service, and checks of its responses.

keystoneauth handles tokens, the catalog, TLS and connections, and raises the errors of
connecting. Requests share only the adapter, so several threads may use one
:class:`Transport`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from requests import PreparedRequest, Response, codes

from rax_scheduled_images_ext.client.pool import started
from rax_scheduled_images_ext.client.time_limits import (
    SILENCE,
    TOTAL,
    TooSlow,
    time_limit,
    timed_out,
)
from rax_scheduled_images_ext.errors import ApiError, InvalidValue, UnexpectedAnswer
from rax_scheduled_images_ext.text import printable

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter

    from rax_scheduled_images_ext.client.pool import Throttle

#: Statuses that may have a Retry-After header.
BUSY = (
    codes.request_entity_too_large,
    codes.too_many_requests,
    codes.service_unavailable,
)
# The service, or the one behind a proxy, cannot answer just then.
_OUTAGE = (codes.bad_gateway, codes.service_unavailable, codes.gateway_timeout)
# Seconds until a GET is repeated after that.
_PAUSE = 2.0
_MARKUP = re.compile(r"<[^>]*>")
# How many bytes at the end of a page are searched for the URL of the next one, which
# stands behind the resources.
_END = 4096
# Seconds in which a request can be prepared and sent.
_SENDING = 0.002
_LONGEST_REASON = 300


def path(*segments: str) -> str:
    """Return the URL path of the segments, each quoted.

    :raises InvalidValue: for a segment that would change the path: an empty one, or
        ``.`` and ``..``, which HTTP libraries resolve.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise InvalidValue(f"'{segment}' cannot be part of a URL")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def as_text(value: object) -> str:
    """Return a caller's value as text.

    Programs written for older Pythons also pass bytes.
    """
    if isinstance(value, str):
        return value
    from six import ensure_text

    return ensure_text(value) if isinstance(value, bytes) else str(value)


def resource_id(resource: object) -> str:
    """Return the ID of a resource object, or the ID itself."""
    return as_text(getattr(resource, "id", resource))


def shared(text: str) -> str:
    """Return a text that many resources have, so that all have the same object.

    In long lists these texts take most of the memory otherwise.
    """
    return sys.intern(text)


def shared_text(value: object) -> str | None:
    """Return a text as :func:`shared` does, None for anything else."""
    return shared(value) if isinstance(value, str) else None


@dataclass(frozen=True)
class ApiResponse:
    """A service's response, of any status."""

    service: str
    method: str
    path: str
    response: Response

    @cached_property
    def body(self) -> Any:
        """Its JSON, None for anything else: parsed by whoever needs it first."""
        try:
            return self.response.json()
        except ValueError:
            return None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers; their names are case-insensitive."""
        return self.response.headers

    @property
    def request_id(self) -> str | None:
        """The ID of this request in the service's logs, None if it sent none."""
        headers = self.headers
        return headers.get("x-compute-request-id") or headers.get(
            "x-openstack-request-id"
        )

    @property
    def not_found(self) -> bool:
        """Whether compute or block storage itself says that something is not there.

        Whoever else answers 404, a proxy in between, knows nothing of it.
        """
        return self.status == 404 and bool(self.error_message("itemNotFound"))

    def error_message(self, key: str) -> str | None:
        """Return the message of an error body whose only key is ``key``."""
        error = self.body.get(key) if isinstance(self.body, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return message if isinstance(message, str) else None

    def error(self, hint: str = "") -> ApiError:
        """Return the error of a refusal, as one line of text.

        :param hint: text to add to the service's own reason.
        """
        return ApiError(
            self.status,
            self._reason() + hint,
            request_id=self.request_id,
            method=self.method,
            path=self.path,
            retry_after=self.headers.get("retry-after"),
        )

    def checked(self) -> ApiResponse:
        """Return the response itself if it is a success.

        :raises ApiError: for 400 and above.
        :raises UnexpectedAnswer: for any other that is not a success.
        """
        if self.status >= 400:
            raise self.error()
        if not 200 <= self.status < 300:
            raise self.unexpected("that is neither a success nor an error")
        return self

    def empty(self) -> None:
        """Accept a success without content, or with JSON.

        :raises UnexpectedAnswer: for other content: the sender may not be the service.
        """
        self.checked()
        if self.response.content and self.body is None:
            raise self.unexpected(f"the content is {self._kind()}, not JSON")

    def document(self) -> dict[str, Any]:
        """Return the JSON object of a successful response."""
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
        """Return the URL of the next page from the list of links ``key``."""
        links = self.document().get(key)
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == "next":
                return str(link.get("href", ""))
        return None

    def unexpected(self, problem: str) -> UnexpectedAnswer:
        """Return the error for a problem with this response."""
        return UnexpectedAnswer(
            self.service, self.method, self.path, self.status, problem
        )

    def _kind(self) -> str:
        """Describe the kind of content."""
        if not self.response.content:
            return "empty"
        if self.body is not None:
            return f"JSON of type {type(self.body).__name__}"
        kind = (self.headers.get("content-type") or "").split(";")[0].strip()
        return "unreadable" if kind in ("", "application/json") else shortened(kind)

    def _reason(self) -> str:
        """Return why the service refused, or that it gave no reason."""
        body = self.body if isinstance(self.body, dict) else {}
        for error in (body, *body.values()):
            message = error.get("message") if isinstance(error, dict) else None
            if isinstance(message, str) and message.strip():
                return shortened(_MARKUP.sub(" ", message))
        return (
            f"The {self.service} service refused {self.method} {self.path} without"
            f" a readable reason (the content is {self._kind()})"
        )


def shortened(text: str) -> str:
    """Return a service's text as one line of readable length."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "..."


@dataclass(frozen=True)
class RetryPolicy:
    """How often a busy service is asked again, and for how many seconds in all.

    ``reads`` is how often a GET is repeated that a service, or a proxy before it, could
    not answer just then. ``sleep`` waits for a number of seconds; ``clock`` returns
    unix seconds.
    """

    tries: int = 5
    seconds: float = 60.0
    reads: int = 0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time


def silent(service: str, seconds: float) -> None:
    """Do not report that a service is busy."""


@dataclass(frozen=True)
class Transport:
    """Requests to one service through a keystoneauth adapter.

    ``retry`` is how a busy service is asked again, ``throttle`` decides when a request
    may be sent, None for at once. ``total`` is how many seconds a whole response may
    take; how long it may stall is the session's setting. ``waits`` is called before a
    busy service is asked again, with its name and the seconds until then. ``log`` is
    whether ``--debug`` may show requests and responses: some contain secrets.
    """

    adapter: Adapter
    service: str = "compute"
    retry: RetryPolicy = RetryPolicy()
    throttle: Throttle | None = None
    total: float = TOTAL
    log: bool = True
    waits: Callable[[str, float], object] = silent

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        """Send one request; a busy service is asked again after its Retry-After.

        :param path: below the service's endpoint, as :func:`path` returns it.
        :param body: the JSON of the request, None for none.
        :returns: the last response, whatever its status.
        :raises keystoneauth1.exceptions.ClientException: if no complete response comes
            in time; what the service did is unknown then.
        :raises ApiError: if the service stays busy for longer than ``retry`` allows.
        """
        waited, reads_left = 0.0, self.retry.reads if method == "GET" else 0
        for tries_left in reversed(range(self.retry.tries)):
            response = self._once(method, path, query, body, headers)
            wait = _wait(response, self.retry.clock)
            if wait is None:
                if response.status not in _OUTAGE or not reads_left:
                    break
                reads_left, wait = reads_left - 1, _PAUSE
            if not tries_left:
                raise response.error(f"; gave up after {self.retry.tries} tries")
            if waited + wait > self.retry.seconds:
                raise response.error(
                    f"; it asks to retry in {wait:.0f} seconds, which is longer"
                    f" than this client waits ({self.retry.seconds:.0f} in all)"
                )
            self.waits(self.service, wait)
            self.retry.sleep(wait)
            waited += wait
        return response

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
        enough: Callable[[], bool] = lambda: False,
    ) -> Iterator[ApiResponse]:
        """Yield page after page; ``link`` finds the URL of the next page in a page.

        Only the query of that URL is used: a token is only sent to the service that it
        is for.

        :param ahead: request the next page while the caller handles one; for callers
            that read to the end. If its URL can be guessed, it is requested before the
            present page is parsed.
        :param enough: returns whether to request no further page.
        """

        def requested(query: str) -> Callable[[], ApiResponse]:
            page: Callable[[], ApiResponse] = partial(self._page, path, query)
            return started(page).result if ahead else page

        text = urlencode(query)
        seen = {text}
        response = self._page(path, text)
        while True:
            guess = _likely_next(response, text) if ahead and not enough() else None
            page = requested(guess) if guess and guess not in seen else None
            if page is not None:
                # Parsing stops all other threads: the request goes first.
                time.sleep(_SENDING)
            following = link(response)
            if following is None or enough():
                yield response
                return
            text = urlsplit(following).query
            if text in seen:
                yield response
                raise response.unexpected("its next page has been read before")
            seen.add(text)
            if page is None or text != guess:
                page = requested(text)
            # It takes megabytes: nothing here keeps it while the next one is parsed.
            last = [response]
            del response
            yield last.pop()
            response = page()

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
        url = f"{path}?{urlencode(query)}" if query else path
        options: dict[str, Any] = {} if method == "GET" else {"connect_retries": 0}
        if not self.log:
            options["log"] = False
        send = partial(
            self._answered,
            url,
            method,
            headers={"Accept": "application/json", **(headers or {})},
            json=body,
            raise_exc=False,
            rate_semaphore=self.throttle,
            # What may have been done is not requested again, whatever the session does.
            **options,
        )
        response = send()
        if self._token_was_replaced(response):
            response = send()
        return ApiResponse(self.service, method, url, response)

    def _answered(self, url: str, method: str, **options: Any) -> Response:
        """Return the response to one request, if it is complete in time."""
        from keystoneauth1.exceptions import ClientException, ConnectTimeout

        # Inside a service of the cloud there is no session.
        silence = getattr(getattr(self.adapter, "session", None), "timeout", None)
        if not silence:
            silence = options["timeout"] = SILENCE
        try:
            with time_limit(self.total):
                return self.adapter.request(url, method, **options)
        except ClientException as error:
            late = timed_out(error)
            if late is None:
                raise
            what = f"The {self.service} service did not answer {method} {url}"
            if isinstance(late, TooSlow):
                text = f"{what} completely within {late.seconds:g} s"
            else:
                text = f"{what} for {silence:g} s"
            raise ConnectTimeout(text) from error

    def _token_was_replaced(self, response: Response) -> bool:
        """Whether the refused token has been replaced by another thread.

        If several threads' token is refused at once, keystoneauth repeats only the
        first request.
        """
        # Inside a service of the cloud there are no requests and no tokens.
        request: PreparedRequest | None = response.request
        if response.status_code != codes.unauthorized or request is None:
            return False
        refused = request.headers.get("X-Auth-Token")
        return refused is not None and self.adapter.get_token() not in (None, refused)


def _likely_next(page: ApiResponse, query: str) -> str | None:
    """Return what is likely to be the query of the next page, without parsing this.

    Only its marker differs from this page's query: anyone can put another URL into an
    image.
    """
    own = _without_marker(query)
    for text in reversed(page.response.content[-_END:].split(b'"')):
        found = text.partition(b"?")[2]
        if b"marker=" in found and b"\\" not in found and found.isascii():
            guess = found.decode()
            if _without_marker(guess) == own:
                return guess
    return None


def _without_marker(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a list, apart from where the page starts."""
    found = parse_qsl(query, keep_blank_values=True)
    return sorted(each for each in found if each[0] != "marker")


def _wait(response: ApiResponse, clock: Callable[[], float]) -> float | None:
    """Return how many seconds a busy service asks us to wait."""
    text = response.headers.get("retry-after")
    if response.status not in BUSY or text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    return max(0.0, moment - clock())
