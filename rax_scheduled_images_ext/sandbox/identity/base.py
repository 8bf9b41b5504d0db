"""What both versions of the identity API have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.sandbox.backend.directory import Token, User
from rax_scheduled_images_ext.sandbox.http.common import HttpError, Services

Json = dict[str, Any]
Views = list[tuple[str, str, Callable[..., ResponseReturnValue]]]


def version_view(version: str, root: str) -> Json:
    """Return the document of one version; ``root`` is that version's URL."""
    media = {
        "base": "application/json",
        "type": f"application/vnd.openstack.identity-{version}+json",
    }
    return {
        "id": "v3.14" if version == "v3" else version,
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": root}],
        "media-types": [media],
    }


def service_root() -> str:
    """Return the URL that all services share."""
    return request.host_url.rstrip("/")


def body() -> Mapping[str, Any]:
    """Return the request's JSON object, an empty one if there is no body.

    :raises HttpError: 400 for anything else.
    """
    if not request.get_data():
        return {}
    if request.mimetype == "application/x-www-form-urlencoded":
        raise expected("application/json", "Content-Type header")
    content = request.get_json(force=True, silent=True)
    if not isinstance(content, dict):
        raise expected("valid JSON", "request body")
    return content


def part(
    whole: Mapping[str, Any], *path: str, where: str = "request body"
) -> Mapping[str, Any]:
    """Return the object found under these keys.

    :param where: what ``whole`` is.
    :raises HttpError: 400 if there is none.
    """
    at = whole
    for key in path:
        inner = at.get(key)
        if not isinstance(inner, dict):
            raise expected(key, where)
        at, where = inner, key
    return at


def expected(what: str, where: str) -> HttpError:
    """Return the error for a request that lacks something."""
    return HttpError(
        400,
        f"Expecting to find {what} in {where}. The server could not comply with the"
        " request since it is either malformed or otherwise incorrect. The client is"
        " assumed to be in error.",
    )


class Api:
    """One version of the API: its routes, and how it writes errors."""

    # Headers of every response.
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.directory

    def routes(self) -> Views:
        """Return methods, paths and their handlers."""
        raise NotImplementedError

    def fault(self, fault: HttpError) -> ResponseReturnValue:
        """Write an error."""
        raise NotImplementedError

    def unrouted(self, error: HTTPException) -> ResponseReturnValue:
        """Answer a path or method that no route has."""
        return self.fault(HttpError(error.code or 500, error.description or error.name))

    def _refuse(self) -> HttpError:
        return HttpError(401, "The request you have made requires authentication.")

    def _caller(self) -> Token:
        """Return the token of the request."""
        token = self._directory.read(request.headers.get("X-Auth-Token"))
        if token is None:
            raise self._refuse()
        return token

    def _token(self, text: object) -> Token:
        """Return the token with this text.

        :raises HttpError: 404 for an unknown, revoked or expired one.
        """
        token = self._directory.read(text if isinstance(text, str) else None)
        if token is None:
            raise HttpError(404, "Failed to validate token")
        return token

    def _role_view(self, role: str) -> Json:
        return {"id": self._directory.id_of("role", role), "name": role}

    def _with_password(self, user: User | None, password: object) -> User:
        if user is None or not self._directory.has_password(password):
            raise self._refuse()
        return user
