"""Enabling, changing, disabling and reading the schedules of servers.

Each function takes servers as names, IDs or targets, does many at a time, and returns
an outcome for each: a value, or the error that was raised for it.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class ServerSchedule:
    """A server's ID and its schedule."""

    server_id: str
    schedule: ImageSchedule


@dataclass(frozen=True)
class ScheduleChange:
    """A schedule as it was ``before`` and as it is ``after``; they may be equal.

    Each is None where there is none; ``invalid_tag`` is what was there in place of one.
    """

    before: ImageSchedule | None
    after: ImageSchedule | None
    invalid_tag: str | None = None


def enable(
    cloud: Cloud,
    servers: Servers,
    schedule: ImageSchedule,
    report: Report[Target, ImageSchedule] | None = None,
) -> list[Outcome[Target, ImageSchedule]]:
    """Give servers a schedule in place of any they have.

    Errors: NoSuchServer, NotOffered, NoMatch, SeveralMatches.

    :raises InvalidValue: for a schedule that cannot be; nothing has been sent.
    """
    schedule = schedule.checked()

    def action(cloud: Cloud, server_id: str) -> ImageSchedule:
        return cloud.schedules.enable(server_id, schedule)

    return for_each(cloud, servers, action, report)


def change(
    cloud: Cloud,
    servers: Servers,
    settings: ScheduleSettings | None,
    report: Report[Target, ScheduleChange] | None = None,
    *,
    enabled: bool = False,
) -> list[Outcome[Target, ScheduleChange]]:
    """Change what the settings name of servers' schedules, and nothing else.

    A server without a schedule gets one if the settings have a retention; without a
    day it is daily. A schedule that is right already is not sent again. Errors:
    NoRetention for a server that was named, InvalidSchedule unless the settings leave
    nothing of the schedule, and those of :func:`enable`.

    :param settings: None to take the schedules away, with the errors of
        :func:`disable`.
    :param enabled: only schedules that there are: NoSchedule for a server that was
        named and has none, InvalidSchedule for one whose tags are no schedule.
    :raises InvalidValue: for settings that cannot be; nothing has been sent.
    """
    wanted = None if settings is None else settings.checked()

    def action(cloud: Cloud, server_id: str) -> ScheduleChange:
        tag: str | None = None
        before: ImageSchedule | None
        if enabled:
            before = cloud.schedules.get(server_id)
        else:
            before, tag = current_schedule(cloud, server_id, wanted)
        if wanted is None:
            cloud.schedules.disable(server_id)
            return ScheduleChange(before, None, tag)
        after = wanted_schedule(server_id, before, wanted)
        if after != before:
            after = cloud.schedules.enable(server_id, after)
        return ScheduleChange(before, after, tag)

    skip = NoSchedule if enabled or wanted is None else NoRetention
    return for_each(cloud, servers, action, report, skip=skip)


def find_schedule(cloud: Cloud, server_id: str) -> ImageSchedule | None:
    """Return the schedule of a server, None where there is none.

    :raises InvalidSchedule: if its tags are no schedule.
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
    """Return the schedule that settings are to change, None where there is none.

    With it comes the tag that should be one and is none, if all of it is replaced.

    :param wanted: None to take the schedule away.
    :raises InvalidSchedule: for such a tag, if something of it would be left.
    :raises NoSchedule: if there is none to be taken away.
    """
    try:
        if wanted is None:
            return cloud.schedules.get(server_id), None
        return find_schedule(cloud, server_id), None
    except InvalidSchedule as error:
        if wanted is None or wanted.complete:
            return None, error.tag
        raise


def wanted_schedule(
    server_id: str, current: ImageSchedule | None, wanted: ScheduleSettings
) -> ImageSchedule:
    """Return the schedule that settings make of one.

    :raises NoRetention: if nothing says how many images stay.
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
    """Take the schedules of servers away; their images stay.

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
    no schedule, and those of :func:`enable`.
    """

    def action(cloud: Cloud, server_id: str) -> ServerSchedule:
        found = cloud.schedules.get(server_id)
        return ServerSchedule(server_id, found)

    return for_each(cloud, servers, action, report)
