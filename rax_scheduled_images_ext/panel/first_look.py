"""A sandbox cloud with two weeks of history, for a first look."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations.protect import protect
from rax_scheduled_images_ext.operations.schedules import enable
from rax_scheduled_images_ext.operations.server import list_images
from rax_scheduled_images_ext.operations.snapshot.begin import begin_snapshot

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox import Sandbox
    from rax_scheduled_images_ext.sandbox.backend.directory import CloudType

_DAY = 24 * 3600.0
_PAST, _LATE = 14 * _DAY, 2 * _DAY
_SCHEDULES = {
    "myserver": ImageSchedule(7),
    "db1": ImageSchedule(4, "SATURDAY"),
    "web1": ImageSchedule(3),
    "mail1": ImageSchedule(5),
    "wiki1": ImageSchedule(2, "MONDAY"),
}


@contextmanager
def sandbox_since_two_weeks(like: CloudType) -> Iterator[Sandbox]:
    """Run a cloud whose clock is two weeks behind."""
    from rax_scheduled_images_ext.sandbox import Sandbox

    with Sandbox(like, start=time.time() - _PAST, seed=2) as sandbox:
        yield sandbox


def live_through(sandbox: Sandbox, cloud: Cloud, servers: int) -> None:
    """Run schedules until now.

    In the last two days the images of one server fail; one image is protected, one
    server has just got its schedule, and a snapshot is in progress.

    :param servers: how many further servers to add.
    """
    for name in ("mail1", "wiki1", "build1"):
        sandbox.boot(name)
    for name, schedule in _SCHEDULES.items():
        enable(cloud, name, schedule)[0].result()
    sandbox.advance(_PAST - _LATE)
    sandbox.fault("lose-image of web1")
    sandbox.advance(max(0.0, time.time() - sandbox.cloud.now))
    sandbox.clear_faults()
    sandbox.add_fleet(servers, 7)
    oldest = list_images(cloud, "myserver")[-1]
    protect(cloud, oldest.image.id)
    sandbox.boot("new1")
    enable(cloud, "new1", ImageSchedule(7))[0].result()
    begin_snapshot(cloud, _id_of(sandbox, "db1"), "db1-before-the-upgrade")


def _id_of(sandbox: Sandbox, name: str) -> str:
    from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

    with sandbox.region() as region:
        return next(iter(region.servers.select(ServerQuery(name=f"^{name}$")))).id
