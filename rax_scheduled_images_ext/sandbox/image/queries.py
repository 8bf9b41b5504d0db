"""Parses the query string of ``GET /images``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug.datastructures import MultiDict

from rax_scheduled_images_ext.sandbox.backend.models import (
    Comparison,
    ImageQuery,
    Sort,
)
from rax_scheduled_images_ext.sandbox.http.common import HttpError, parse_time
from rax_scheduled_images_ext.sandbox.image.schemas import VISIBILITIES

# The default length of a page.
DEFAULT_LIMIT = 25

_SORT_KEYS = {
    "name": "name",
    "status": "status",
    "container_format": "container_format",
    "disk_format": "disk_format",
    "size": "size",
    "id": "id",
    "created_at": "created",
    "updated_at": "updated",
}
# Attributes that support ``in:``, and those that support only equality.
_WITH_IN = frozenset("name id status container_format disk_format".split())
_NUMBERS = frozenset({"min_disk", "min_ram", "size"})
_PLAIN = frozenset({"checksum", "owner"})
_TRUTHS = {"protected": "protected", "os_hidden": "hidden"}
_TIMES = {"created_at": "created", "updated_at": "updated"}
_OPERATORS = frozenset("eq neq gt gte lt lte".split())
_NOT_FILTERS = frozenset(
    "limit marker sort sort_key sort_dir tag member_status".split()
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)",?|([^,]+),?|,')


# The states of an image that is shared with a project.
_MEMBER_STATUSES = ("pending", "accepted", "rejected", "all")


@dataclass
class _Filters:
    equals: dict[str, str | bool | int] = field(
        default_factory=lambda: {"hidden": False}
    )
    within: dict[str, tuple[str, ...]] = field(default_factory=dict)
    compares: list[tuple[str, Comparison]] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)


def parse(
    given: MultiDict[str, str], project_id: str | None, longest: int
) -> ImageQuery:
    """Parse a query.

    :param project_id: the project whose images, and the public ones, are listed; None
        for all images.
    :raises HttpError: 400 for an invalid query.
    """
    filters = _Filters()
    for name, text in given.items():
        if name not in _NOT_FILTERS:
            _filter(filters, name, text)
    _check_member_status(given.get("member_status", "all"))
    return ImageQuery(
        project_id=project_id,
        equals=filters.equals,
        within=filters.within,
        compares=tuple(filters.compares),
        properties=filters.properties,
        tags=tuple(tag.strip() for tag in given.getlist("tag")),
        marker=given.get("marker"),
        limit=min(_limit(given), longest),
        sort=_sort(given),
    )


def _limit(given: Mapping[str, str]) -> int:
    try:
        limit = int(given.get("limit", DEFAULT_LIMIT))
    except ValueError:
        raise HttpError(400, "limit param must be an integer") from None
    if limit < 0:
        raise HttpError(400, "limit param must be positive")
    return limit


def _filter(filters: _Filters, name: str, text: str) -> None:
    if name == "changes-since":
        raise HttpError(400, 'The "changes-since" filter is no longer available on v2.')
    if name == "visibility":
        _visibility(filters, text)
    elif name in _TRUTHS:
        filters.equals[_TRUTHS[name]] = _truth(name, text)
    elif name in _TIMES:
        filters.compares.append((_TIMES[name], _moment(name, text)))
    elif name in _WITH_IN:
        _in_or_equal(filters, name, text)
    elif name.endswith(("_min", "_max")) and name[:-4] in _NUMBERS:
        operator = "gte" if name.endswith("_min") else "lte"
        filters.compares.append((name[:-4], (operator, _number(text))))
    elif name in _NUMBERS or name in _PLAIN:
        filters.equals[name] = _number(text) if name in _NUMBERS else text
    else:
        # No operators here: "in:a,b" is compared literally, as in Glance.
        filters.properties[name] = text


def _visibility(filters: _Filters, text: str) -> None:
    if text not in (*VISIBILITIES, "all"):
        raise HttpError(400, f"Invalid visibility value: {text}")
    if text != "all":
        filters.equals["visibility"] = text


def _check_member_status(status: str) -> None:
    if status not in _MEMBER_STATUSES:
        raise HttpError(400, f"Invalid status: {status}")


def _truth(name: str, text: str) -> bool:
    word = text.lower() if name == "os_hidden" else text
    if word not in ("true", "false"):
        raise HttpError(
            400,
            f"Invalid value '{text}' for '{name}' filter. Valid values are 'true' or"
            " 'false'.",
        )
    return word == "true"


def _number(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise HttpError(400, "Unable to filter on a range with a non-numeric value.")
    return int(text)


def _moment(name: str, text: str) -> Comparison:
    operator, colon, rest = text.partition(":")
    # The time itself also contains colons.
    if colon and operator.isalpha() and operator not in _OPERATORS:
        raise HttpError(400, "Unable to filter on a unknown operator.")
    if operator not in _OPERATORS:
        operator, rest = "eq", text
    try:
        return operator, parse_time(rest)
    except (ValueError, OverflowError):
        raise HttpError(
            400,
            f'Bad "{name}" query filter format. Use ISO 8601 DateTime notation.',
        ) from None


def _in_or_equal(filters: _Filters, name: str, text: str) -> None:
    operator, colon, rest = text.partition(":")
    if not colon or operator == "eq":
        filters.equals[name] = rest if colon else text
    elif operator == "in":
        found = _QUOTED.findall(rest)
        filters.within[name] = tuple(quoted or plain for quoted, plain in found)
    else:
        raise HttpError(400, f"Unable to filter by unknown operator '{operator}'.")


def _sort(given: MultiDict[str, str]) -> Sort:
    if "sort" in given:
        if "sort_key" in given or "sort_dir" in given:
            raise HttpError(400, "Old and new sorting syntax cannot be combined")
        pairs = [part.partition(":") for part in given["sort"].strip().split(",")]
        keys = [key.strip() for key, _, _ in pairs]
        directions = [direction.strip() or "desc" for _, _, direction in pairs]
    else:
        keys = [key.strip() for key in given.getlist("sort_key")] or ["created_at"]
        directions = [d.strip() for d in given.getlist("sort_dir")] or ["desc"]
        if len(directions) == 1:
            directions *= len(keys)
    return _checked_sort(keys, directions)


def _checked_sort(keys: list[str], directions: list[str]) -> Sort:
    for key in keys:
        if key not in _SORT_KEYS:
            raise HttpError(
                400,
                f"Invalid sort key: {key}. It must be one of the following:"
                f" {', '.join(_SORT_KEYS)}.",
            )
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise HttpError(400, f"Invalid sort direction: {direction}")
    if len(keys) != len(directions):
        raise HttpError(
            400, "Number of sort dirs does not match the number of sort keys"
        )
    order = {_SORT_KEYS[key]: way for key, way in zip(keys, directions, strict=True)}
    for key in ("created", "id"):
        order.setdefault(key, directions[0])
    return tuple(order.items())
