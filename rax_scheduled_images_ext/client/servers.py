"""Servers by what people call them: an ID, or a name that only one has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from rax_scheduled_images_ext.client.http import ApiResponse, Transport, path
from rax_scheduled_images_ext.errors import (
    NoMatch,
    NoSuchServer,
    SeveralMatches,
)
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.server import ServerFacts
from rax_scheduled_images_ext.model.times import read_time

Result = TypeVar("Result")


_ID = re.compile("[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
# Clouds search names by a regular expression of their database's own dialect;
# these are the characters that mean something in all of them.
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")


def looks_like_id(text: str) -> bool:
    """Whether ``text`` has the form of a UUID."""
    return _ID.fullmatch(text) is not None


def with_server(
    transport: Transport, wanted: str, action: Callable[[str], Result]
) -> Result:
    """Run ``action`` with the ID of the server whose ID or name is ``wanted``.

    What looks like an ID is tried as one first, at the cost of no request of
    its own; only if the cloud knows no such server is it a name.

    :raises NoMatch: if no server has that ID or name.
    :raises SeveralMatches: if it is the name of several.
    """
    if looks_like_id(wanted):
        try:
            return action(wanted)
        except NoSuchServer:
            pass
    return action(find_by_name(transport, wanted))


def find_by_name(transport: Transport, name: str) -> str:
    """Return the ID of the one server that has exactly this name.

    :raises NoMatch: if there is none.
    :raises SeveralMatches: if there are several.
    """
    for pattern in _patterns(name):
        ids = list(dict.fromkeys(_named(transport, name, pattern)))
        if len(ids) > 1:
            raise SeveralMatches("server", name, ids)
        if ids:
            return ids[0]
    raise NoMatch("server", name)


def _patterns(name: str) -> list[str]:
    """What to ask for: the exact name first; some clouds take it only literally."""
    if looks_like_id(name):
        return [name]
    return [f"^{escaped(name)}$", name]


def escaped(name: str) -> str:
    """Return a name as a regular expression that finds nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", name)


def _named(transport: Transport, name: str, pattern: str) -> Iterator[str]:
    """Yield the IDs of the servers called ``name`` among those of a pattern."""
    for answer in transport.pages("/servers", {"name": pattern}, next_page):
        for server in answer.objects("servers"):
            if server.get("name") != name:
                continue
            if not isinstance(server.get("id"), str):
                raise answer.unexpected("with a server that has no ID")
            yield server["id"]


def read_server(
    answer: ApiResponse,
    item: Mapping[str, Any],
    *,
    schedule: ImageSchedule | None = None,
    invalid_tag: str | None = None,
) -> InventoryServer:
    """Return a server of an answer, with the schedule that it has been found to have.

    :raises UnexpectedAnswer: for one without an ID.
    """
    server_id, status = item.get("id"), item.get("status")
    if not isinstance(server_id, str) or not server_id:
        raise answer.unexpected("with a server that has no ID")
    task = item.get("OS-EXT-STS:task_state")
    return InventoryServer(
        server_id,
        str(item.get("name") or ""),
        read_time(item.get("created")),
        schedule,
        project_id=read_project(item),
        invalid_tag=invalid_tag,
        status=status if isinstance(status, str) else None,
        task_state=task if isinstance(task, str) else None,
        image_id=_key_of(item.get("image")),
    )


def read_facts(answer: ApiResponse, item: Mapping[str, Any]) -> ServerFacts:
    """Return all that an answer shows of a server, but for what is secret.

    :raises UnexpectedAnswer: for one without an ID.
    """
    known = read_server(answer, item)
    image, flavor, fault = (item.get(key) for key in ("image", "flavor", "fault"))
    metadata, tags = item.get("metadata"), item.get("tags")
    locked, zone = item.get("locked"), item.get("OS-EXT-AZ:availability_zone")
    return ServerFacts(
        known.id,
        known.name,
        known.project_id,
        known.status,
        known.task_state,
        locked=locked if isinstance(locked, bool) else None,
        image_id="" if image == "" else _key_of(image),
        flavor_id=_key_of(flavor),
        groups=_each(item.get("security_groups"), "name"),
        key_name=item.get("key_name") or None,
        zone=zone if isinstance(zone, str) and zone else None,
        config_drive=str(item.get("config_drive")).lower() == "true",
        volumes=_each(item.get("os-extended-volumes:volumes_attached"), "id") or (),
        metadata=metadata if isinstance(metadata, dict) else {},
        description=item.get("description") or None,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else None,
        fault=str(fault.get("message")) if isinstance(fault, dict) else None,
    )


def _key_of(part: object) -> str | None:
    key = part.get("id") if isinstance(part, dict) else None
    return key if isinstance(key, str) and key else None


def _each(parts: object, key: str) -> tuple[str, ...] | None:
    """Return the values of a key in a list of objects, each once; None for no list."""
    if not isinstance(parts, list):
        return None
    found = [part[key] for part in parts if isinstance(part, dict) and part.get(key)]
    return tuple(dict.fromkeys(map(str, found)))


def find_server(transport: Transport, server_id: str) -> ApiResponse:
    """Return the answer with a server.

    :raises NoSuchServer: if the service itself answers that there is none.
    """
    answer = transport.get(path("servers", server_id))
    if answer.status == 404 and answer.error_message("itemNotFound"):
        raise NoSuchServer(server_id)
    return answer.checked()


def read_date(answer: ApiResponse) -> datetime | None:
    """Return when the cloud answered, by its own clock."""
    try:
        date = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def read_project(server: Mapping[str, Any]) -> str | None:
    """Return the ID of the project of a server in an answer, None without one."""
    project_id = server.get("tenant_id")
    return project_id if isinstance(project_id, str) and project_id else None


def next_page(answer: ApiResponse) -> str | None:
    """Return the address of the next page of a list of servers."""
    return answer.next_link("servers_links")


def next_marker(answer: ApiResponse) -> str | None:
    """Return the ID of the server after which the next page begins."""
    link = next_page(answer)
    if link is None:
        return None
    found = parse_qs(urlsplit(link).query).get("marker")
    if not found:
        raise answer.unexpected("its next page has no marker")
    return found[0]
