"""Protects every page: headers, cookies, CSRF tokens, and forms sent once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.security import safe_join

from rax_scheduled_images_ext.panel.settings import Settings
from rax_scheduled_images_ext.programs.http_server import LONGEST_BODY

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_YEAR = 365 * 24 * 3600


class _Cookies(SecureCookieSessionInterface):
    """Flask's signed cookie; behind TLS it is only sent over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        return f"{request.root_path}/"


def protect(app: Flask, settings: Settings) -> None:
    """Protect all pages of an application; its forms also need CSRFProtect."""
    app.config.update(
        SECRET_KEY=settings.secret,
        SESSION_COOKIE_NAME=f"panel-{settings.port}" if settings.port else "panel",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=LONGEST_BODY,
    )
    app.session_interface = _Cookies()
    app.before_request(partial(_check_host, settings.hosts))
    app.after_request(_add_headers)
    app.url_defaults(_add_version)
    count = settings.proxies
    if count:
        fixed: Any = ProxyFix(
            app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_prefix=count
        )
        app.wsgi_app = fixed  # type: ignore[method-assign]


def _check_host(known: Collection[str]) -> None:
    """Refuse requests with a host name that is not the panel's.

    They may come from someone else's page whose name resolves to this machine.

    :raises SecurityError: for such a request.
    """
    if urlsplit(f"//{request.host}").hostname not in known:
        raise SecurityError


def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    """Make the URL of a static file change with its content."""
    if endpoint == "static":
        values["v"] = _version(values["filename"])


@cache
def _version(filename: str) -> str:
    path = safe_join(str(current_app.static_folder), filename)
    try:
        content = Path(str(path)).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(content).hexdigest()[:12]


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint == "static" and response.status_code in (200, 304):
        response.cache_control.public = True
        if request.args.get("v") == _version(
            str((request.view_args or {}).get("filename"))
        ):
            response.cache_control.no_cache = None
            response.cache_control.max_age = _YEAR
            response.cache_control.immutable = True
        else:
            # Revalidated each time: it has an ETag.
            response.cache_control.no_cache = True
    else:
        # No page stays on a shared machine after the session.
        response.headers["Cache-Control"] = "no-store"
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = f"max-age={_YEAR}"
    return response


def is_refresh() -> bool:
    """Whether a page updates itself, without the user doing anything."""
    return request.method == "GET" and "X-Panel-Refresh" in request.headers
