"""Servers: found by ID or unique name, and read from responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from requests import codes

from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    Transport,
    path,
    shared_text,
)
from rax_scheduled_images_ext.errors import (
    ApiError,
    MalformedTag,
    NoMatch,
    NoSuchServer,
    NotAdministrator,
    NotGone,
    SeveralMatches,
)
from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.policies import Candidate
from rax_scheduled_images_ext.model.retention import Rules
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, read_schedule_tags
from rax_scheduled_images_ext.model.server import ServerFacts, read_sizes
from rax_scheduled_images_ext.model.task_states import ServerState
from rax_scheduled_images_ext.model.times import read_time

Result = TypeVar("Result")

#: The query for the servers of all projects.
ALL_PROJECTS = {"all_tenants": "1"}

_ID = re.compile("[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
# Clouds search names by a regular expression of their database's own dialect;
# these are the characters that mean something in all of them.
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_TASK_STATE = "OS-EXT-STS:task_state"
_VOLUMES = "os-extended-volumes:volumes_attached"
# Nova still shows a server for a moment after its deletion.
_GONE = ("DELETED", "SOFT_DELETED")
# The actions in a server's history that end it.
_DELETIONS = ("delete", "forceDelete")


def looks_like_id(text: str) -> bool:
    """Whether ``text`` has the form of a UUID."""
    return _ID.fullmatch(text) is not None


def with_server(
    transport: Transport, wanted: str, action: Callable[[str], Result]
) -> Result:
    """Run ``action`` with the ID of the server whose ID or name is ``wanted``.

    What looks like an ID is tried as one first, without an extra request; only if the
    cloud has no such server is it taken for a name.

    :raises NoMatch: if no server has that ID or name.
    :raises SeveralMatches: if several have that name.
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
    """Return the patterns to search for: some clouds only take the literal name."""
    if looks_like_id(name):
        return [name]
    return [f"^{escaped(name)}$", name]


def escaped(name: str) -> str:
    """Return a regular expression that matches a name."""
    return _SPECIAL.sub(r"\\\g<0>", name)


def _named(transport: Transport, name: str, pattern: str) -> Iterator[str]:
    """Yield the IDs of the servers called ``name`` among those matching a pattern."""
    for answer in transport.pages("/servers", {"name": pattern}, next_page):
        for server in answer.objects("servers"):
            if server.get("name") != name:
                continue
            yield read_id(answer, server)


def find_server(transport: Transport, server_id: str) -> ApiResponse:
    """Return the response with a server.

    :raises NoSuchServer: if the service itself answers that there is none.
    """
    answer = transport.get(path("servers", server_id))
    if answer.not_found:
        raise NoSuchServer(server_id)
    return answer.checked()


def find_time(transport: Transport, server_id: str) -> datetime:
    """Return the cloud's time, whether there is this server or not."""
    return date_of(transport.get(path("servers", server_id)))


def find_state(transport: Transport, server_id: str) -> ServerState:
    """Return what a server is doing now.

    :raises NoSuchServer: if there is none, or it is deleted.
    """
    answer = find_server(transport, server_id)
    state = read_state(answer, answer.object("server"))
    if is_gone(state):
        raise NoSuchServer(server_id)
    return replace(state, seen=date_of(answer))


def find_deletion(transport: Transport, server_id: str) -> datetime | None:
    """Return when a server was deleted, by its history.

    From compute API 2.21 on, a deleted server has one until the cloud archives it.

    :returns: None if there is none.
    :raises NotGone: if it does not end with a deletion: whoever says that there is no
        such server may be wrong, or somebody has restored it.
    """
    answer = transport.get(path("servers", server_id, "os-instance-actions"))
    if answer.not_found:
        return None
    actions = answer.objects("instanceActions")
    newest = max(actions, key=lambda each: str(each.get("start_time")), default={})
    if newest.get("action") not in _DELETIONS:
        raise NotGone(f"The history of server {server_id} does not end with a deletion")
    return read_time(newest.get("start_time"))


def boots_from(transport: Transport, image_id: str, query: Mapping[str, Any]) -> bool:
    """Whether any server boots from an image.

    :param query: which servers to look at, in addition.
    """
    asked = {**query, "image": image_id}
    return any(
        _key_of(item.get("image")) == image_id
        for answer in server_pages(transport, "/servers/detail", asked)
        for item in answer.objects("servers")
    )


def server_pages(
    transport: Transport, url: str, query: Mapping[str, Any], **reading: Any
) -> Iterator[ApiResponse]:
    """Yield pages of servers, as :meth:`.Transport.pages` does.

    :raises NotAdministrator: if the user may not list those of all projects.
    """
    try:
        yield from transport.pages(url, query, next_page, **reading)
    except ApiError as error:
        if error.status == codes.forbidden and not ALL_PROJECTS.items() - query.items():
            raise NotAdministrator(error) from error
        raise


def is_gone(state: ServerState) -> bool:
    """Whether a server that is still shown is deleted."""
    return state.status in _GONE


