"""Reads requests so that Nova cannot read them differently.

What judges a request must read the same in it as what carries it out. So a request that
can be read in two ways is refused, and a judged request is passed on as it was read,
never as it was received.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from webob import Request

from rax_scheduled_images_ext.service.api.answers import Refused, fault

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# Nova's router obeys such a parameter of a query or a form instead of the method.
_METHOD_OVERRIDE = re.compile(r"(?:^|[&;])\s*_method\s*(?:[=&;]|$)")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
# What Nova takes for JSON.
_JSON = ("", "text/plain", "application/json", "application/vnd.openstack.compute+json")


def normalize(environ: WSGIEnvironment) -> None:
    """Normalize the path and the method of a request.

    :raises Refused: if Nova may understand them differently.
    """
    # As Nova reads it, so that it cannot mean something else there.
    environ["PATH_INFO"] = re.sub("//+", "/", environ["PATH_INFO"])
    environ["REQUEST_METHOD"] = environ["REQUEST_METHOD"].upper()
    try:
        path = environ["PATH_INFO"].encode("latin-1").decode()
    except UnicodeError:
        raise _refused("The path is not UTF-8.") from None
    # Nova's router ignores a line feed at the end of the path.
    if any(unicodedata.category(each) == "Cc" for each in path):
        raise _refused("Control characters are not allowed in the path.")
    if _METHOD_OVERRIDE.search(unquote_plus(environ.get("QUERY_STRING", ""))):
        raise _refused("The parameter _method is not allowed.")
    if Request(environ).content_type.lower() in _FORMS:
        raise _refused("Forms are not allowed.", 415)


def read_json(request: Request) -> Any:
    """Return the JSON of a request's body.

    :raises Refused: for anything but JSON in UTF-8 without a byte order mark.
    """
    charsets = _CHARSET.findall(request.headers.get("Content-Type", ""))
    encoding = request.headers.get("Content-Encoding", "identity")
    if (
        request.content_type.lower() not in _JSON
        or any(each.lower() not in ("utf-8", "utf8") for each in charsets)
        or encoding.lower() != "identity"
    ):
        raise _refused("The body must be JSON in UTF-8.", 415)
    # Not by `body`, which keeps a copy in a file.
    body = request.body_file.read() if request.is_body_readable else b""
    try:
        found = json.loads(body.decode(), object_pairs_hook=_object)
        # What cannot be passed on has not been read either.
        json.dumps(found)
    except (ValueError, RecursionError):
        raise _refused("Malformed request body") from None
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refused(message: str, status: int = 400) -> Refused:
    return Refused(fault(status, message))
