"""Forecasts which images the next scheduled ones delete, also after a change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    FreesMany,
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
    """What a new schedule would change for a server.

    ``current`` is its present schedule, ``new`` the one that it would have, each None
    for none; ``expiring`` are the images that would be deleted with the next scheduled
    image, oldest first. ``invalid_tag`` is the tag that is no valid schedule, if there
    is one at present. ``outlook`` is what its images become in time, None without a new
    schedule.
    """

    current: ImageSchedule | None
    new: ImageSchedule | None
    expiring: list[Decision]
    invalid_tag: str | None = None
    outlook: Outlook | None = None


def forecast(
    cloud: Cloud,
    servers: Servers,
    schedule: ImageSchedule | ScheduleSettings | None,
    report: Report[Target, Forecast] | None = None,
) -> list[Outcome[Target, Forecast]]:
    """Return what a new schedule would change for servers; nothing is changed.

    Errors: those of :func:`.schedules.change`.

    :param schedule: what replaces the schedules, or the settings to change in them;
        None to remove them.
    :raises InvalidValue: for an invalid schedule; nothing has been sent.
    """
    if isinstance(schedule, ImageSchedule):
        schedule = ScheduleSettings.of(schedule)
    wanted = None if schedule is None else schedule.checked()

    def action(cloud: Cloud, server_id: str) -> Forecast:
        current, tag = current_schedule(cloud, server_id, wanted)
        if wanted is None:
            return Forecast(current, None, [], tag)
        new = wanted_schedule(server_id, current, wanted)
        found = outlook(cloud, server_id, new)
        return Forecast(current, new, found.expiring, tag, found)

    skip = NoSchedule if wanted is None else NoRetention
    return for_each(cloud, servers, action, report, skip=skip)


def refuse_many(
    cloud: Cloud, server_id: str, before: ImageSchedule | None, after: ImageSchedule
) -> None:
    """Refuse a change of rules that frees more images than one for each rule.

    Numbers are what people say themselves, and are not asked about.

    :raises FreesMany: for such a change.
    """
    if all(each is None or each.retention is not None for each in (before, after)):
        return
    going = len(expiring(cloud, server_id, after))
    if going > len(after.keep.rules):
        words = before.words if before else "no schedule"
        raise FreesMany(server_id, words, after.words, going)


def next_expiries(
    cloud: Cloud, images: Iterable[Outcome[str, ServerImage]]
) -> list[Outcome[str, list[Decision] | None]]:
    """Return what expires next for each server whose images were unprotected.

    The values and errors are those of :func:`next_expiry`.

    :returns: an outcome for each server's ID, in the order of the images.
    """
    servers = dict.fromkeys(str(each.value.server_id) for each in images if each.value)
    return run(servers, lambda server_id: next_expiry(cloud, server_id), workers=1)


def expiring(cloud: Cloud, server_id: str, schedule: ImageSchedule) -> list[Decision]:
    """Return the images that a server's next scheduled image deletes, oldest first.

    :param schedule: the schedule by which it is made.
    :raises NoSuchServer: if there is no such server.
    """
    return outlook(cloud, server_id, schedule).expiring


def outlook(cloud: Cloud, server_id: str, schedule: ImageSchedule | None) -> Outlook:
    """Return what becomes of a server's images in time by a schedule.

    :raises NoSuchServer: if there is no such server.
    :raises SimpleOnly: if the cloud cannot have such a schedule.
    """
    if schedule is not None:
        cloud.schedules.check(schedule)
    server, now = read_server(cloud, server_id)
    images = images_of(cloud, server_id)
    keep = schedule.keep if schedule else None
    return Outlook.of(decide_on(server, images, keep), schedule, now)


def next_expiry(cloud: Cloud, server_id: str) -> list[Decision] | None:
    """Return the images of a server that expire first, oldest first.

    :returns: None if the server has no schedule, so that no image expires.
    :raises NoSuchServer: if there is no such server.
    """
    try:
        schedule = find_schedule(cloud, server_id)
    except InvalidSchedule:
        return None
    except NotOffered:
        # The server itself has not been read.
        read_server(cloud, server_id)
        return None
    if schedule is None:
        return None
    found = outlook(cloud, server_id, schedule)
    return found.dated(found.soonest)
