"""The calls that read and change schedules of server images.

Every ``nova`` imports this module, for what its clients have as
``scheduled_images``; few go on to send a request. So it imports late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novaclient import base

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.http import ApiResponse
    from rax_scheduled_images_ext.model.schedule import ImageSchedule


class ScheduledImagesManager(base.Manager):
    """Schedules of servers; novaclient's clients have it as ``scheduled_images``.

    A server is a novaclient ``Server``, anything else with an ``id``, or an ID.
    Each call is one request; only where a cloud answers 404 does it ask further
    to tell what that means. Besides the errors named below every call raises
    novaclient's exceptions for a refusal, :class:`.errors.UnexpectedAnswer` for
    an answer that makes no sense, and keystoneauth's if no answer came.
    """

    def get(self, server: object) -> ImageSchedule:
        """Return the schedule of a server.

        :raises NoSchedule: if it has none.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        from rax_scheduled_images_ext.model.schedule import ImageSchedule

        return ImageSchedule.from_answer(self._call("GET", server))

    def enable(
        self, server: object, retention: int, day_of_week: str | None = None
    ) -> ImageSchedule:
        """Give a server a schedule in place of any it has; return the new one.

        :param retention: how many images to keep, 1 to 65535.
        :param day_of_week: an English day name in any case, or the beginning of
            just one, for a weekly schedule; None for a daily one, even if the
            server's present one is weekly.
        :raises InvalidValue: for a retention or a day that cannot be; nothing
            has been sent.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        from rax_scheduled_images_ext.client.http import as_text
        from rax_scheduled_images_ext.model.errors import InvalidValue
        from rax_scheduled_images_ext.model.schedule import (
            ImageSchedule,
            parse_day,
            parse_retention,
        )

        if isinstance(retention, bool) or not isinstance(retention, int):
            raise InvalidValue(f"{retention!r} is not a retention: it must be an int")
        schedule = ImageSchedule(
            parse_retention(str(retention)),
            None if day_of_week is None else parse_day(as_text(day_of_week)),
        )
        return ImageSchedule.from_answer(self._call("POST", server, schedule.to_body()))

    def disable(self, server: object) -> None:
        """Take a server's schedule away; the images that it made stay.

        :raises NoSchedule: if it has none.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        self._call("DELETE", server).empty()

    def _call(self, method: str, server: object, body: Any = None) -> ApiResponse:
        """Send one request about a server's schedule; tell what a 404 means."""
        from rax_scheduled_images_ext.client.http import resource_id

        server_id = resource_id(server)
        answer = self._send(method, server_id, body)
        if answer.status == 404:
            raise self._meaning(answer, server_id)
        return answer

    def _send(self, method: str, server_id: str, body: Any = None) -> ApiResponse:
        from rax_scheduled_images_ext.client.http import Transport, path
        from rax_scheduled_images_ext.model.schedule import ALIAS

        url = path("servers", server_id, ALIAS)
        return Transport(self.client).send(method, url, body=body)

    def _meaning(self, answer: ApiResponse, server_id: str) -> Exception:
        """Tell which of the three things a 404 means, or that it is none of them.

        The service itself says so in ``itemNotFound``; if that speaks of no
        schedule, the server is what was not found. Whatever else answered is
        likely not the service, so the extension is asked for first.
        """
        from rax_scheduled_images_ext.client.errors import (
            NoSchedule,
            NoSuchServer,
            NotOffered,
        )
        from rax_scheduled_images_ext.client.http import Transport, path
        from rax_scheduled_images_ext.model.schedule import ALIAS

        reason = answer.fault("itemNotFound")
        if reason and "schedule" in reason.replace(server_id, "").lower():
            return NoSchedule(server_id)
        suspects: list[tuple[str, Exception]] = [
            (path("servers", server_id), NoSuchServer(server_id)),
            (path("extensions", ALIAS), NotOffered(ALIAS)),
        ]
        for url, error in suspects if reason else reversed(suspects):
            check = Transport(self.client).get(url)
            if check.status == 404:
                return error
            check.document()
        return answer.error() if answer.method == "POST" else NoSchedule(server_id)
