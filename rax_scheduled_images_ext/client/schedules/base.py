"""What a cloud's schedules can do, wherever it keeps them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.model.schedule import ImageSchedule


class ScheduleStore(ABC):
    """Reads and changes the schedules of servers.

    A server is anything with an ``id``, or an ID. Besides the errors named below every
    call raises :class:`.ApiError` for a refusal, :class:`.UnexpectedAnswer` for a
    response that makes no sense, and keystoneauth's errors if none came.
    """

    @abstractmethod
    def get(self, server: object) -> ImageSchedule:
        """Return the schedule of a server.

        :raises NoSchedule: if it has none.
        :raises InvalidSchedule: if its tags are no schedule.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud can have no scheduled images.
        """

    @abstractmethod
    def enable(self, server: object, schedule: ImageSchedule) -> ImageSchedule:
        """Give a server a schedule in place of any it has; return the new one.

        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud can have no scheduled images.
        """

    @abstractmethod
    def disable(self, server: object) -> None:
        """Take a server's schedule away; the images that it made stay.

        :raises NoSchedule: if it has none.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud can have no scheduled images.
        """

    @abstractmethod
    def server_pages(
        self, url: str, enabled: bool | None = None
    ) -> Iterator[ApiResponse]:
        """Yield the pages of a list of servers.

        :param url: ``/servers`` or ``/servers/detail``.
        :param enabled: only servers with a schedule, or only those without, where
            the cloud knows that filter; where it does not, all.
        """
