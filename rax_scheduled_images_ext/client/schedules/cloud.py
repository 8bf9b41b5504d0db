"""The schedules of a cloud: the extension's where it has that, else tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rax_scheduled_images_ext.client.errors import NotOffered
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.schedules.base import ScheduleStore
from rax_scheduled_images_ext.client.schedules.extension import ExtensionSchedules
from rax_scheduled_images_ext.client.schedules.tags import TagSchedules
from rax_scheduled_images_ext.model.schedule import ImageSchedule

Result = TypeVar("Result")


@dataclass(frozen=True)
class CloudSchedules(ScheduleStore):
    """Asks the extension, and only where there is none the tags.

    ``lacking`` are the regions known to have no extension; one cloud's stores share it,
    so that each region is asked once. ``region`` is the store's own.
    """

    extension: ExtensionSchedules
    tags: TagSchedules
    lacking: set[str | None]
    region: str | None

    @property
    def kept_as_tags(self) -> bool:
        """Whether the region is known to have no extension, so that tags are used."""
        return self.region in self.lacking

    def get(self, server: object) -> ImageSchedule:
        return self._first(lambda store: store.get(server))

    def enable(self, server: object, schedule: ImageSchedule) -> ImageSchedule:
        return self._first(lambda store: store.enable(server, schedule))

    def disable(self, server: object) -> None:
        self._first(lambda store: store.disable(server))

    def server_pages(
        self, url: str, enabled: bool | None = None
    ) -> Iterator[ApiResponse]:
        if not self.kept_as_tags:
            try:
                yield from self.extension.server_pages(url, enabled)
                return
            except NotOffered:
                self.lacking.add(self.region)
        yield from self.tags.server_pages(url, enabled)

    def find_out(self) -> None:
        """Ask, unless that is known, whether the region has the extension."""
        if not self.kept_as_tags:
            try:
                self.extension.check_offered()
            except NotOffered:
                self.lacking.add(self.region)

    def _first(self, call: Callable[[ScheduleStore], Result]) -> Result:
        """Return what the first store that the cloud has answers."""
        if not self.kept_as_tags:
            try:
                return call(self.extension)
            except NotOffered:
                self.lacking.add(self.region)
        return call(self.tags)
