"""What the images of servers take, and when their projects' quotas are reached."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import chain

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.freshness import (
    MAX_AGE,
    ScheduleStatus,
    schedule_status,
)
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.model.space import Sizes, Spaces
from rax_scheduled_images_ext.operations.space import quota_forecast, snapshot_sizes


def read_spaces(projects: Projects, page: Page) -> Spaces:
    """Return what all images of a survey take: a request for each project's quota."""
    sizes, images = read_sizes(projects, page), page.open.by_server
    statuses = [
        schedule_status(
            step.server, images.get(step.server.id, ()), page.now, MAX_AGE, sizes
        )
        for step in page.steps
    ]
    found = {each.server.id: each.space for each in statuses if each.space}
    return Spaces(found, read_quotas(projects, statuses))


def read_sizes(projects: Projects, page: Page) -> Sizes:
    """Return the sizes of the volume snapshots that images of a survey name."""
    return snapshot_sizes(
        projects.listing,
        chain.from_iterable(page.open.by_server.values()),
        all_projects=projects.all_projects,
    )


def read_quotas(
    projects: Projects, statuses: Iterable[ScheduleStatus]
) -> dict[str, FullQuota]:
    """Return when the image quota of each project is reached, where that is known."""
    outlooks: dict[str, list[Outlook]] = {}
    for status in statuses:
        if status.outlook is not None and status.server.project_id is not None:
            outlooks.setdefault(status.server.project_id, []).append(status.outlook)
    found: dict[str, FullQuota] = {}
    for project_id, each in outlooks.items():
        # It is for display: nothing may fail because of it.
        with suppress(*PASSING, ScheduledImagesError):
            quota = quota_forecast(projects.of(project_id), each)
            if quota is not None:
                found[project_id] = quota
    return found
