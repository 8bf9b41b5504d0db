"""The requests that start and watch snapshots."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import exceptions as keystone

from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    RetryPolicy,
    Transport,
    path,
    shortened,
)
from rax_scheduled_images_ext.client.images.base import check_key
from rax_scheduled_images_ext.client.schedules.extension import is_ours
from rax_scheduled_images_ext.client.servers import (
    escaped,
    find_state,
    is_gone,
    looks_like_id,
    next_page,
    read_state,
)
from rax_scheduled_images_ext.errors import (
    ApiError,
    InvalidValue,
    NoSuchServer,
    ScheduledImagesError,
    UnexpectedAnswer,
)
from rax_scheduled_images_ext.model.extension import ALIAS
from rax_scheduled_images_ext.model.task_states import (
    COPIED,
    UPLOADING,
    ServerState,
)
from rax_scheduled_images_ext.model.times import LONG_AGO, read_time
from rax_scheduled_images_ext.text import printable

#: The errors that do not end a watch, because they may pass.
PASSING = (
    ApiError,
    keystone.ClientException,
    UnexpectedAnswer,
    OSError,
)
_LONGEST_QUERY = 2000
# What compute allows in createImage. With 128 pieces of metadata it fails, and three
# are added to those of the user.
_LONGEST_TEXT = 255
_MOST_METADATA = 124
_LARGEST_CHARACTER = "\uffff"
_METADATA_KEY = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")
_ACTIONS = ("createImage", "createBackup")


@dataclass(frozen=True)
class SnapshotRequest:
    """A snapshot that the compute service has started, or may have.

    ``image_id`` is None if the response was lost or does not name it, and ``problem``
    is then what happened; ``request_id`` identifies it in the server's history.
    """

    image_id: str | None
    request_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Attempt:
    """A snapshot in a server's history; ``problem`` is None unless it failed."""

    request_id: str
    started: datetime | None
    problem: str | None = None


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of a compute service.

    Every call raises :class:`.ApiError` for a refusal, :class:`.UnexpectedAnswer` for a
    malformed response, and keystoneauth's errors without a response.
    """

    transport: Transport

    def server(self, server_id: str) -> ServerState:
        """Return a server as it is now.

        :raises NoSuchServer: if there is none, or it is deleted.
        """
        return find_state(self.transport, server_id)

    def safe_from(self) -> str:
        """Return the task state from which a server's disk counts as copied here.

        Rackspace documents ``image_pending_upload``; in other clouds, those with this
        package's own extension included, only ``image_uploading`` is reliable.
        """
        answer = self.transport.get(path("extensions", ALIAS))
        if answer.not_found or is_ours(answer):
            return UPLOADING
        answer.document()
        return COPIED

    def create_image(
        self,
        server_id: str,
        name: str,
        metadata: Mapping[str, str],
        retry: RetryPolicy | None = None,
    ) -> SnapshotRequest:
        """Start a snapshot: a request that may have arrived is not repeated.

        :raises NoSuchServer: if there is no such server.
        :raises ApiError: if it is refused; nothing was started then.
        """
        body = {"createImage": {"name": name, "metadata": dict(metadata)}}
        transport = replace(self.transport, retry=retry or self.transport.retry)
        url = path("servers", server_id, "action")
        try:
            answer = transport.send("POST", url, body=body)
        except (keystone.ConnectionError, OSError) as error:
            return SnapshotRequest(
                None, problem=f"no response: {shortened(str(error))}"
            )
        if answer.not_found:
            raise NoSuchServer(server_id)
        # A 404 that is not the service's own says nothing of what it has done.
        if 400 <= answer.status < 500 and answer.status != 404:
            raise answer.error()
        return _read_request(answer)

    def attempts(
        self, server_id: str, actions: Container[str] = _ACTIONS
    ) -> list[Attempt]:
        """Return snapshots in a server's history, or other actions, newest first."""
        answer = self.transport.get(path("servers", server_id, "os-instance-actions"))
        found = [
            Attempt(action["request_id"], read_time(action.get("start_time")), why)
            for action in answer.objects("instanceActions")
            if action.get("action") in actions
            and isinstance(action.get("request_id"), str)
            for why in [_message(action)]
        ]
        return sorted(found, key=lambda each: each.started or LONG_AGO, reverse=True)

    def failure(
        self,
        server_id: str,
        request_id: str | None = None,
        actions: Container[str] = _ACTIONS,
    ) -> str | None:
        """Return why the newest snapshot of a server failed, from the server's history;
        None if it did not, or the history cannot be read.

        :param request_id: the request that started the snapshot, if known.
        :param actions: what else than a snapshot is asked about, by Nova's names.
        """
        try:
            if request_id is None:
                newest = next(iter(self.attempts(server_id, actions)), None)
                request_id = newest.request_id if newest else None
            if request_id is None:
                return None
            answer = self.transport.get(
                path("servers", server_id, "os-instance-actions", request_id)
            )
            return _reason(answer.object("instanceAction"))
        except (*PASSING, ScheduledImagesError):
            return None


