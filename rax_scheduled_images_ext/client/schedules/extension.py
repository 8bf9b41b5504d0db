"""Schedules that the cloud stores itself: the scheduled images extension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    Transport,
    path,
    resource_id,
)
from rax_scheduled_images_ext.client.schedules.base import (
    Replacing,
    ScheduleStore,
    agree,
)
from rax_scheduled_images_ext.client.servers import server_pages
from rax_scheduled_images_ext.errors import (
    ApiError,
    InvalidSchedule,
    NoSchedule,
    NoSuchServer,
    NotOffered,
    SimpleOnly,
)
from rax_scheduled_images_ext.model.extension import (
    ALIAS,
    ATTRIBUTE,
    KEPT_AS_TAGS,
    KEPT_HEADER,
    KEY,
    schedule_body,
    whole_body,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import ALLOWED


@dataclass(frozen=True)
class ExtensionSchedules(ScheduleStore):
    """Reads and changes schedules through the extension, one request each.

    Only after a 404 are there further requests, to determine what it means.
    """

    compute: Transport

    def get(self, server: object) -> ImageSchedule:
        return read_schedule(self._found("GET", server))

    def enable(
        self, server: object, schedule: ImageSchedule, replacing: Replacing = agree
    ) -> ImageSchedule:
        self.check(schedule)
        response = self._found("POST", server, schedule_body(schedule))
        if is_ours(response) and (
            response.status == 409 or read_schedule(response) != schedule
        ):
            # A number alone does not replace rules, since those who know none could not
            # mean that; and the number that they are shown changes nothing.
            replacing(self.get(server))
            response = self._found("POST", server, whole_body(schedule))
        return read_schedule(response)

    def check(self, schedule: ImageSchedule) -> None:
        if not schedule.is_simple and not is_ours(self.check_offered()):
            raise SimpleOnly(schedule.words)

    def disable(self, server: object) -> None:
        self._found("DELETE", server).empty()

    def server_pages(
        self,
        url: str,
        enabled: bool | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Iterator[ApiResponse]:
        query = query or {}
        wanted = query if enabled is None else {**query, ATTRIBUTE: enabled}
        try:
            yield from server_pages(self.compute, url, wanted, ahead=True)
        except ApiError as error:
            if enabled is None or error.status != 400:
                raise
            self.check_offered()
            yield from server_pages(self.compute, url, query, ahead=True)

    def check_offered(self) -> ApiResponse:
        """Ask whether the cloud has the extension; return the response.

        :raises NotOffered: if it does not.
        """
        answer = self.compute.get(path("extensions", ALIAS))
        if answer.not_found:
            raise NotOffered(ALIAS)
        answer.document()
        return answer

    def send(self, method: str, server: object, body: Any = None) -> ApiResponse:
        """Send one request about a server's schedule, and return the response."""
        url = path("servers", resource_id(server), ALIAS)
        return self.compute.send(method, url, body=body)

    def _found(self, method: str, server: object, body: Any = None) -> ApiResponse:
        response = self.send(method, server, body)
        if response.status == 404:
            raise self._meaning(response, resource_id(server))
        tag = _malformed_tag(response)
        if tag is not None:
            raise InvalidSchedule(resource_id(server), tag, ALLOWED)
        return response

    def _meaning(self, response: ApiResponse, server_id: str) -> Exception:
        """Return which of three things a 404 means, or that it means none of them.

        The service itself answers with ``itemNotFound``; if its message does not
        mention a schedule, it means the server. Any other 404 probably does not come
        from the service, so whether there is an extension is checked first.
        """
        reason = response.error_message("itemNotFound")
        if reason and "schedule" in reason.replace(server_id, "").lower():
            return NoSchedule(server_id)
        suspects: list[tuple[str, Exception]] = [
            (path("servers", server_id), NoSuchServer(server_id)),
            (path("extensions", ALIAS), NotOffered(ALIAS)),
        ]
        for url, error in suspects if reason else reversed(suspects):
            check = self.compute.get(url)
            if check.not_found:
                return error
            check.document()
        if reason and response.method != "POST":
            return NoSchedule(server_id)
        return response.error()


def is_ours(response: ApiResponse) -> bool:
    """Whether this package's own API answered, not Rackspace's extension."""
    return response.headers.get(KEPT_HEADER) == KEPT_AS_TAGS


def _malformed_tag(response: ApiResponse) -> str | None:
    """Return the tag that our own API says is no schedule, None if it does not."""
    body = response.body if isinstance(response.body, dict) else {}
    error = body.get("conflictingRequest")
    tag = error.get("tag") if isinstance(error, dict) else None
    ours = response.status == 409 and is_ours(response)
    return tag if ours and isinstance(tag, str) else None


def read_schedule(response: ApiResponse) -> ImageSchedule:
    """Return the schedule in a response.

    :raises UnexpectedAnswer: for a response without one.
    """
    try:
        return ImageSchedule.from_object(response.object(KEY))
    except ValueError as error:
        raise response.unexpected(str(error)) from None
