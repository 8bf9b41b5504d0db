"""Checks whether the scheduled images of a project are fresh enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import ALL_PROJECTS, read_server
from rax_scheduled_images_ext.model.freshness import MAX_AGE, ScheduleStatus, State
from rax_scheduled_images_ext.model.image import ServerImage, made_by_run
from rax_scheduled_images_ext.model.policies import Policies
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, OFF_TAG
from rax_scheduled_images_ext.model.verify import Level
from rax_scheduled_images_ext.operations.inventory import Inventory, read_inventory
from rax_scheduled_images_ext.operations.targets import no_servers
from rax_scheduled_images_ext.operations.unprotected import unprotected

#: The exit status of a check that finds a problem.
STALE = 3


@dataclass(frozen=True)
class CheckResult:
    """The result of a check; ``now`` is its time by the cloud's clock.

    ``problems`` are the servers whose images are stale or unproven, or whose schedule
    is invalid, has vanished or could not be read, ordered by name. ``unproven`` are the
    IDs of those without a recent proof that an image boots, ``all_protected`` is
    whether it was checked that all servers have a schedule, ``all_projects`` whether
    those of all projects were.
    """

    now: datetime
    servers: list[ScheduleStatus]
    problems: list[ScheduleStatus]
    unproven: frozenset[str] = frozenset()
    all_protected: bool = False
    all_projects: bool = False

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
    unprotected_too: bool = False,
    policies: Policies | None = None,
    all_projects: bool = False,
) -> CheckResult:
    """Find the servers whose newest scheduled image is too old, or does not boot.

    :param name: only servers whose names match this regular expression anywhere.
    :param max_age: the maximum age of the newest image of a daily schedule; six days
        more for a weekly schedule.
    :param verified_within: within which time an image of each server must have been
        proven to boot, to this ``level`` at least; None if only a proof that failed
        matters. A server that is younger needs none.
    :param unprotected_too: whether servers without a schedule count.
    :param policies: those whose exceptions count then.
    :param all_projects: the servers of all projects, as an administrator.
    :raises NoServers: if no server with a schedule matches the name: monitoring of a
        server must notice that its schedule is gone.
    :raises NotOffered: if the cloud has no scheduled images.
    :raises NotAdministrator: if the user may not list those of all projects.
    """
    pattern = None if name is None else re.compile(name)
    inventory = read_inventory(
        cloud,
        enabled=None if unprotected_too else True,
        name=pattern,
        max_age=max_age,
        policies=policies,
        all_projects=all_projects,
    )
    if pattern is not None and not inventory.servers:
        raise no_servers(pattern, scheduled=not unprotected_too)
    if unprotected_too:
        lost = unprotected(inventory.servers)
    else:
        lost = vanished(cloud, inventory, pattern, all_projects=all_projects)
    known = [each for each in inventory.servers if each.state is not State.OFF]
    unproven = frozenset(
        status.server.id
        for status in known
        if status.failed_proof
        or (
            verified_within is not None
            and is_unproven(status, verified_within, level, inventory.now)
        )
    )
    problems = sorted(
        (
            status
            for status in {each.server.id: each for each in (*known, *lost)}.values()
            if status.stale
            or status.state is State.UNKNOWN
            or status.server.id in unproven
        ),
        key=lambda status: (
            str(status.server.project_id) if all_projects else "",
            status.server.name,
            status.server.id,
        ),
    )
    return CheckResult(
        inventory.now,
        known,
        problems,
        unproven,
        all_protected=unprotected_too,
        all_projects=all_projects,
    )


def vanished(
    cloud: Cloud,
    inventory: Inventory,
    pattern: re.Pattern[str] | None,
    *,
    all_projects: bool = False,
) -> list[ScheduleStatus]:
    """Return the servers that had images of a schedule and that nobody has ended.

    Only the images remember it, so nothing is asked where none is of another server.

    :param inventory: of the servers with a schedule.
    """
    schedules = cloud.schedules
    others = _images_of_others(inventory) if schedules.kept_as_tags else {}
    if not others:
        return []
    query = {"not-tags-any": f"{MARKER_TAG},{OFF_TAG}"}
    if all_projects:
        query |= ALL_PROJECTS
    found = []
    for answer in schedules.tags.server_pages("/servers/detail", query=query):
        for item in answer.objects("servers"):
            server = read_server(answer, item)
            if pattern and not pattern.search(server.name):
                continue
            own = (None, server.project_id)
            made = [each for each in others.get(server.id, ()) if each.owner in own]
            if made:
                newest = max(made, key=lambda image: str(image.created))
                found.append(
                    ScheduleStatus(server, State.VANISHED, newest=newest, stale=True)
                )
    return found


def _images_of_others(inventory: Inventory) -> dict[str, list[ServerImage]]:
    """Return the images that runs made of servers that are not listed."""
    listed = {each.server.id for each in inventory.servers}
    return {
        server_id: made
        for server_id, images in inventory.images.items()
        if server_id not in listed
        for made in [[image for image in images if made_by_run(image, server_id)]]
        if made
    }


def is_unproven(
    status: ScheduleStatus, within: timedelta, level: Level, now: datetime
) -> bool:
    """Whether a server lacks a required proof that an image boots."""
    known, created = status.verified, status.server.created
    if known is None:
        return created is None or now - created > within
    return not known.satisfies(level, within, now)
