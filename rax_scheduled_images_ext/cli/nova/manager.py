"""The calls that novaclient's clients have as ``scheduled_images``.

Every ``nova`` imports this module, but rarely sends a request. So it imports late.
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
    from rax_scheduled_images_ext.model.keep import Keep
    from rax_scheduled_images_ext.model.schedule import ImageSchedule


class ScheduledImagesManager(base.Manager):
    """Schedules of servers; novaclient's clients have it as ``scheduled_images``.

    A server is a novaclient ``Server``, anything else with an ``id``, or an ID. Each
    call is one request to the scheduled images extension; only after a 404 are there
    further requests, to find out what it means. On a cloud without the extension,
    schedules are tags of servers. The errors named below, except InvalidSchedule, are
    also novaclient's ``NotFound``. In addition, every call raises novaclient's
    exceptions for a refusal, :class:`.UnexpectedAnswer` for a response that makes no
    sense, and keystoneauth's errors if there is no response.
    """

    def get(self, server: object) -> ImageSchedule:
        """Return the schedule of a server.

        :raises NoSchedule: if it has none.
        :raises InvalidSchedule: if its tags are no valid schedule.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        with self._schedules() as schedules:
            return schedules.get(server)

    def enable(
        self,
        server: object,
        retention: int | None = None,
        day_of_week: str | None = None,
        *,
        hours: int | None = None,
        at: str | None = None,
        keep: Keep | None = None,
    ) -> ImageSchedule:
        """Give a server a schedule, replacing any it has; return the new one.

        :param retention: how many images to keep, 1 to 65535; None with ``keep``.
        :param day_of_week: an English day name in any case, or an unambiguous
            abbreviation, for a weekly schedule; None for a daily one, even if the
            present one is weekly.
        :param hours: the interval in hours, for several images a day.
        :param at: the UTC time at which they are made, such as ``02:30``, or that of
            the first of a day.
        :param keep: rules that decide which images are kept, instead of a number.
        :raises InvalidValue: for an invalid schedule; nothing has been sent.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        :raises SimpleOnly: if it has only daily and weekly ones that keep a number.
        """
        from rax_scheduled_images_ext.client.http import as_text
        from rax_scheduled_images_ext.errors import InvalidValue
        from rax_scheduled_images_ext.model.keep import NO_RULES
        from rax_scheduled_images_ext.model.schedule import ImageSchedule

        day = None if day_of_week is None else as_text(day_of_week)
        if keep is not None and retention is not None:
            raise InvalidValue("a schedule keeps images either by number or by rules")
        schedule = ImageSchedule(retention, day, hours, at, keep or NO_RULES).checked()
        with self._schedules() as schedules:
            return schedules.enable(server, schedule)

    def disable(self, server: object) -> None:
        """Remove a server's schedule; the images that it made stay.

        :raises NoSchedule: if it has none.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        with self._schedules() as schedules:
            schedules.disable(server)

    @contextmanager
    def _schedules(self) -> Iterator[CloudSchedules]:
        """Use the schedules; errors are novaclient's as well."""
        from rax_scheduled_images_ext.client.novaclient import novaclient_errors

        with novaclient_errors():
            yield self._cloud.schedules

    @cached_property
    def _cloud(self) -> Cloud:
        from rax_scheduled_images_ext.client.novaclient import cloud_of

        return cloud_of(self)