def check_request(name: str, metadata: Mapping[str, str]) -> None:
    """See that a cloud can take an image-create, as far as its text shows.

    :raises InvalidValue: for a name or metadata that compute or the image service
        refuses.
    """
    _check_text(name, "a name of an image")
    if not name or name != name.strip() or not name.isprintable():
        raise InvalidValue(
            f"'{printable(name)}' is not a name of an image: one has printable"
            " characters, and no space at its ends"
        )
    if len(metadata) > _MOST_METADATA:
        raise InvalidValue(
            f"{len(metadata)} pieces of metadata are too many: no image has more than"
            f" {_MOST_METADATA} of its own"
        )
    for key, value in metadata.items():
        if not _METADATA_KEY.fullmatch(check_key(key)):
            raise InvalidValue(
                f"'{printable(key)}' is not a key of a snapshot's metadata: one has"
                " ASCII letters, digits, spaces and -_:."
            )
        _check_text(value, f"a value of '{key}'")


def _check_text(text: str, what: str) -> None:
    """See that compute takes a text.

    :raises InvalidValue: for one that is too long, or has other characters.
    """
    problem = ""
    if len(text) > _LONGEST_TEXT:
        problem = f"at most {_LONGEST_TEXT} characters"
    elif any(character > _LARGEST_CHARACTER for character in text):
        problem = "no characters beyond U+FFFF, such as emoji"
    if problem:
        raise InvalidValue(f"'{shortened(text)}' is not {what}: one has {problem}")


class ServerStates:
    """Several servers polled with one request.

    :param names: the servers' names by ID.
    """

    def __init__(self, snapshots: Snapshots, names: Mapping[str, str]) -> None:
        self._snapshots = snapshots
        self._names = dict(names)
        self._filter = True

    def read(self, ids: Iterable[str]) -> dict[str, ServerState | None]:
        """Return servers as they are now; None for one that is gone."""
        wanted = list(ids)
        found = dict(self._list(wanted)) if len(wanted) > 1 else {}
        states: dict[str, ServerState | None] = {}
        for server_id in wanted:
            if server_id in found:
                states[server_id] = found[server_id]
                continue
            # Absence from a list proves nothing: only this request does.
            try:
                states[server_id] = self._snapshots.server(server_id)
            except NoSuchServer:
                states[server_id] = None
            else:
                # It exists, so something else shortened the list.
                self._filter = self._filter and len(wanted) == 1
        self._names.update((s.id, s.name) for s in states.values() if s)
        return states

    def _list(self, wanted: list[str]) -> Iterator[tuple[str, ServerState]]:
        missing = set(wanted)
        pages = self._snapshots.transport.pages(
            "/servers/detail", self._query(wanted), next_page
        )
        for answer in pages:
            for server in answer.objects("servers"):
                if server.get("id") in missing:
                    state = read_state(answer, server)
                    missing.remove(state.id)
                    if not is_gone(state):
                        yield state.id, state
            if not missing:
                return

    def _query(self, wanted: list[str]) -> dict[str, str]:
        """Return a query for only these servers, by name, if it is not too long."""
        names = {escaped(self._names[each]) for each in wanted}
        pattern = f"^({'|'.join(sorted(names))})$"
        short = len(pattern.encode()) <= _LONGEST_QUERY
        return {"name": pattern} if self._filter and short else {}


def _read_request(answer: ApiResponse) -> SnapshotRequest:
    """Read the response to an image-create that was not refused."""
    request_id = answer.headers.get("x-openstack-request-id")
    if not 200 <= answer.status < 300:
        return SnapshotRequest(None, request_id, f"the response was {answer.error()}")
    body = answer.body if isinstance(answer.body, dict) else {}
    location = urlsplit(answer.headers.get("location") or "").path
    for found in (body.get("image_id"), location.rstrip("/").rpartition("/")[2]):
        if isinstance(found, str) and looks_like_id(found):
            return SnapshotRequest(found, request_id)
    return SnapshotRequest(None, request_id, "the response does not name the image")


def _reason(action: Mapping[str, Any]) -> str | None:
    """Return why an action failed, as precisely as its events do."""
    events = action.get("events")
    for event in events if isinstance(events, list) else []:
        if isinstance(event, dict) and event.get("result") == "Error":
            trace = str(event.get("traceback") or "").strip().splitlines()[-1:]
            reason = event.get("details") or "".join(trace) or event.get("event")
            return shortened(str(reason))
    return _message(action)


def _message(action: Mapping[str, Any]) -> str | None:
    """Return what an action says of its failure, None if it did not fail."""
    message = action.get("message")
    return shortened(message) if isinstance(message, str) and message else None
