"""The interface to a cloud's schedules, wherever they are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.model.schedule import ImageSchedule

#: Is called with a server's schedule, None for none, before it is replaced.
Replacing = Callable[[ImageSchedule | None], object]


def agree(_before: ImageSchedule | None) -> None:
    """Let any schedule be replaced."""


class ScheduleStore(ABC):
    """Reads and changes the schedules of servers.

    A server is anything with an ``id``, or an ID. Besides the errors below every call
    raises :class:`.ApiError` for a refusal, :class:`.UnexpectedAnswer` for a malformed
    response, and keystoneauth's errors without a response.
    """

    @abstractmethod
    def get(self, server: object) -> ImageSchedule:
        """Return the schedule of a server.

        :raises NoSchedule: if it has none.
        :raises InvalidSchedule: if its tags are not a valid schedule.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud cannot have scheduled images.
        """

    @abstractmethod
    def enable(
        self, server: object, schedule: ImageSchedule, replacing: Replacing = agree
    ) -> ImageSchedule:
        """Set or replace the schedule of a server; return the new one.

        :param replacing: may raise an error to leave the schedule as it is; it is not
            called where the cloud itself sees to it that no rules are lost.
        :raises SimpleOnly: if the cloud cannot have such a schedule.
        :raises TooManyTags: if the server has no room for its tags.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud cannot have scheduled images.
        """

    @abstractmethod
    def check(self, schedule: ImageSchedule) -> None:
        """Check that servers of the cloud can have such a schedule.

        :raises SimpleOnly: if they cannot.
        """

    @abstractmethod
    def disable(self, server: object) -> None:
        """Remove a server's schedule; its images stay.

        :raises NoSchedule: if it has none.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud cannot have scheduled images.
        """

    @abstractmethod
    def server_pages(
        self, url: str, enabled: bool | None = None
    ) -> Iterator[ApiResponse]:
        """Yield the pages of a list of servers.

        :param url: ``/servers`` or ``/servers/detail``.
        :param enabled: only servers with a schedule, or only those without, if the
            cloud has that filter; otherwise all.
        """
