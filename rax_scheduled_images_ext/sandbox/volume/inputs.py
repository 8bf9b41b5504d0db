"""Checks of requests to the block storage API: bodies, rights, pages of lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from jsonschema import Draft4Validator, ValidationError
from oslo_utils import strutils

from rax_scheduled_images_ext.sandbox.backend.directory import MEMBER
from rax_scheduled_images_ext.sandbox.backend.models import Volume, VolumeSnapshot
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

Json = dict[str, Any]
Thing = TypeVar("Thing", bound=Volume | VolumeSnapshot)

# Our names for query parameters.
_COLUMNS = {
    **dict.fromkeys(("id", "name", "status", "size", "bootable", "volume_id"), None),
    "created_at": "created",
    "updated_at": "updated",
}


def may(call: Call, policy: str) -> None:
    """Check that the caller may change something.

    :raises HttpError: 403 naming the policy, if not.
    """
    if MEMBER not in call.token.roles:
        raise HttpError(403, f"Policy doesn't allow {policy} to be performed.")


def listed_project(call: Call) -> str | None:
    """Return the project to list; None for all, which only operators can request."""
    asked = strutils.bool_from_string(request.args.get("all_tenants", ""))
    return call.only_project if asked else call.project_id


def body(schema: Json, key: str) -> Json:
    """Return the object under a key of the request's JSON, checked by the schema.

    :raises HttpError: 400 for anything else.
    """
    content = request.get_json(force=True, silent=True)
    if content is None:
        raise HttpError(400, "Malformed request body")
    try:
        Draft4Validator(schema).validate(content)
    except ValidationError as error:
        raise HttpError(400, _message(error)) from None
    found: Json = content[key]
    return found


def _message(error: ValidationError) -> str:
    if not error.path:
        return str(error.message)
    return (
        f"Invalid input for field/attribute {error.path[-1]}. Value: {error.instance}."
        f" {error.message}"
    )


def page(
    call: Call, path: str, things: Sequence[Thing], filters: Sequence[str]
) -> tuple[list[Thing], Json]:
    """Return the page that a query asks for, and the link to the next one.

    :param path: the path of the list, without the leading slash.
    :param filters: the query parameters that filter; others are ignored.
    :raises HttpError: 400 for an invalid query.
    """
    wanted = {word: request.args[word] for word in filters if word in request.args}
    found = [each for each in things if _matches(each, wanted)]
    found = _sorted(found)
    size = min(_number("limit", call.services.max_limit), call.services.max_limit)
    first = _number("offset", 0) + _after_marker(found, path)
    listed = found[first : first + size]
    if not listed or len(listed) < size:
        return listed, {}
    given = request.args.items(multi=True)
    others = [(word, text) for word, text in given if word != "marker"]
    query = urlencode([*others, ("marker", listed[-1].id)])
    link = {"rel": "next", "href": f"{call.root}/{path}?{query}"}
    return listed, {f"{path.partition('/')[0]}_links": [link]}


def _matches(thing: Thing, wanted: Mapping[str, str]) -> bool:
    return all(
        str(getattr(thing, _COLUMNS.get(word) or word)).lower() == text.lower()
        for word, text in wanted.items()
    )


def _sorted(things: list[Thing]) -> list[Thing]:
    text = request.args.get("sort") or ":".join(
        (
            request.args.get("sort_key", "created_at"),
            request.args.get("sort_dir", "desc"),
        )
    )
    for part in reversed(text.split(",")):
        key, _, direction = part.strip().partition(":")
        if key not in _COLUMNS or direction not in ("", "asc", "desc"):
            raise HttpError(400, "Invalid input received: Invalid sort key")
        column = _COLUMNS[key] or key
        things = sorted(
            things,
            key=lambda each: (getattr(each, column, "") or "", each.id),
            reverse=direction != "asc",
        )
    return things


def _number(word: str, default: int) -> int:
    try:
        number = int(request.args.get(word, default))
    except ValueError:
        raise HttpError(400, f"{word} param must be an integer") from None
    if number < 0:
        raise HttpError(400, f"{word} param must be positive")
    return number


def _after_marker(things: Sequence[Thing], path: str) -> int:
    marker = request.args.get("marker")
    if marker is None:
        return 0
    for place, each in enumerate(things):
        if each.id == marker:
            return place + 1
    kind = "Volume" if path.startswith("volumes") else "Snapshot"
    raise HttpError(404, f"{kind} {marker} could not be found.")
