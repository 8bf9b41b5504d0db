"""Whether all scheduled images of a project are as fresh as they should be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.freshness import MAX_AGE, ScheduleStatus, State
from rax_scheduled_images_ext.operations.inventory import read_inventory
from rax_scheduled_images_ext.operations.targets import no_servers

#: The exit status of a check that finds a stale server.
STALE = 3


@dataclass(frozen=True)
class CheckResult:
    """The servers with a schedule at a moment of the cloud's clock.

    ``problems`` are those whose images are stale, or whose schedule is invalid or could
    not be read, ordered by name.
    """

    now: datetime
    servers: list[ScheduleStatus]
    problems: list[ScheduleStatus]

    @property
    def stale(self) -> bool:
        """Whether some server lacks an image that it should have."""
        return any(problem.stale for problem in self.problems)


def check(
    cloud: Cloud,
    *,
    name: str | re.Pattern[str] | None = None,
    max_age: timedelta = MAX_AGE,
) -> CheckResult:
    """Look for servers whose newest scheduled image is too old, or is missing.

    :param name: only servers in whose names this regular expression is found.
    :param max_age: how old the newest image of a daily schedule may be; one of a
        weekly schedule may be six days older.
    :raises NoServers: if no server with a schedule has such a name: whoever watches
        a server must learn that its schedule is gone.
    :raises NotOffered: if the cloud has no scheduled images.
    """
    inventory = read_inventory(cloud, enabled=True, name=name, max_age=max_age)
    if name is not None and not inventory.servers:
        raise no_servers(re.compile(name), scheduled=True)
    problems = sorted(
        (
            status
            for status in inventory.servers
            if status.stale or status.state is State.UNKNOWN
        ),
        key=lambda status: (status.server.name, status.server.id),
    )
    return CheckResult(inventory.now, inventory.servers, problems)
