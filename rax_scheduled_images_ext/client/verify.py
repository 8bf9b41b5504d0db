"""The calls by which test servers are found, looked at and deleted."""

from __future__ import annotations

from collections.abc import Iterator

from requests import codes

from rax_scheduled_images_ext.client.http import ApiResponse, Transport, path
from rax_scheduled_images_ext.client.servers import (
    ALL_PROJECTS,
    read_facts,
    server_pages,
)
from rax_scheduled_images_ext.client.volumes import Volumes
from rax_scheduled_images_ext.errors import NoConsole, NoSuchServer
from rax_scheduled_images_ext.model.server import ServerFacts
from rax_scheduled_images_ext.model.verify import TEST_TAG, is_test_server

# How many lines of a console are read: what is expected may be followed by others.
_LINES = 200
_VERSION_HEADERS = ("openstack-api-version", "x-openstack-nova-api-version")


def find_tests(
    transport: Transport, *, all_projects: bool = False
) -> Iterator[tuple[ServerFacts, ApiResponse]]:
    """Yield the servers that are called as test servers are, and the answer of each.

    :param all_projects: of all projects, which requires an administrator.
    """
    query = {"name": f"{TEST_TAG}-"} | (ALL_PROJECTS if all_projects else {})
    for answer in server_pages(transport, "/servers/detail", query):
        for item in answer.objects("servers"):
            server = read_facts(answer, item)
            if is_test_server(server.name):
                yield server, answer


def knows_tags(answer: ApiResponse) -> bool:
    """Whether an answer comes from a service that has versions, and so tags."""
    return any(header in answer.headers for header in _VERSION_HEADERS)


def console_of(transport: Transport, server_id: str) -> str:
    """Return what a server's console has shown, empty for nothing so far.

    :raises NoConsole: if it has none, or this user may not see it.
    :raises NoSuchServer: if there is no such server.
    """
    url = path("servers", server_id, "action")
    body = {"os-getConsoleOutput": {"length": _LINES}}
    answer = transport.send("POST", url, body=body)
    why = answer.error_message("itemNotFound")
    if answer.status == codes.not_found and why is not None:
        if "console" in why.lower():
            raise NoConsole(f"it has no console ({why})")
        raise NoSuchServer(server_id)
    if answer.status == codes.forbidden:
        raise NoConsole("this user may not see its console")
    if answer.status == codes.not_implemented:
        raise NoConsole("this cloud shows no consoles")
    output = answer.document().get("output")
    if output is not None and not isinstance(output, str):
        raise answer.unexpected("with a console that is no text")
    return output or ""


def delete_server(transport: Transport, server_id: str) -> None:
    """Have a server deleted.

    :raises NoSuchServer: if the service itself answers that there is none.
    """
    answer = transport.send("DELETE", path("servers", server_id))
    if answer.status == codes.not_found and answer.error_message("itemNotFound"):
        raise NoSuchServer(server_id)
    answer.empty()


def source_of(volumes: Volumes, volume_id: str) -> str | None:
    """Return the ID of the snapshot that a volume was made from, None for none."""
    answer = volumes.transport.get(path("volumes", volume_id))
    source = answer.object("volume").get("snapshot_id")
    return source if isinstance(source, str) else None
