"""Responses with servers: schedules instead of tags, and the filter on them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from webob import Response

from rax_scheduled_images_ext.errors import InvalidValue, MalformedTag
from rax_scheduled_images_ext.model.extension import (
    ATTRIBUTE,
    parse_filter,
    schedule_object,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    POLICY_PREFIX,
    is_own_tag,
    read_schedule_tags,
)
from rax_scheduled_images_ext.service.api import versions
from rax_scheduled_images_ext.service.api.answers import (
    Refused,
    fault,
    json_body,
    json_object,
)
from rax_scheduled_images_ext.service.api.nova import Nova

Query = list[tuple[str, str]]


def one_server(nova: Nova, server_id: str) -> Response:
    """Answer with one server: shown, changed or rebuilt."""
    answer = nova.pass_on()
    server = json_object(answer, "server")
    if server is None:
        return answer
    if isinstance(server.get("tags"), list):
        show_schedule(server)
    else:
        schedule = _find_schedule(nova, server_id)
        if schedule is not None:
            server[ATTRIBUTE] = schedule_object(schedule)
    answer.json = {"server": server}
    return answer


def server_list(nova: Nova, *, detail: bool) -> Response | None:
    """Answer with a list of servers; None if Nova can answer by itself."""
    query = _parsed(nova.request.query_string)
    try:
        scheduled = _wanted(query)
    except InvalidValue as error:
        raise Refused(fault(400, str(error))) from None
    if not detail and scheduled is None:
        return None
    if scheduled is None and nova.older is None:
        answer, changed = nova.pass_on(), False
    else:
        sent = urlencode(_query_below(nova, query, scheduled), encoding="latin-1")
        answer, changed = nova.send("GET", nova.tail, query=sent), True
    body = json_body(answer)
    if body is not None:
        for server in body.get("servers", ()):
            _write(nova, server)
        if changed:
            _write_links(nova, body, query)
        answer.json = body
    return nova.in_own_form(answer) if changed else answer


def show_schedule(server: dict[str, Any]) -> None:
    """Replace the tags of a server's schedule with the schedule."""
    schedule = read_schedule(server["tags"])
    if schedule is not None:
        server[ATTRIBUTE] = schedule_object(schedule)
        own = [tag for tag in map(str, server["tags"]) if is_own_tag(tag)]
        if any(tag.startswith(POLICY_PREFIX) for tag in own):
            # For the service, which would not see its own tags otherwise.
            server[ATTRIBUTE]["tags"] = own
        server["tags"] = other_tags(server["tags"])


def read_schedule(tags: list[Any]) -> ImageSchedule | None:
    """Return the schedule in the tags.

    A malformed one stays visible as tags.
    """
    try:
        return read_schedule_tags(map(str, tags))
    except MalformedTag:
        return None


def other_tags(tags: list[Any]) -> list[Any]:
    """Return the tags that do not belong to schedules."""
    return [tag for tag in tags if not is_own_tag(str(tag))]


def _find_schedule(nova: Nova, server_id: str) -> ImageSchedule | None:
    """Request the schedule of a server whose tags Nova's response does not show.

    :raises Refused: if it is unknown and the caller only wants to see the server.
    """
    answer = nova.send("GET", f"/servers/{server_id}/tags")
    tags = (json_body(answer) or {}).get("tags")
    if isinstance(tags, list):
        return read_schedule(tags)
    if nova.request.method == "GET" and answer.status_int not in (403, 404):
        raise Refused(nova.in_own_form(answer), own=False)
    return None


def _wanted(query: Query) -> bool | None:
    """Return the value of the extension's filter, None without the filter.

    :raises InvalidValue: for anything but True and False.
    """
    values = [value for name, value in query if name == ATTRIBUTE]
    return parse_filter(values[-1]) if values else None


def _query_below(nova: Nova, query: Query, scheduled: bool | None) -> Query:
    """Return the query for Nova: the extension's filter becomes a filter on tags."""
    unknown = versions.unknown_filters(nova.older) if nova.older else set()
    known = [pair for pair in query if pair[0] not in unknown | {ATTRIBUTE}]
    if scheduled is None:
        return known
    # Given several tags, Nova requires all of them, or none.
    name = "tags" if scheduled else "not-tags-any"
    given = [value for key, value in known if key == name][-1:]
    others = [pair for pair in known if pair[0] != name]
    return [*others, (name, ",".join([*given, MARKER_TAG]))]


def _write(nova: Nova, server: dict[str, Any]) -> None:
    """Write a server of a list as the caller expects it."""
    if isinstance(server.get("tags"), list):
        show_schedule(server)
    if nova.older is not None:
        versions.reduce_server(server, nova.older)
    for link in server.get("links", ()):
        link["href"] = nova.own_link(link["href"])


def _write_links(nova: Nova, body: dict[str, Any], query: Query) -> None:
    """Give the links to other pages the caller's own query."""
    others = sorted(pair for pair in query if pair[0] != "marker")
    for link in body.get("servers_links", ()):
        address = urlsplit(nova.own_link(link["href"]))
        marker = [pair for pair in _parsed(address.query) if pair[0] == "marker"]
        changed = urlencode([*others, *marker], encoding="latin-1")
        link["href"] = address._replace(query=changed).geturl()


def _parsed(query: str) -> Query:
    return parse_qsl(query, keep_blank_values=True, encoding="latin-1")
