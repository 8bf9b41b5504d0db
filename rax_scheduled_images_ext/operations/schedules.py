"""Enables, changes, disables and reads the schedules of servers.

Each function takes servers as names, IDs or targets, processes many at a time, and
returns an outcome for each: a value, or the error that was raised for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NoRetention,
    NoSchedule,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.operations.targets import Servers, Target, for_each
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report

#: Is called with a cloud, a server's ID, its schedule (None for none), and the one that
#: replaces it, before it does; an error leaves the schedule as it is.
Guard = Callable[[Cloud, str, ImageSchedule | None, ImageSchedule], object]


#: How a malformed schedule is replaced.
WHOLE = "to replace it, set both when images are made and what is kept"


@dataclass(frozen=True)
class ServerSchedule:
    """A server's ID and its schedule."""

    server_id: str
    schedule: ImageSchedule


@dataclass(frozen=True)
class ScheduleChange:
    """A schedule ``before`` and ``after`` a change; they may be equal.

    Each is None for no schedule; ``invalid_tag`` is the invalid one that was replaced.
    """

    before: ImageSchedule | None
    after: ImageSchedule | None
    invalid_tag: str | None = None


def enable(
    cloud: Cloud,
    servers: Servers,
    schedule: ImageSchedule,
    report: Report[Target, ImageSchedule] | None = None,
    *,
    guard: Guard | None = None,
) -> list[Outcome[Target, ImageSchedule]]:
    """Give servers a schedule, replacing any they have.

    Errors: NoSuchServer, NotOffered, NoMatch, SeveralMatches, SimpleOnly, and those of
    the guard, which is not asked where the cloud itself keeps rules from being lost.

    :raises InvalidValue: for an invalid schedule; nothing has been sent.
    """
    schedule = schedule.checked()

    def action(cloud: Cloud, server_id: str) -> ImageSchedule:
        def replacing(before: ImageSchedule | None) -> None:
            if guard is not None:
                guard(cloud, server_id, before, schedule)

        return cloud.schedules.enable(server_id, schedule, replacing)

    return for_each(cloud, servers, action, report)


def change(
    cloud: Cloud,
    servers: Servers,
    settings: ScheduleSettings | None,
    report: Report[Target, ScheduleChange] | None = None,
    *,
    enabled: bool = False,
    guard: Guard | None = None,
) -> list[Outcome[Target, ScheduleChange]]:
    """Change the given settings of servers' schedules, and nothing else.

    A server without a schedule gets one if the settings say what is kept; without a day
    or an interval it is daily. A schedule that would not change is not sent again.
    Errors: NoRetention for a server that was named, InvalidSchedule unless the settings
    replace the schedule completely, and those of :func:`enable`.

    :param settings: None to remove the schedules, with the errors of :func:`disable`.
    :param enabled: whether to change only existing schedules: NoSchedule for a server
        that was named and has none, InvalidSchedule for one whose tags are invalid.
    :param guard: its errors are those of the servers that it is called for.
    :raises InvalidValue: for invalid settings; nothing has been sent.
    """
    wanted = None if settings is None else settings.checked()

    def action(cloud: Cloud, server_id: str) -> ScheduleChange:
        tag: str | None = None
        before: ImageSchedule | None
        if enabled:
            before = cloud.schedules.get(server_id)
        else:
            try:
                before, tag = current_schedule(cloud, server_id, wanted)
            except NoSchedule:
                # Half of one may be left, which can be removed.
                before = None
        if wanted is None:
            cloud.schedules.disable(server_id)
            return ScheduleChange(before, None, tag)
        after = wanted_schedule(server_id, before, wanted)
        if after != before:
            if guard is not None:
                guard(cloud, server_id, before, after)
            after = cloud.schedules.enable(server_id, after)
        return ScheduleChange(before, after, tag)

    skip = NoSchedule if enabled or wanted is None else NoRetention
    return for_each(cloud, servers, action, report, skip=skip)


def find_schedule(cloud: Cloud, server_id: str) -> ImageSchedule | None:
    """Return the schedule of a server, None if it has none.

    :raises InvalidSchedule: if its tags are no valid schedule.
    :raises NoSuchServer: if there is no such server.
    :raises NotOffered: if the cloud has no scheduled images.
    """
    try:
        return cloud.schedules.get(server_id)
    except NoSchedule:
        return None


def current_schedule(
    cloud: Cloud, server_id: str, wanted: ScheduleSettings | None
) -> tuple[ImageSchedule | None, str | None]:
    """Return the schedule that settings are to change, None if there is none.

    The second value is an invalid tag that is replaced completely, if there is one.

    :param wanted: None to remove the schedule.
    :raises InvalidSchedule: for an invalid tag, if part of it would be kept.
    :raises NoSchedule: if there is none to remove.
    """
    try:
        if wanted is None:
            return cloud.schedules.get(server_id), None
        return find_schedule(cloud, server_id), None
    except InvalidSchedule as error:
        if wanted is None or wanted.complete:
            return None, error.tag
        raise InvalidSchedule(server_id, error.tag, WHOLE) from None


def wanted_schedule(
    server_id: str, current: ImageSchedule | None, wanted: ScheduleSettings
) -> ImageSchedule:
    """Return a schedule with the settings changed.

    :raises NoRetention: if neither of them has a retention.
    """
    schedule = wanted.applied_to(current)
    if schedule is None:
        raise NoRetention(server_id)
    return schedule


def disable(
    cloud: Cloud,
    servers: Servers,
    report: Report[Target, None] | None = None,
) -> list[Outcome[Target, None]]:
    """Remove the schedules of servers; their images stay.

    Errors: NoSchedule for a server that was named, and those of :func:`enable`.
    """

    def action(cloud: Cloud, server_id: str) -> None:
        cloud.schedules.disable(server_id)

    return for_each(cloud, servers, action, report, skip=NoSchedule)


def show(
    cloud: Cloud,
    servers: Servers,
    report: Report[Target, ServerSchedule] | None = None,
) -> list[Outcome[Target, ServerSchedule]]:
    """Read the schedules of servers.

    Errors: NoSchedule for a server without one, InvalidSchedule for one whose tags are
    no valid schedule, and those of :func:`enable`.
    """

    def action(cloud: Cloud, server_id: str) -> ServerSchedule:
        found = cloud.schedules.get(server_id)
        return ServerSchedule(server_id, found)

    return for_each(cloud, servers, action, report)
