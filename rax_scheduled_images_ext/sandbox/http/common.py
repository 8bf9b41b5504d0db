"""What the sandbox's HTTP APIs share: one request's facts, errors, times."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import iso8601
from flask import Response, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.directory import Directory, Token
from rax_scheduled_images_ext.sandbox.backend.models import (
    CloudError,
    Conflict,
    Forbidden,
    Image,
    Invalid,
    NotFound,
    OverQuota,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region

Microversion = tuple[int, int]
Handler = Callable[..., ResponseReturnValue]

# The WSGI key of the part of the URL before an API's own paths.
MOUNT = "sandbox.mount"
# The WSGI key of an error that answers the request, whatever it asks for.
INJECTED = "sandbox.injected"
# What Nova says when it fails itself.
BROKEN = (
    "Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and"
    " attach the Nova API log if possible.\n{}"
)

_STATUS: Mapping[type[CloudError], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 400,
    Forbidden: 403,
    OverQuota: 413,
}


class HttpError(Exception):
    """An error response; each API writes it in its own form.

    ``detail`` is what WebOb's pages show below the message.
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
    """What every API needs.

    ``rackspace`` is whether the cloud is like Rackspace's, ``max_limit`` the most
    entries on a page of a list.
    """

    cloud: Cloud
    directory: Directory
    regions: tuple[str, ...]
    rackspace: bool
    max_limit: int


@dataclass(frozen=True)
class Call:
    """One authenticated request.

    ``root`` is the URL before the API's paths, without a trailing slash.
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
    def only_project(self) -> str | None:
        """The one project that the caller sees; None for an operator."""
        return None if self.token.is_operators else self.project_id

    def reaches(self, project_id: str) -> bool:
        """Whether the caller may work with what a project owns."""
        return self.only_project in (None, project_id)

    def sees(self, image: Image) -> bool:
        """Whether the caller may see an image."""
        return self.reaches(image.owner) or image.visible_to(self.project_id)

    @property
    def user_id(self) -> str:
        """The ID of the user who sent the request."""
        return self.token.user.id


@dataclass(frozen=True)
class Route:
    """A method and path, their handler, and the first and last version that have it."""

    method: str
    path: str
    handler: Handler
    first: Microversion = (2, 0)
    last: Microversion = (99, 0)


def status_of(error: CloudError) -> int:
    """Return the HTTP status of the cloud's error."""
    return next(code for kind, code in _STATUS.items() if isinstance(error, kind))


def open_call(services: Services) -> Call:
    """Authenticate the request, before anything else is checked.

    :raises HttpError: 401 without a valid token, or with a token for another tenant
        than the one in the URL.
    """
    token = services.directory.read(request.headers.get("X-Auth-Token"))
    mount: Mapping[str, str] = request.environ[MOUNT]
    if token is None or token.scope is None:
        raise unauthorized(services)
    if token.project is None:
        raise HttpError(403, "Policy doesn't allow this with a token of no project.")
    tenant = mount.get("tenant", token.project.id)
    if services.rackspace and tenant != token.project.id:
        raise unauthorized(services)
    region = services.cloud.region(mount.get("region") or services.regions[0])
    root = request.root_url.rstrip("/")
    return Call(services, region, token, root)


def unauthorized(services: Services) -> HttpError:
    """Return the error for a missing, invalid or expired token."""
    version = "v2.0" if services.rackspace else "v3"
    uri = f"{request.host_url}identity/{version}"
    return HttpError(
        401,
        "The request you have made requires authentication.",
        {"WWW-Authenticate": f'Keystone uri="{uri}"'},
    )


def unauthorized_body(services: Services, fault: HttpError) -> dict[str, Any]:
    """Return the body of a 401 as the middleware that checks tokens words it."""
    if services.rackspace:
        return {"unauthorized": {"code": 401, "message": fault.message}}
    return {"error": {"code": 401, "title": "Unauthorized", "message": fault.message}}


def bare(status: int) -> Response:
    """Return a response without a body, and so without a content type."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


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


# A plus sign that was not quoted in a query has become a space.
_UNQUOTED = re.compile(r"(:\d\d(?:\.\d+)?) (?=\d\d(:?\d\d)?$)", re.ASCII)


def parse_time(text: str) -> float:
    """Return an ISO 8601 date and time in unix seconds; UTC unless it has an offset.

    :raises ValueError: for anything else.
    """
    try:
        written = _UNQUOTED.sub(r"\1+", text.strip().upper())
        return iso8601.parse_date(written).timestamp()
    except iso8601.ParseError:
        raise ValueError(f"'{text}' is not a time") from None
