"""What the sandbox's HTTP APIs share: one request's facts, times, errors, routes."""

from __future__ import annotations

import html
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import iso8601
from flask import Flask, Response, g, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.directory import Directory, Token
from rax_scheduled_images_ext.sandbox.backend.models import (
    CloudError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region

Microversion = tuple[int, int]
Handler = Callable[..., ResponseReturnValue]

# Where the dispatcher keeps the part of the URL before an API's own paths.
MOUNT = "sandbox.mount"
# Where an error is that a request is to be answered with, whatever it asks for.
INJECTED = "sandbox.injected"

_STATUS: Mapping[type[CloudError], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 400,
    Forbidden: 403,
}


class HttpError(Exception):
    """An error answer; each API writes it in its own form.

    ``detail`` is what WebOb's pages have below the message.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Services:
    """What every API is made with.

    ``rackspace`` is whether the cloud is like Rackspace's, ``max_limit`` the longest
    page of a list.
    """

    cloud: Cloud
    directory: Directory
    regions: tuple[str, ...]
    rackspace: bool
    max_limit: int


@dataclass(frozen=True)
class Call:
    """One request of a known caller.

    ``root`` is the URL that the API's paths start from, without a last slash.
    ``version`` is the compute API's microversion.
    """

    services: Services
    region: Region
    token: Token
    root: str
    version: Microversion = (2, 1)

    @property
    def project_id(self) -> str:
        """The project the token is for."""
        assert self.token.project is not None
        return self.token.project.id

    @property
    def user_id(self) -> str:
        """The user who asks."""
        return self.token.user.id


@dataclass(frozen=True)
class Route:
    """A method and path, what answers them, and from which version to which."""

    method: str
    path: str
    handler: Handler
    first: Microversion = (2, 0)
    last: Microversion = (99, 0)


class _Json(DefaultJSONProvider):
    """JSON as the real services write it, with a space behind each comma and colon.

    Scripts look for ``"status": "ACTIVE"``.
    """

    compact = True
    sort_keys = False

    def dumps(self, obj: Any, **options: Any) -> str:
        """Write an object in one line."""
        options.pop("separators", None)
        return super().dumps(obj, **options)


def new_app(name: str) -> Flask:
    """Return an application that answers in JSON as it is given."""
    app = Flask(f"{__package__}.{name}", static_folder=None, template_folder=None)
    app.url_map.merge_slashes = False
    app.json = _Json(app)

    @app.before_request
    def begin() -> None:
        g.request_id = f"req-{uuid.uuid4()}"
        # Before anything else of the request is checked.
        if INJECTED in request.environ:
            raise request.environ[INJECTED]

    @app.errorhandler(HttpError)
    def refuse(fault: HttpError) -> Response:
        return page(fault.status, fault.message, fault.headers)

    return app


def add_routes(app: Flask, routes: Iterable[Route], cloud: Cloud) -> None:
    """Serve the routes, each request within one transaction of the cloud."""
    views = {f"{route.method} {route.path}": _view(route, cloud) for route in routes}
    app.url_map = _url_map(tuple(views))
    app.view_functions.update(views)


@lru_cache
def _url_map(endpoints: tuple[str, ...]) -> Map:
    """Return the map of endpoints, each a method and a path.

    Made once for all sandboxes of a process: to compile it takes longer than all
    the rest of a start.
    """
    rules = []
    for endpoint in endpoints:
        method, _, path = endpoint.partition(" ")
        rule = Rule(path, methods=[method], endpoint=endpoint)
        rule.provide_automatic_options = False  # type: ignore[attr-defined]
        rules.append(rule)
    return Map(rules, merge_slashes=False)


def _view(route: Route, cloud: Cloud) -> Handler:
    def view(**arguments: str) -> ResponseReturnValue:
        call: Call = g.call
        if not route.first <= call.version <= route.last:
            raise HttpError(404, "The resource could not be found.")
        # The answer is written as JSON after the lock is given back.
        with cloud.transaction(g.request_id):
            return route.handler(call, **arguments)

    return view


def status_of(error: CloudError) -> int:
    """Return the HTTP status of a refusal by the cloud."""
    return next(code for kind, code in _STATUS.items() if isinstance(error, kind))


def open_call(services: Services) -> Call:
    """Find out who asks for what, before anything else is checked.

    :raises HttpError: 401 without a good token, or with one for another tenant
        than the URL's where a tenant is chosen that way.
    """
    token = services.directory.read(request.headers.get("X-Auth-Token"))
    mount: Mapping[str, str] = request.environ[MOUNT]
    if token is None or token.project is None:
        raise unauthorized(services)
    tenant = mount.get("tenant", token.project.id)
    if services.rackspace and tenant != token.project.id:
        raise unauthorized(services)
    region = services.cloud.region(mount.get("region", services.regions[0]))
    root = request.root_url.rstrip("/")
    return Call(services, region, token, root)


def unauthorized(services: Services) -> HttpError:
    """Return the answer to a missing, bad or expired token."""
    version = "v2.0" if services.rackspace else "v3"
    uri = f"{request.host_url}identity/{version}"
    return HttpError(
        401,
        "The request you have made requires authentication.",
        {"WWW-Authenticate": f'Keystone uri="{uri}"'},
    )


def unauthorized_body(services: Services, fault: HttpError) -> dict[str, Any]:
    """Return a 401 as the cloud's token check (not the API behind it) words it."""
    if services.rackspace:
        return {"unauthorized": {"code": 401, "message": fault.message}}
    return {"error": {"code": 401, "title": "Unauthorized", "message": fault.message}}


def name_requests(app: Flask, *headers: str) -> None:
    """Give every answer of the application its request's id in these headers."""

    @app.after_request
    def _end(response: Response) -> Response:
        for header in headers if "request_id" in g else ():
            response.headers.setdefault(header, g.request_id)
        return response


def bare(status: int) -> Response:
    """Return an answer without a body, and so without a kind of content."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


# Of some errors WebOb's page is a little different.
_PAGES = {405: "{}<br /><br />\n{}", 415: "{}\n<br /><br />\n{}"}


def page(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    detail: str = "",
) -> Response:
    """Return an error as WebOb, which many services are built on, writes it."""
    title = HTTPStatus(status).phrase
    body = _PAGES.get(status, "{}<br /><br />\n{}\n\n")
    if request.accept_mimetypes.best == "application/json":
        text = json.dumps(
            {
                "message": body.format(message, detail),
                "code": f"{status} {title}",
                "title": title,
            }
        )
        return Response(text, status, headers, mimetype="application/json")
    written = body.format(html.escape(message), html.escape(detail))
    text = (
        f"<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n"
        f"  <h1>{status} {title}</h1>\n  {written}\n"
        " </body>\n</html>"
    )
    return Response(text, status, headers, mimetype="text/html")


def unmatched(error: HTTPException) -> Response:
    """Answer a path or method that no route has."""
    if error.code == 405:
        allow = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        message = f"The method {request.method} is not allowed for this resource. "
        return page(405, message, {"Allow": allow})
    return page(error.code or 500, "The resource could not be found.")


def isotime(seconds: float) -> str:
    """Write unix seconds as ``2013-03-20T00:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def millitime(seconds: float) -> str:
    """Write unix seconds as ``2013-03-20T00:00:00.000Z``."""
    return f"{isotime(seconds)[:-1]}.{int(seconds * 1000) % 1000:03}Z"


def microtime(seconds: float) -> str:
    """Write unix seconds as ``2013-03-20T00:00:00.000000``."""
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds")


# In a query a plus sign that was not quoted has become a space.
_UNQUOTED = re.compile(r"(:\d\d(?:\.\d+)?) (?=\d\d(:?\d\d)?$)", re.ASCII)


def parse_time(text: str) -> float:
    """Return the unix seconds of an ISO 8601 date and time; UTC without a zone.

    :raises ValueError: for anything else.
    """
    try:
        written = _UNQUOTED.sub(r"\1+", text.strip().upper())
        return iso8601.parse_date(written).timestamp()
    except iso8601.ParseError:
        raise ValueError(f"'{text}' is not a time") from None
