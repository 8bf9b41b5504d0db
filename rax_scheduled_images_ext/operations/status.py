"""The schedule of one server and the state of its images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import (
    find_server,
    read_date,
    read_server,
    with_server,
)
from rax_scheduled_images_ext.model.freshness import MAX_AGE, schedule_status
from rax_scheduled_images_ext.operations.inventory import Inventory
from rax_scheduled_images_ext.operations.retention import ImageRetention


def read_status(
    cloud: Cloud,
    server: str,
    *,
    max_age: timedelta = MAX_AGE,
    clock: Callable[[], float] = time.time,
) -> Inventory:
    """Read one server as :func:`.inventory.read_inventory` reads all.

    :param server: a name or an ID.
    :param max_age: as for :func:`.freshness.schedule_status`.
    :param clock: the time in seconds, for a cloud that does not send its own.
    :raises NoSchedule: if it has no schedule.
    :raises InvalidSchedule: if its tags are no schedule.
    :raises NoMatch: if there is no such server.
    :raises SeveralMatches: if several have the name.
    :raises NotOffered: if the cloud has no scheduled images.
    """

    def read(server_id: str) -> Inventory:
        schedule = cloud.schedules.get(server_id)
        answer = find_server(cloud.compute, server_id)
        found = read_server(answer, answer.object("server"))
        rules = cloud.schedules.rules(answer)
        images = ImageRetention.of(cloud).images_of(server_id)
        now = read_date(answer) or datetime.fromtimestamp(clock(), timezone.utc)
        scheduled = replace(found, schedule=schedule, rules=rules)
        return Inventory(now, [schedule_status(scheduled, images, now, max_age)])

    return with_server(cloud.compute, server, read)