def read_server(
    answer: ApiResponse,
    item: Mapping[str, Any],
    *,
    schedule: ImageSchedule | None = None,
    rules: Rules = Rules.OURS,
    excepted: bool = False,
    tag_count: int = 0,
) -> InventoryServer:
    """Return a server of a response.

    The keywords are those of :class:`.InventoryServer`.

    :raises UnexpectedAnswer: for one without an ID.
    """
    return InventoryServer(
        read_id(answer, item),
        str(item.get("name") or ""),
        read_time(item.get("created")),
        schedule,
        project_id=shared_text(item.get("tenant_id")) or None,
        status=shared_text(item.get("status")),
        task_state=shared_text(item.get(_TASK_STATE)),
        rules=rules,
        image_id=shared_text(_key_of(item.get("image"))),
        volumes=_each(item.get(_VOLUMES), "id") or (),
        excepted=excepted,
        tag_count=tag_count,
    )


def read_facts(answer: ApiResponse, item: Mapping[str, Any]) -> ServerFacts:
    """Return all that an answer shows of a server, but for what is secret.

    :raises UnexpectedAnswer: for one without an ID.
    """
    known = read_server(answer, item)
    image, flavor, fault = (item.get(key) for key in ("image", "flavor", "fault"))
    metadata, tags = item.get("metadata"), item.get("tags")
    locked, zone = item.get("locked"), item.get("OS-EXT-AZ:availability_zone")
    flavor = flavor if isinstance(flavor, dict) else {}
    return ServerFacts(
        known.id,
        known.name,
        known.project_id,
        known.status,
        known.task_state,
        locked=locked if isinstance(locked, bool) else None,
        image_id="" if image == "" else _key_of(image),
        flavor_id=_key_of(flavor),
        flavor_name=flavor.get("original_name") or None,
        sizes=read_sizes(flavor),
        groups=_each(item.get("security_groups"), "name"),
        key_name=item.get("key_name") or None,
        zone=zone if isinstance(zone, str) and zone else None,
        config_drive=str(item.get("config_drive")).lower() == "true",
        volumes=known.volumes,
        metadata=metadata if isinstance(metadata, dict) else {},
        description=item.get("description") or None,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else None,
        fault=str(fault.get("message")) if isinstance(fault, dict) else None,
        user_id=item.get("user_id") or None,
        created=known.created,
        addresses=_addresses(item.get("addresses")),
    )


def read_candidate(
    answer: ApiResponse, item: Mapping[str, Any], projects: Iterable[str] = ()
) -> Candidate:
    """Return a server of a response as policies see it.

    The scheduled images API shows the tags of a schedule in its attribute.

    :param projects: the ID and the name of its project, if they matter.
    :raises UnexpectedAnswer: for one without an ID or without tags.
    """
    shown, tags = item.get(ATTRIBUTE), item.get("tags")
    if not isinstance(tags, list):
        raise answer.unexpected("with a server that has no tags")
    if isinstance(shown, dict):
        tags = [*tags, MARKER_TAG, *(shown.get("tags") or ())]
    metadata, status = item.get("metadata"), item.get("status")
    return Candidate(
        read_id(answer, item),
        str(item.get("name") or ""),
        frozenset(projects),
        status if isinstance(status, str) else None,
        frozenset(map(str, tags)),
        dict(metadata) if isinstance(metadata, dict) else {},
        str(item.get("tenant_id")),
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


def _addresses(networks: object) -> tuple[str, ...]:
    """Return the addresses of a server on all networks."""
    ports = networks.values() if isinstance(networks, dict) else ()
    found = (_each(each, "addr") or () for each in ports)
    return tuple(address for addresses in found for address in addresses)


def with_tags(server: InventoryServer, tags: Iterable[str]) -> InventoryServer:
    """Return a server with the schedule in its tags."""
    try:
        return replace(server, schedule=read_schedule_tags(tags))
    except MalformedTag as error:
        return replace(server, schedule=None, invalid_tag=error.tag)


def read_state(answer: ApiResponse, item: Mapping[str, Any]) -> ServerState:
    """Return what a server of a response is doing.

    :raises UnexpectedAnswer: if the response does not say what the server is doing: it
        may be doing something all the same.
    """
    server_id, task = read_id(answer, item), item.get(_TASK_STATE)
    if _TASK_STATE not in item or not (task is None or isinstance(task, str)):
        raise answer.unexpected("with a server that has no task state")
    power = item.get("OS-EXT-STS:power_state")
    return ServerState(
        id=server_id,
        name=str(item.get("name") or server_id),
        status=str(item.get("status")),
        vm_state=str(item.get("OS-EXT-STS:vm_state")),
        task_state=task or None,
        power_state=power if isinstance(power, int) else None,
        # The others have an object here.
        boots_from_volume=item.get("image") == "",
    )


def read_id(answer: ApiResponse, item: Mapping[str, Any]) -> str:
    """Return the ID of a server of a response.

    :raises UnexpectedAnswer: if it has none.
    """
    server_id = item.get("id")
    if not isinstance(server_id, str) or not server_id:
        raise answer.unexpected("with a server that has no ID")
    return server_id


def date_of(answer: ApiResponse) -> datetime:
    """Return the cloud's time, this machine's if the response has none."""
    try:
        date = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return datetime.now(timezone.utc)
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def next_page(answer: ApiResponse) -> str | None:
    """Return the URL of the next page of a list of servers."""
    return answer.next_link("servers_links")


def next_marker(answer: ApiResponse) -> str | None:
    """Return the ID of the server after which the next page starts."""
    link = next_page(answer)
    if link is None:
        return None
    found = parse_qs(urlsplit(link).query).get("marker")
    if not found:
        raise answer.unexpected("its next page has no marker")
    return found[0]
