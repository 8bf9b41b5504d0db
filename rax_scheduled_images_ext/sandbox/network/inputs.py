"""Checks of requests to the network API: bodies, rights, filters and pages of lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import request
from jsonschema import Draft4Validator

from rax_scheduled_images_ext.sandbox.backend.directory import MEMBER
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

Json = dict[str, Any]
#: A text that may be absent or null.
TEXT: Json = {"type": ["string", "null"], "maxLength": 255}
# The query parameters that do not filter.
_PAGING = frozenset("fields limit marker page_reverse sort_dir sort_key".split())


def may(call: Call, action: str) -> None:
    """Check that the caller may change something.

    :raises HttpError: 403 naming the rule, if not.
    """
    if MEMBER not in call.token.roles:
        raise HttpError(403, f"(rule:{action}) is disallowed by policy")


def body(key: str, properties: Mapping[str, Json], *required: str) -> Json:
    """Return the object under a key of the request's JSON.

    :param properties: all properties that it may have.
    :raises HttpError: 400 for anything else.
    """
    content: Any = request.get_json(force=True, silent=True)
    schema = {
        "type": "object",
        "properties": {
            key: {
                "type": "object",
                "properties": dict(properties),
                "required": list(required),
                "additionalProperties": False,
            }
        },
        "required": [key],
    }
    for error in Draft4Validator(schema).iter_errors(content):
        where = error.path[-1] if error.path else key
        raise HttpError(400, f"Invalid input for {where}. Reason: {error.message}")
    found: Json = content[key]
    return found


def page(call: Call, path: str, views: Iterable[Json]) -> Json:
    """Return the page of a list that a query asks for, with the link to the next one.

    :param path: the path of the list, without the leading slash.
    """
    found = [view for view in views if _matches(view)]
    marker, limit = request.args.get("marker"), request.args.get("limit", "0")
    if not limit.isdecimal():
        raise HttpError(400, f"Invalid limit value '{limit}'.")
    first = 0
    if marker is not None:
        ids = [view["id"] for view in found]
        first = ids.index(marker) + 1 if marker in ids else len(ids)
    size = min(int(limit) or call.services.max_limit, call.services.max_limit)
    listed = found[first : first + size]
    fields = request.args.getlist("fields")
    key = path.replace("-", "_")
    answer: Json = {key: [_fields(view, fields) for view in listed]}
    if len(found) > first + size:
        pairs = [p for p in request.args.items(multi=True) if p[0] != "marker"]
        query = urlencode([*pairs, ("marker", listed[-1]["id"])])
        link = {"rel": "next", "href": f"{call.root}/{path}?{query}"}
        answer[f"{key}_links"] = [link]
    return answer


def _fields(view: Json, fields: Sequence[str]) -> Json:
    return {key: view[key] for key in fields if key in view} if fields else view


def _matches(view: Json) -> bool:
    return all(
        any(_has(view, word, text) for text in request.args.getlist(word))
        for word in request.args
        if word not in _PAGING
    )


def _has(view: Json, word: str, text: str) -> bool:
    value = view.get(word)
    if word == "fixed_ips":
        key, _, wanted = text.partition("=")
        return any(each.get(key) == wanted for each in view[word])
    if isinstance(value, bool):
        return text.lower() in (("true", "1") if value else ("false", "0"))
    return text in value if isinstance(value, list) else str(value or "") == text
