"""Runners of the engine on a sandbox without the extension."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any
from unittest import mock

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.configuration import configuration
from rax_scheduled_images_ext.engine.projects import OneProject
from rax_scheduled_images_ext.engine.results import Tick
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model.image import MARKER_KEY, SLOT_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.slots import (
    Window,
    next_slot,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery
from rax_scheduled_images_ext.service.clouds import connect

from .fleet import MYSERVER

DAILY = ImageSchedule(1)


def connected(
    sandbox: Sandbox, user: str = "admin", workers: int = 4, region: str | None = None
) -> Cloud:
    """Return the sandbox as the service connects to it."""
    with mock.patch.dict(os.environ, sandbox.env(user, region)):
        return connect(configuration("tests"), workers)


def runner_of(sandbox: Sandbox, user: str = "admin", **options: Any) -> Runner:
    """Return a runner for the user's project."""
    return Runner(OneProject(connected(sandbox, user)), **options)


def schedule(
    sandbox: Sandbox,
    retention: int = 7,
    day: str | None = None,
    server_id: str = MYSERVER,
) -> None:
    """Give a server a schedule."""
    tags = (MARKER_TAG, schedule_tag(ImageSchedule(retention, day)))
    with sandbox.region() as region:
        region.servers.set_tags(server_id, tags)


def advance_to_slot(
    sandbox: Sandbox, seconds: float = 0.0, schedule: ImageSchedule = DAILY
) -> str:
    """Let time pass until the server's next image is due, and a little longer."""
    now = datetime.fromtimestamp(sandbox.advance(0), timezone.utc)
    slot = next_slot(MYSERVER, schedule, now, Window())
    wait = (slot.due - now).total_seconds() + seconds
    sandbox.cloud.advance(wait)
    return slot.name


def results(tick: Tick) -> list[str]:
    """Return what came of the steps of a tick."""
    return [result.result.name for result in tick.results]


def made(sandbox: Sandbox, *, deleted: bool = False) -> list[Image]:
    """Return the images that runs have made, oldest first."""
    query = ImageQuery(deleted=deleted)
    with sandbox.region() as region:
        images = region.images.select(query)
    found = [image for image in images if SLOT_KEY in image.properties]
    return sorted(found, key=lambda image: (image.created, image.id))


def slots(sandbox: Sandbox) -> list[str]:
    """Return the slots of the ACTIVE marked images, oldest first."""
    return [
        image.properties[SLOT_KEY]
        for image in made(sandbox)
        if image.status == "active" and MARKER_KEY in image.properties
    ]
