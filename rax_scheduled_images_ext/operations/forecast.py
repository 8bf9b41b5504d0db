"""What the next scheduled images delete, now or after a change of schedules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NoRetention,
    NoSchedule,
    NotOffered,
)
from rax_scheduled_images_ext.model.freshness import decide_on
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.operations.schedules import (
    current_schedule,
    find_schedule,
    wanted_schedule,
)
from rax_scheduled_images_ext.operations.server import images_of, read_server
from rax_scheduled_images_ext.operations.targets import Servers, Target, for_each
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report, run


@dataclass(frozen=True)
class Forecast:
    """What a new schedule changes of a server.

    ``current`` is its schedule now, ``new`` the one that it would have, each None for
    none; ``expiring`` are the images that the next scheduled image would delete, oldest
    first. ``invalid_tag`` is the tag that should be the schedule now, and is none.
    """

    current: ImageSchedule | None
    new: ImageSchedule | None
    expiring: list[Decision]
    invalid_tag: str | None = None


def forecast(
    cloud: Cloud,
    servers: Servers,
    schedule: ImageSchedule | ScheduleSettings | None,
    report: Report[Target, Forecast] | None = None,
) -> list[Outcome[Target, Forecast]]:
    """Return what a new schedule would change of servers; it changes nothing.

    Errors: those of :func:`.schedules.change`.

    :param schedule: what replaces the schedules, or what is to be changed of them;
        None to take them away.
    :raises InvalidValue: for a schedule that cannot be; nothing has been sent.
    """
    if isinstance(schedule, ImageSchedule):
        schedule = ScheduleSettings.of(schedule)
    wanted = None if schedule is None else schedule.checked()

    def action(cloud: Cloud, server_id: str) -> Forecast:
        current, tag = current_schedule(cloud, server_id, wanted)
        if wanted is None:
            return Forecast(current, None, [], tag)
        new = wanted_schedule(server_id, current, wanted)
        return Forecast(current, new, expiring(cloud, server_id, new), tag)

    skip = NoSchedule if wanted is None else NoRetention
    return for_each(cloud, servers, action, report, skip=skip)


def next_expiries(
    cloud: Cloud, images: Iterable[Outcome[str, ServerImage]]
) -> list[Outcome[str, list[Decision] | None]]:
    """Return what expires next of each server whose images were handed back.

    The values and errors are those of :func:`next_expiry`.

    :returns: an outcome for each ID of a server, in the order of the images.
    """
    servers = dict.fromkeys(str(each.value.server_id) for each in images if each.value)
    return run(servers, lambda server_id: next_expiry(cloud, server_id), workers=1)


def expiring(cloud: Cloud, server_id: str, schedule: ImageSchedule) -> list[Decision]:
    """Return what the next scheduled image of a server would delete, oldest first.

    :param schedule: the schedule by which it is made.
    :raises NoSuchServer: if there is no such server.
    """
    return outlook(cloud, server_id, schedule).going_next[::-1]


def outlook(cloud: Cloud, server_id: str, schedule: ImageSchedule | None) -> Outlook:
    """Return what becomes of a server's images in time by a schedule.

    :raises NoSuchServer: if there is no such server.
    """
    server, now = read_server(cloud, server_id)
    images = images_of(cloud, server_id)
    keep = schedule.keep if schedule else None
    return Outlook.of(decide_on(server, images, keep), schedule, now)


def next_expiry(cloud: Cloud, server_id: str) -> list[Decision] | None:
    """Return the images of a server that expire before all others, oldest first.

    :returns: None if the server has no schedule, so that none expires.
    :raises NoSuchServer: if there is no such server.
    """
    try:
        schedule = find_schedule(cloud, server_id)
    except InvalidSchedule:
        return None
    except NotOffered:
        # The server itself has not been asked for.
        read_server(cloud, server_id)
        return None
    if schedule is None:
        return None
    return outlook(cloud, server_id, schedule).soonest
