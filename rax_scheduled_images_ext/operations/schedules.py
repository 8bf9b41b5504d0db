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
from rax_scheduled_images_ext.operations.work_queue import Outcome, Progress, Report


@dataclass(frozen=True)
class ServerSchedule:
    """A server's ID and its schedule."""

    server_id: str
    schedule: ImageSchedule


@dataclass(frozen=True)
class ScheduleChange:
    """A schedule as it was ``before`` and as it is ``after``; they may be equal.

    ``before`` is None where there was none.
    """

    before: ImageSchedule | None
    after: ImageSchedule


def enable(
    cloud: Cloud,
    servers: Servers,
    schedule: ImageSchedule,
    report: Report[Target, ImageSchedule] | None = None,
    progress: Progress | None = None,
) -> list[Outcome[Target, ImageSchedule]]:
    """Give servers a schedule in place of any they have.

    Errors: NoSuchServer, NotOffered, NoMatch, SeveralMatches.

    :raises InvalidValue: for a schedule that cannot be; nothing has been sent.
    """
    schedule = ImageSchedule.checked(schedule.retention, schedule.day_of_week)

    def action(cloud: Cloud, server_id: str) -> ImageSchedule:
        return cloud.schedules.enable(server_id, schedule)

    return for_each(cloud, servers, action, report, progress)


def change(
    cloud: Cloud,
    servers: Servers,
    settings: ScheduleSettings,
    report: Report[Target, ScheduleChange] | None = None,
    progress: Progress | None = None,
    *,
    enabled: bool = False,
) -> list[Outcome[Target, ScheduleChange]]:
    """Change what the settings name of servers' schedules, and nothing else.

    A server without a schedule gets one if the settings have a retention; without a
    day it is daily. A schedule that is right already is not sent again. Errors:
    NoRetention for a server that was named, InvalidSchedule unless the settings leave
    nothing of the schedule, and those of :func:`enable`.

    :param enabled: only schedules that there are: NoSchedule for a server that was
        named and has none, InvalidSchedule for one whose tags are no schedule.
    :raises InvalidValue: for settings that cannot be; nothing has been sent.
    """
    wanted = settings.checked()

    def action(cloud: Cloud, server_id: str) -> ScheduleChange:
        if enabled:
            before: ImageSchedule | None = cloud.schedules.get(server_id)
        else:
            before = current_schedule(cloud, server_id, wanted)
        after = wanted_schedule(server_id, before, wanted)
        if after != before:
            after = cloud.schedules.enable(server_id, after)
        return ScheduleChange(before, after)

    skip = NoSchedule if enabled else NoRetention
    return for_each(cloud, servers, action, report, progress, skip=skip)


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
    cloud: Cloud, server_id: str, wanted: ScheduleSettings
) -> ImageSchedule | None:
    """Return the schedule that settings are to change, None where there is none.

    :raises InvalidSchedule: if its tags are no schedule, and something would be left.
    """
    try:
        return find_schedule(cloud, server_id)
    except InvalidSchedule:
        if wanted.complete:
            return None
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
    progress: Progress | None = None,
) -> list[Outcome[Target, None]]:
    """Take the schedules of servers away; their images stay.

    Errors: NoSchedule for a server that was named, and those of :func:`enable`.
    """

    def action(cloud: Cloud, server_id: str) -> None:
        cloud.schedules.disable(server_id)

    return for_each(cloud, servers, action, report, progress, skip=NoSchedule)


def show(
    cloud: Cloud,
    servers: Servers,
    report: Report[Target, ServerSchedule] | None = None,
    progress: Progress | None = None,
) -> list[Outcome[Target, ServerSchedule]]:
    """Read the schedules of servers.

    Errors: NoSchedule for a server without one, InvalidSchedule for one whose tags are
    no schedule, and those of :func:`enable`.
    """

    def action(cloud: Cloud, server_id: str) -> ServerSchedule:
        found = cloud.schedules.get(server_id)
        return ServerSchedule(server_id, found)

    return for_each(cloud, servers, action, report, progress)
