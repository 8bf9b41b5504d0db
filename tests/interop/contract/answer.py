"""Reducing an answer to what can be compared between two clouds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import requests

Summary = dict[str, Any]

# Headers that a client of the services may look at. Of some the value matters, too.
HEADERS = (
    "Accept-Patch",
    "Allow",
    "Location",
    "OpenStack-API-Version",
    "Retry-After",
    "Vary",
    "WWW-Authenticate",
    "X-Compute-Request-Id",
    "X-OpenStack-Nova-API-Version",
    "X-Openstack-Request-Id",
    "X-Subject-Token",
)
VALUES = {"OpenStack-API-Version", "Vary", "X-OpenStack-Nova-API-Version"}

_KINDS = (
    ("id", re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
    ("time Z", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")),
    ("time .000000Z", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")),
    ("time .000000", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")),
    ("time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")),
    ("url", re.compile(r"https?://.*")),
    ("empty", re.compile("")),
)


def summarize(
    answer: requests.Response,
    normal: Callable[[str], str],
    show: tuple[str, ...],
    deep: bool,
) -> Summary:
    """Return what is compared of an answer, as JSON.

    :param normal: replaces what is a cloud's own (ids, addresses) by common words.
    """
    summary: Summary = {
        "status": answer.status_code,
        "headers": _headers(answer, normal),
    }
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    failed = answer.status_code >= 400
    if not answer.content:
        summary["body"] = "empty"
    elif kind.endswith("json"):
        body = answer.json()
        summary["body"] = shape(body, deep=deep)
        if failed:
            said = [*find(body, "message"), *find(body, "*.message")]
            summary["message"] = normal(" ".join(map(str, said)))
        else:
            values = {path: list(find(body, path)) for path in show}
            summary["values"] = json.loads(normal(json.dumps(values)))
    else:
        summary["body"] = "not JSON"
        if failed:
            summary["message"] = normal(" ".join(answer.text.split()))
    return summary


def _headers(answer: requests.Response, normal: Callable[[str], str]) -> dict[str, str]:
    found = {"Content-Type": answer.headers.get("Content-Type", "none").lower()}
    for name in HEADERS:
        if name in answer.headers:
            found[name] = normal(answer.headers[name]) if name in VALUES else "yes"
    return found


def shape(value: object, *, deep: bool = True) -> Any:
    """Return the form of a JSON value: keys, kinds of values, each list item's once."""
    if isinstance(value, dict):
        return {key: shape(value[key]) if deep else "" for key in sorted(value)}
    if isinstance(value, list):
        shapes = {json.dumps(shape(item, deep=deep)) for item in value}
        return [json.loads(text) for text in sorted(shapes)]
    if isinstance(value, str):
        kinds = (kind for kind, pattern in _KINDS if pattern.fullmatch(value))
        return next(kinds, "text")
    return "null" if value is None else type(value).__name__


def find(value: Any, path: str) -> Iterator[Any]:
    """Yield what is at the path; a ``*`` stands for every item and every key."""
    first, _, rest = path.partition(".")
    if not path:
        yield value
    elif isinstance(value, list):
        chosen = value if first == "*" else value[int(first) :][:1]
        for item in chosen:
            yield from find(item, rest)
    elif isinstance(value, dict):
        for key in value if first == "*" else value.keys() & {first}:
            yield from find(value[key], rest)


def differences(left: Summary, right: Summary) -> Iterator[tuple[str, Any, Any]]:
    """Yield where two summaries differ: what of them, the one's, the other's.

    Answers of different status have nothing else in common that could be compared.
    """
    if left["status"] != right["status"]:
        yield "status", left["status"], right["status"]
        return
    for key in sorted(left.keys() | right.keys()):
        yield from _differences(key, left.get(key), right.get(key))


def _differences(where: str, left: Any, right: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            inner = left.get(key, "absent"), right.get(key, "absent")
            yield from _differences(f"{where}.{key}", *inner)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _differences(f"{where}.{index}", one, other)
    elif left != right:
        yield where, left, right
