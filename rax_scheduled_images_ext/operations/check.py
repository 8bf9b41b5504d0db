"""Checks whether the scheduled images of a project are fresh enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.freshness import MAX_AGE, ScheduleStatus, State
from rax_scheduled_images_ext.model.verify import Level
from rax_scheduled_images_ext.operations.inventory import read_inventory
from rax_scheduled_images_ext.operations.targets import no_servers

#: The exit status of a check that finds a problem.
STALE = 3


@dataclass(frozen=True)
class CheckResult:
    """The result of a check; ``now`` is its time by the cloud's clock.

    ``problems`` are the servers whose images are stale or unproven, or whose schedule
    is invalid or could not be read, ordered by name. ``unproven`` are the IDs of those
    without a recent proof that an image boots.
    """

    now: datetime
    servers: list[ScheduleStatus]
    problems: list[ScheduleStatus]
    unproven: frozenset[str] = frozenset()

    @property
    def stale(self) -> bool:
        """Whether a server lacks an image, or a proof, that it should have."""
        stale = any(problem.stale for problem in self.problems)
        return stale or bool(self.unproven)


def check(
    cloud: Cloud,
    *,
    name: str | re.Pattern[str] | None = None,
    max_age: timedelta = MAX_AGE,
    verified_within: timedelta | None = None,
    level: Level = Level.CONSOLE,
) -> CheckResult:
    """Find the servers whose newest scheduled image is too old, or does not boot.

    :param name: only servers whose names match this regular expression anywhere.
    :param max_age: the maximum age of the newest image of a daily schedule; six days
        more for a weekly schedule.
    :param verified_within: within which time an image of each server must have been
        proven to boot, to this ``level`` at least; None if only a proof that failed
        matters. A server that is younger needs none.
    :raises NoServers: if no server with a schedule matches the name: monitoring of a
        server must notice that its schedule is gone.
    :raises NotOffered: if the cloud has no scheduled images.
    """
    inventory = read_inventory(cloud, enabled=True, name=name, max_age=max_age)
    if name is not None and not inventory.servers:
        raise no_servers(re.compile(name), scheduled=True)
    unproven = frozenset(
        status.server.id
        for status in inventory.servers
        if status.failed_proof
        or (
            verified_within is not None
            and is_unproven(status, verified_within, level, inventory.now)
        )
    )
    problems = sorted(
        (
            status
            for status in inventory.servers
            if status.stale
            or status.state is State.UNKNOWN
            or status.server.id in unproven
        ),
        key=lambda status: (status.server.name, status.server.id),
    )
    return CheckResult(inventory.now, inventory.servers, problems, unproven)


def is_unproven(
    status: ScheduleStatus, within: timedelta, level: Level, now: datetime
) -> bool:
    """Whether a server lacks a required proof that an image boots."""
    known, created = status.verified, status.server.created
    if known is None:
        return created is None or now - created > within
    return not known.satisfies(level, within, now)
