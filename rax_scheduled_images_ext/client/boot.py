"""The calls by which a server is read in full, booted and rebuilt.

Nothing of them is ever logged: answers hold passwords and, for administrators, user
data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from keystoneauth1 import exceptions as keystone
from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    RetryPolicy,
    Transport,
    path,
    shortened,
)
from rax_scheduled_images_ext.client.servers import (
    escaped,
    find_server,
    next_page,
    read_facts,
)
from rax_scheduled_images_ext.errors import (
    ApiError,
    NoMatch,
    NoSuchServer,
    SeveralMatches,
)
from rax_scheduled_images_ext.model.restore import Flavor
from rax_scheduled_images_ext.model.server import ServerFacts

Item = TypeVar("Item")

#: Shows tags, and of a flavor its ID, which later versions do not.
_READING = "2.26"
#: The first version that takes tags with a new server; and "none" for its networks.
_TAGGING = "2.52"
_ABSENT = (codes.forbidden, codes.not_found, codes.not_implemented)
_ONCE = RetryPolicy(tries=1)


@dataclass(frozen=True)
class BootRequest:
    """A server that the compute service has begun to make or rebuild, or may have.

    ``server_id`` is None where the answer was lost; ``problem`` is then what happened.
    ``request_id`` identifies it in the server's history.
    """

    server_id: str | None
    password: str | None = field(default=None, repr=False)
    problem: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Servers:
    """Servers in full, and what they are made of.

    Every call raises :class:`.ApiError` for a refusal, :class:`.UnexpectedAnswer` for
    an answer that makes no sense, and keystoneauth's errors if none came.
    """

    #: At the version of :data:`_READING`, and of :data:`_TAGGING`.
    transport: Transport
    tagging: Transport
    cloud: Cloud

    @classmethod
    def of(cls, cloud: Cloud) -> Servers:
        """Return the servers of a cloud."""
        reading, tagging = (
            replace(cloud.transport("compute", default_microversion=each), log=False)
            for each in (_READING, _TAGGING)
        )
        return cls(reading, tagging, cloud)

    def get(self, server_id: str) -> tuple[ServerFacts, ApiResponse]:
        """Return a server, and the answer that shows it.

        :raises NoSuchServer: if the service itself answers that there is none.
        """
        answer = find_server(self.transport, server_id)
        server = _read(answer, answer.object("server"))
        if server.status in ("DELETED", "SOFT_DELETED"):
            raise NoSuchServer(server_id)
        return server, answer

    def named(
        self, names: Collection[str]
    ) -> tuple[list[ServerFacts], ApiResponse | None]:
        """Return the servers that have exactly one of these names, in one request.

        Some clouds take a name only literally; whatever is found shows that this one
        does not.
        """
        wanted = list(dict.fromkeys(names))
        either = "|".join(map(escaped, wanted))
        for patterns in ([f"^({either})$"], wanted):
            found: dict[str, ServerFacts] = {}
            answer = None
            for pattern in patterns:
                query = {"name": pattern}
                for answer in self.transport.pages("/servers/detail", query, next_page):
                    for item in answer.objects("servers"):
                        if item.get("name") in wanted:
                            server = _read(answer, item)
                            found[server.id] = server
            if found:
                break
        return list(found.values()), answer

    def networks(self, server_id: str) -> tuple[str, ...] | None:
        """Return the IDs of the networks of a server's ports; None if not shown."""
        return networks_of(self.transport, server_id)

    def server_group(self, server_id: str) -> str | None:
        """Return the ID of the server's group, None for none, or if not shown."""
        answer = self.transport.get("/os-server-groups")
        if _is_absent(answer):
            return None
        for group in answer.objects("server_groups"):
            if server_id in (group.get("members") or ()):
                return str(group.get("id"))
        return None

    def flavor(self, flavor_id: str) -> Flavor | None:
        """Return the flavor of an ID, None if there is none."""
        answer = self.transport.get(path("flavors", flavor_id))
        if answer.not_found:
            return None
        return _flavor(answer, answer.object("flavor"))

    def find_flavor(self, wanted: str) -> Flavor:
        """Return the flavor whose ID or name is ``wanted``.

        :raises NoMatch: if there is none.
        :raises SeveralMatches: if it is the name of several.
        """
        return self.flavor(wanted) or _only("flavor", wanted, self._flavors(wanted))

    def flavor_of(self, server: ServerFacts) -> Flavor | None:
        """Return the flavor of a server by its ID or else its name, None for none."""
        found = self.flavor(server.flavor_id) if server.flavor_id else None
        if found is None and server.flavor_name:
            named = self._flavors(server.flavor_name)
            found = _only("flavor", server.flavor_name, named) if named else None
        return found

    def _flavors(self, name: str) -> dict[str, Flavor]:
        """Return the flavors of a name by their IDs."""
        pages = self.transport.pages("/flavors/detail", {}, _next_flavors)
        every = (
            _flavor(answer, item)
            for answer in pages
            for item in answer.objects("flavors")
        )
        return {flavor.id: flavor for flavor in every if flavor.name == name}

    def find_network(self, wanted: str) -> str:
        """Return the ID of the network that a user calls so.

        :raises NoMatch: if there is none.
        :raises SeveralMatches: if it is the name of several.
        """
        try:
            network = self.cloud.transport("network")
            answer = network.get("/v2.0/networks", {"name": wanted})
        except keystone.EndpointNotFound:
            raise NoMatch("network", wanted) from None
        found = {str(each.get("id")): each for each in answer.objects("networks")}
        return str(_only("network", wanted, found)["id"])

    def boot(self, server: Mapping[str, Any], hints: Mapping[str, str]) -> BootRequest:
        """Have a server made, once: nothing is sent again that may have arrived.

        :raises ApiError: if it is refused; nothing has been begun then.
        """
        body: dict[str, Any] = {"server": dict(server)}
        if hints:
            body["os:scheduler_hints"] = dict(hints)
        newer = "tags" in server or server.get("networks") == "none"
        transport = self.tagging if newer else self.transport
        return _requested(transport, "/servers", body)

    def rebuild(self, server_id: str, image_id: str) -> BootRequest:
        """Have a server's disk made anew from an image, and nothing else changed.

        It is sent once: nothing is sent again that may have arrived.

        :raises NoSuchServer: if there is no such server.
        :raises ApiError: if it is refused; nothing has been begun then.
        """
        url = path("servers", server_id, "action")
        return _requested(self.transport, url, {"rebuild": {"imageRef": image_id}})


