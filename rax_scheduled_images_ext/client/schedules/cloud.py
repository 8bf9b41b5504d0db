"""The schedules of a cloud: the extension's if it has that, else tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.schedules.base import (
    Replacing,
    ScheduleStore,
    agree,
)
from rax_scheduled_images_ext.client.schedules.extension import (
    ExtensionSchedules,
    is_ours,
)
from rax_scheduled_images_ext.client.schedules.tags import TagSchedules
from rax_scheduled_images_ext.errors import NoSchedule, NotOffered
from rax_scheduled_images_ext.model.retention import Rules
from rax_scheduled_images_ext.model.schedule import ImageSchedule

Result = TypeVar("Result")


@dataclass(frozen=True)
class CloudSchedules(ScheduleStore):
    """Uses the extension, or tags if there is none.

    ``offered`` is whether regions have the extension, where known; one cloud's stores
    share it, so that each region is asked once. ``region`` is the store's own.
    """

    extension: ExtensionSchedules
    tags: TagSchedules
    offered: dict[str | None, bool]
    region: str | None

    @property
    def kept_as_tags(self) -> bool:
        """Whether the region is known to have no extension, so that tags are used."""
        return self.offered.get(self.region) is False

    def rules(self, answer: ApiResponse, *, shown: bool = False) -> Rules:
        """Return the rules of the service that makes images of a response's servers.

        If that is unknown, the rules that delete fewer images.

        :param shown: whether the response shows the extension's schedules.
        """
        if is_ours(answer):
            return Rules.OURS
        offered = self.offered.get(self.region, shown)
        return Rules.RACKSPACE if offered else Rules.OURS

    def get(self, server: object) -> ImageSchedule:
        return self._first(lambda store: store.get(server))

    def enable(
        self, server: object, schedule: ImageSchedule, replacing: Replacing = agree
    ) -> ImageSchedule:
        return self._first(lambda store: store.enable(server, schedule, replacing))

    def check(self, schedule: ImageSchedule) -> None:
        self._first(lambda store: store.check(schedule))

    def disable(self, server: object) -> None:
        self._first(lambda store: store.disable(server))

    def server_pages(
        self,
        url: str,
        enabled: bool | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[ApiResponse]:
        if not self.kept_as_tags:
            try:
                yield from self.extension.server_pages(url, enabled, query)
                return
            except NotOffered:
                self.offered[self.region] = False
        yield from self.tags.server_pages(url, enabled, query)

    def find_out(self) -> None:
        """Ask whether the region has the extension, unless known."""
        if self.region not in self.offered:
            try:
                self.extension.check_offered()
                self.offered[self.region] = True
            except NotOffered:
                self.offered[self.region] = False

    def _first(self, call: Callable[[ScheduleStore], Result]) -> Result:
        """Return the result of the first store that the cloud has."""
        if not self.kept_as_tags:
            try:
                result = call(self.extension)
                self.offered[self.region] = True
                return result
            except NoSchedule:
                self.offered[self.region] = True
                raise
            except NotOffered:
                self.offered[self.region] = False
        return call(self.tags)
