"""Checks of requests to the compute API: bodies, queries, names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from flask import request
from flask.typing import ResponseReturnValue
from oslo_utils import strutils

from rax_scheduled_images_ext.sandbox.backend.directory import ADMIN, MEMBER
from rax_scheduled_images_ext.sandbox.backend.models import Image, NotFound, Server
from rax_scheduled_images_ext.sandbox.compute.schemas import SET_ITEM, Json, validate
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError, parse_time


def may(call: Call, policy: str, role: str = MEMBER) -> None:
    """Check that the caller has the role.

    :raises HttpError: 403 naming the policy, if not.
    """
    if role not in call.token.roles:
        raise refused(policy)


def refused(policy: str) -> HttpError:
    """Return the error for a request that a policy forbids."""
    return HttpError(
        403, f"Policy doesn't allow os_compute_api:{policy} to be performed."
    )


def find_server(call: Call, server_id: str, *, deleted: bool = False) -> Server:
    """Return a server that the caller may use.

    :raises HttpError: 404 for any other.
    """
    server = call.region.servers.get(server_id, deleted=deleted)
    if not call.reaches(server.project_id):
        raise HttpError(404, f"Instance {server_id} could not be found.")
    return server


def visible_image(call: Call, image_id: str) -> Image | None:
    """Return an image that the caller may boot from, None if there is no such image."""
    try:
        image = call.region.images.get(image_id)
    except NotFound:
        return None
    return image if call.sees(image) else None


def known_key(call: Call, name: str) -> None:
    """Check that the caller has a key pair with this name.

    :raises HttpError: 400 if not.
    """
    try:
        call.region.keypairs.get(call.user_id, name)
    except NotFound:
        raise HttpError(400, "Invalid key_name provided.") from None


def unlocked(call: Call, server: Server) -> Server:
    """Return the server, unless it is locked for the caller.

    :raises HttpError: 409 if it is locked; admins can ignore locks.
    """
    if server.locked and ADMIN not in call.token.roles:
        raise HttpError(409, f"Instance {server.id} is locked")
    return server


def nothing(status: int) -> ResponseReturnValue:
    """Return a response without a body, which Nova nevertheless labels as JSON."""
    return "", status, {"Content-Type": "application/json"}


def content() -> Any:
    """Return the request's JSON, without checking it against a schema.

    :raises HttpError: 400 for anything else.
    """
    found = request.get_json(force=True, silent=True)
    if found is None:
        raise HttpError(400, "Malformed request body")
    return found


def body(schema: Json) -> Any:
    """Return the request's JSON, checked against the schema.

    :raises HttpError: 400 for anything else.
    """
    return validate(content(), schema)


def bad_parameter(name: str, value: object, why: str) -> HttpError:
    """Return the error for an invalid value in a query."""
    return HttpError(
        400, f"Invalid input for query parameters {name}. Value: {value}. {why}"
    )


def checked_item(key: str) -> dict[str, str]:
    """Return the only metadata item of the request, which must have this key.

    :raises HttpError: 400 for anything else.
    """
    item: dict[str, str] = validate(content(), SET_ITEM)["meta"]
    if set(item) != {key}:
        raise HttpError(400, "Request body and URI mismatch")
    return item


def given(name: str) -> str | None:
    """Return the value of a query parameter; if repeated, the last one."""
    values = request.args.getlist(name)
    return values[-1] if values else None


def pattern(name: str) -> str | None:
    """Return a regular expression from the query.

    :raises HttpError: 400 for anything else.
    """
    regex = given(name)
    try:
        re.compile(regex or "")
    except re.error:
        raise bad_parameter(name, regex, f"'{regex}' is not a 'regex'") from None
    return regex


def page_size(call: Call) -> int:
    """Return the maximum number of entries to return.

    :raises HttpError: 400 for a limit that is no number.
    """
    limit = given("limit")
    longest = call.services.max_limit
    if limit is None:
        return longest
    if not limit:
        raise bad_parameter("limit", limit, "'' should be non-empty")
    if not re.fullmatch(r"\d{1,18}", limit, re.ASCII):
        raise bad_parameter("limit", limit, f"'{limit}' does not match '^[0-9]*$'")
    return min(int(limit), longest)


def next_link(
    call: Call, path: str, ids: Iterable[str], size: int, key: str | None = None
) -> dict[str, Any]:
    """Return the link to the page after this one, under ``<what>_links`` or a key.

    As in Nova, a full page always has one, even the last page.
    """
    listed = list(ids)
    if not size or len(listed) != size:
        return {}
    others = [pair for pair in request.args.items(multi=True) if pair[0] != "marker"]
    query = [*sorted(others), ("marker", listed[-1])]
    href = f"{call.root}/{path}?{urlencode(query)}"
    key = key or f"{path.partition('/')[0]}_links"
    return {key: [{"rel": "next", "href": href}]}


def since(name: str) -> float | None:
    """Return a time from the query, in Unix seconds.

    :raises HttpError: 400 for anything else.
    """
    moment = given(name)
    if moment is None:
        return None
    try:
        return parse_time(moment)
    except (ValueError, OverflowError):
        raise bad_parameter(name, moment, f"'{moment}' is not a 'date-time'") from None


def only_once(*names: str) -> None:
    """Check that the query repeats none of these parameters.

    :raises HttpError: 400 naming the first one that is repeated.
    """
    for name in names:
        values = request.args.getlist(name)
        if len(values) > 1:
            raise bad_parameter(name, values, f"{values} is too long")


def truth(word: str) -> bool:
    """Return the boolean that a word means, in any letter case.

    :raises HttpError: 400 for any other word.
    """
    try:
        return bool(strutils.bool_from_string(word, strict=True))
    except ValueError as error:
        raise HttpError(400, str(error)) from None
