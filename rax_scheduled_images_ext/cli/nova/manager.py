"""The calls that novaclient's clients have as ``scheduled_images``.

Every ``nova`` imports this module; few go on to send a request. So it imports late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from novaclient import base

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.client.schedules.cloud import CloudSchedules
    from rax_scheduled_images_ext.model.schedule import ImageSchedule


class ScheduledImagesManager(base.Manager):
    """Schedules of servers; novaclient's clients have it as ``scheduled_images``.

    A server is a novaclient ``Server``, anything else with an ``id``, or an ID.
    Each call is one request to the scheduled images extension; only where a cloud
    answers 404 does it ask further to find out what that means. On a cloud without the
    extension schedules are tags of servers. The errors named below, InvalidSchedule
    apart, are novaclient's ``NotFound`` as well. Besides them every call raises
    novaclient's exceptions for a refusal, :class:`.UnexpectedAnswer` for a response
    that makes no sense, and keystoneauth's errors if none came.
    """

    def get(self, server: object) -> ImageSchedule:
        """Return the schedule of a server.

        :raises NoSchedule: if it has none.
        :raises InvalidSchedule: if its tags are no schedule.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        with self._schedules() as schedules:
            return schedules.get(server)

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
        from rax_scheduled_images_ext.model.schedule import ImageSchedule

        day = None if day_of_week is None else as_text(day_of_week)
        schedule = ImageSchedule(retention, day).checked()
        with self._schedules() as schedules:
            return schedules.enable(server, schedule)

    def disable(self, server: object) -> None:
        """Take a server's schedule away; the images that it made stay.

        :raises NoSchedule: if it has none.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        with self._schedules() as schedules:
            schedules.disable(server)

    @contextmanager
    def _schedules(self) -> Iterator[CloudSchedules]:
        """Use the schedules; what is raised then is novaclient's as well."""
        from rax_scheduled_images_ext.client.novaclient import novaclient_errors

        with novaclient_errors():
            yield self._cloud.schedules

    @cached_property
    def _cloud(self) -> Cloud:
        from rax_scheduled_images_ext.client.novaclient import cloud_of

        return cloud_of(self)
