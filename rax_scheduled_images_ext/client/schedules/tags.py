"""Schedules as server tags, in the form of :mod:`.model.schedule_tags`.

Why tags and not metadata: concurrent changes of different tags do not get lost, locked
servers can be changed, rebuilding keeps tags, and lists can be filtered by them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from requests import codes

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
from rax_scheduled_images_ext.client.servers import (
    find_server,
    read_server,
    server_pages,
    with_tags,
)
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    MalformedTag,
    NoSchedule,
    NoSuchServer,
    NotOffered,
    TooManyTags,
)
from rax_scheduled_images_ext.model.extension import ALIAS, ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    ALLOWED,
    MARKER_TAG,
    MOST_TAGS,
    OFF_TAG,
    is_own_tag,
    is_schedule_tag,
    read_schedule_tags,
    schedule_tag,
)

#: The first microversion with server tags.
TAGS_VERSION = "2.26"
_TAGS_MINOR = 26
_VERSION_HEADER = "x-openstack-nova-api-version"


@dataclass(frozen=True)
class TagSchedules(ScheduleStore):
    """Reads and changes schedules as tags.

    ``compute`` uses ``TAGS_VERSION`` or newer.
    """

    compute: Transport

    def get(self, server: object) -> ImageSchedule:
        server_id = resource_id(server)
        try:
            found = read_schedule_tags(self.tags(server_id))
        except MalformedTag as error:
            raise InvalidSchedule(server_id, error.tag, ALLOWED) from None
        if found is None:
            raise NoSchedule(server_id)
        return found

    def enable(
        self, server: object, schedule: ImageSchedule, replacing: Replacing = agree
    ) -> ImageSchedule:
        wanted = schedule_tag(schedule)
        server_id = resource_id(server)
        before = self.tags(server_id)
        with suppress(MalformedTag):
            replacing(read_schedule_tags(before))
        old = [tag for tag in _values(before) if tag != wanted]
        # Of two tags that differ in letter case only, some databases keep the first,
        # and delete both. Without it, the marker alone makes and deletes nothing.
        twins = {tag for each in (wanted, MARKER_TAG) for tag in _twins(each, before)}
        others = sum(not is_own_tag(tag) for tag in before if tag not in twins)
        if others > MOST_TAGS - 2:
            raise TooManyTags(server_id, others, MOST_TAGS)
        first = sorted(twins)
        left = [tag for tag in before if tag not in twins]
        if len({*left, wanted, MARKER_TAG}) > MOST_TAGS or len(left) == MOST_TAGS:
            # Nova then sets no tag, not even one that is there.
            first += [tag for tag in old if tag not in twins]
            left = [tag for tag in left if tag not in old]
            if {wanted, MARKER_TAG} <= set(left):
                self._remove(server_id, first)
                return schedule
        self._remove(server_id, first)
        # The server never lacks a schedule in between, or has one that nobody wanted.
        # An existing tag is set again, so that users who may not change it are refused.
        new = [wanted] if MARKER_TAG in left else [wanted, MARKER_TAG]
        self._put(server_id, new, left, [tag for tag in old if tag in first])
        self._remove(server_id, (tag for tag in old if tag not in first))
        return schedule

    def _put(
        self,
        server_id: str,
        tags: Iterable[str],
        before: Collection[str] = (),
        taken: Iterable[str] = (),
        *,
        alone: bool = False,
    ) -> bool:
        """Set tags in this order; if one cannot be set, those set are taken away again.

        :param before: the tags that were there, and stay.
        :param taken: tags that have been taken away to make room; they come back.
        :param alone: whether the first tag, if it is there already, means that somebody
            else has begun, so that all is left to them.
        :returns: whether it was not.
        """
        new: list[str] = []
        try:
            for tag in tags:
                # Whether a request without an answer is obeyed is unknown.
                new.append(tag)
                answer = self._change("PUT", server_id, tag)
                if answer.status == codes.no_content or 400 <= answer.status < 500:
                    # Somebody else has set it, or nobody has.
                    new.remove(tag)
                answer.checked()
                if alone and answer.status == codes.no_content:
                    return False
                alone = False
        except Exception:
            with suppress(Exception):
                self._remove(server_id, [t for t in reversed(new) if t not in before])
                for tag in taken:
                    self._change("PUT", server_id, tag)
            raise
        return True

    def give_tags(self, server_id: str, tags: Iterable[str]) -> bool:
        """Set tags in this order; none if the first is there or one cannot be set.

        :returns: whether they were set.
        :raises NoSuchServer: if there is no such server.
        """
        return self._put(server_id, tags, alone=True)

    def change_tags(
        self, server_id: str, put: Iterable[str], take: Iterable[str]
    ) -> None:
        """Set tags in this order, none of which is there, and then take others away.

        If one cannot be set, none is.

        :raises NoSuchServer: if there is no such server.
        """
        self._put(server_id, put)
        self._remove(server_id, take)

    def check(self, schedule: ImageSchedule) -> None:
        """Do nothing: a tag can say any schedule."""

    def disable(self, server: object) -> None:
        server_id = resource_id(server)
        before = self.tags(server_id)
        values = [tag for tag in _values(before) if tag != OFF_TAG]
        own = [tag for tag in (MARKER_TAG, *values) if tag in before]
        if not own:
            raise NoSchedule(server_id)
        if len(before) == MOST_TAGS:
            self._remove(server_id, own[:1])
            own = own[1:]
        # Beside it nothing is made or deleted, and no policy gives another schedule.
        if OFF_TAG not in before:
            self._change("PUT", server_id, OFF_TAG).checked()
        self._remove(server_id, own)

    def server_pages(
        self,
        url: str,
        enabled: bool | None = None,
        query: Mapping[str, str] | None = None,
        *,
        enough: Callable[[], bool] = lambda: False,
    ) -> Iterator[ApiResponse]:
        query = dict(query or {})
        if enabled is not None:
            query["tags" if enabled else "not-tags"] = MARKER_TAG
        pages = server_pages(self.compute, url, query, ahead=True, enough=enough)
        for page in pages:
            # An older API ignores the filter.
            _check_version(page)
            yield page

    def tags(self, server_id: str) -> list[str]:
        """Return the tags of a server.

        :raises NoSuchServer: if there is no such server.
        """
        answer = self._send("GET", server_id, path("servers", server_id, "tags"))
        tags = answer.document().get("tags")
        if not isinstance(tags, list) or not all(isinstance(t, str) for t in tags):
            raise answer.unexpected("without a list of strings 'tags'")
        return tags

    def _remove(self, server_id: str, tags: Iterable[str]) -> None:
        for tag in tags:
            answer = self._change("DELETE", server_id, tag)
            # Someone else was faster.
            if not answer.not_found:
                answer.checked()

    def _change(self, method: str, server_id: str, tag: str) -> ApiResponse:
        return self._send(method, server_id, path("servers", server_id, "tags", tag))

    def _send(self, method: str, server_id: str, url: str) -> ApiResponse:
        answer = self.compute.send(method, url)
        if answer.status == 404 and not answer.not_found:
            # An API that is too old for tags answers so, and a proxy in between.
            _check_version(find_server(self.compute, server_id))
            raise answer.error()
        _check_version(answer)
        if method != "DELETE" and answer.not_found:
            raise NoSuchServer(server_id)
        return answer


def read_tagged_server(answer: ApiResponse, item: Mapping[str, Any]) -> InventoryServer:
    """Return a server of a response with the schedule in its tags.

    If the extension's API hides the tags, its attribute is used instead.
    """
    server, shown = read_server(answer, item), item.get(ATTRIBUTE)
    if shown is not None:
        return replace(server, schedule=_read_attribute(answer, shown))
    tags = item.get("tags")
    if not isinstance(tags, list):
        raise answer.unexpected("with a server that has no tags")
    return with_tags(server, map(str, tags))


def _read_attribute(answer: ApiResponse, shown: object) -> ImageSchedule:
    try:
        return ImageSchedule.from_object(shown if isinstance(shown, dict) else {})
    except ValueError as error:
        raise answer.unexpected(f"with a server's '{ATTRIBUTE}' {error}") from None


def _values(tags: Iterable[str]) -> list[str]:
    """Return the tags that say which schedule it is, or that there is none.

    Those that say which policy gave it come last.
    """
    own = [tag for tag in tags if is_own_tag(tag) and tag != MARKER_TAG]
    return sorted(own, key=lambda tag: not is_schedule_tag(tag))


def _twins(tag: str, tags: Iterable[str]) -> list[str]:
    """Return the tags that differ from this one in letter case only."""
    return [each for each in tags if each != tag and each.lower() == tag.lower()]


def _check_version(answer: ApiResponse) -> None:
    """Check that the service used a version with tags.

    :raises NotOffered: if it has no tags.
    """
    spoken = answer.headers.get(_VERSION_HEADER, "")
    major, _, minor = spoken.partition(".")
    known = major == "2" and minor.isdecimal() and int(minor) >= _TAGS_MINOR
    # What is no JSON is not the service's.
    own = answer.body is not None or not answer.response.content
    telling = own and (answer.status < 300 or answer.not_found)
    if answer.status == 406 or (telling and not known):
        raise NotOffered(ALIAS)
