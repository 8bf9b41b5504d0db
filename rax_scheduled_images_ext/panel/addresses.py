"""URLs of the panel's own pages, with the prefix under which it is reached."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

from flask import current_app, request
from werkzeug.exceptions import HTTPException

# The fields of a form that nobody typed, or that must not be in a URL.
_NOT_TYPED = ("csrf_token", "once", "reviewed", "shown", "password")
_LONGEST = 6000
_SAFE = "/:@!$&'()*+,;=~-._"
# Browsers drop tabs and line ends, and read a backslash as a slash.
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)


def this_address() -> str:
    """Return the URL of the request, including prefix and query."""
    return _address(request.path, request.query_string.decode("ascii", "replace"))


def form_address() -> str | None:
    """Return the URL of the page that shows a form again as it was filled in.

    It is the nearest page above the form's own URL that can be opened.
    """
    path = request.path.rstrip("/")
    while path:
        if _opens(path):
            typed = [
                (key, value)
                for key, value in request.form.items(multi=True)
                if key not in _NOT_TYPED
            ]
            query = urlencode(typed)
            if len(query) > _LONGEST:
                query = urlencode([(k, v) for k, v in typed if k != "server"])
            return _address(path, query if len(query) <= _LONGEST else "")
        path = path.rpartition("/")[0]
    return None


def _opens(path: str) -> bool:
    routes = current_app.create_url_adapter(request)
    try:
        return routes is not None and bool(routes.match(path, method="GET"))
    except HTTPException:
        return False


def _address(path: str, query: str) -> str:
    whole = quote(request.root_path + path, safe=_SAFE)
    return f"{whole}?{query}" if query else whole


def local_address(address: str | None) -> str | None:
    """Return the URL if it is a page of this panel, else None."""
    if not address or not _LOCAL.fullmatch(address):
        return None
    path = address.partition("?")[0].partition("#")[0]
    if ".." in path.lower().replace("%2e", ".").split("/"):
        return None
    return address if address.startswith(f"{request.root_path}/") else None


def project_of(address: str | None) -> str | None:
    """Return the ID of the project in a URL."""
    parts = (address or "").removeprefix(request.root_path).split("/")
    return parts[2] if len(parts) > 3 and parts[1] == "p" else None