def networks_of(transport: Transport, server_id: str) -> tuple[str, ...] | None:
    """Return the IDs of the networks of a server's ports; None if not shown."""
    answer = transport.get(path("servers", server_id, "os-interface"))
    if _is_absent(answer):
        return None
    ids = [each.get("net_id") for each in answer.objects("interfaceAttachments")]
    if not all(isinstance(each, str) and each for each in ids):
        raise answer.unexpected("with a port that has no network")
    return tuple(map(str, ids))


def _is_absent(answer: ApiResponse) -> bool:
    """Whether the service itself says that it does not show something to this user."""
    return answer.status in _ABSENT and answer.body is not None


def _read(answer: ApiResponse, item: Mapping[str, Any]) -> ServerFacts:
    """Read a server of an answer.

    :raises UnexpectedAnswer: if the answer does not show what the server does: that it
        does nothing must not be taken from silence.
    """
    server = read_facts(answer, item)
    if "OS-EXT-STS:task_state" not in item or server.status is None:
        raise answer.unexpected("with a server that has no status or no task state")
    return server


def _requested(transport: Transport, url: str, body: Any) -> BootRequest:
    try:
        answer = replace(transport, retry=_ONCE).send("POST", url, body=body)
    except (keystone.ConnectionError, OSError) as error:
        problem = f"no answer came: {shortened(str(error))}"
        return BootRequest(None, problem=problem)
    except ApiError as error:
        if error.status < 500:
            raise
        return BootRequest(None, problem=f"the answer was {error}")
    # What a proxy in between refuses may have been done.
    if 400 <= answer.status < 500 and answer.body is not None:
        raise answer.error()
    server = answer.body.get("server") if isinstance(answer.body, dict) else None
    server_id = server.get("id") if isinstance(server, dict) else None
    if not 200 <= answer.status < 300:
        return BootRequest(None, problem=f"the answer was {answer.error()}")
    if not isinstance(server, dict) or not isinstance(server_id, str):
        return BootRequest(None, problem="the answer does not name the server")
    password = server.get("adminPass")
    return BootRequest(
        server_id,
        password if isinstance(password, str) else None,
        request_id=answer.headers.get("x-openstack-request-id"),
    )


def _flavor(answer: ApiResponse, item: Mapping[str, Any]) -> Flavor:
    """Read a flavor of an answer.

    :raises UnexpectedAnswer: if the answer does not say which disks it has.
    """
    ephemeral = item.get("OS-FLV-EXT-DATA:ephemeral", item.get("ephemeral"))
    # Nova writes no number for none.
    swap = item.get("swap", None)
    numbers = (item.get("ram"), item.get("disk"), ephemeral, swap or 0)
    if "swap" not in item or not all(isinstance(each, int) for each in numbers):
        raise answer.unexpected("with a flavor that does not show its disks")
    ram, disk, ephemeral, swap = (int(str(each)) for each in numbers)
    name = str(item.get("name") or item.get("id"))
    return Flavor(str(item.get("id")), name, ram, disk, ephemeral, swap)


def _only(kind: str, wanted: str, found: Mapping[str, Item]) -> Item:
    if len(found) > 1:
        raise SeveralMatches(kind, wanted, list(found))
    if not found:
        raise NoMatch(kind, wanted)
    return next(iter(found.values()))


def _next_flavors(answer: ApiResponse) -> str | None:
    return answer.next_link("flavors_links")
