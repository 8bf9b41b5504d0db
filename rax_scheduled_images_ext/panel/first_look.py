"""A sandbox cloud with two weeks of history, to look at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keystoneauth1.session
from keystoneauth1.identity import Password

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations.retention import list_images, protect
from rax_scheduled_images_ext.operations.schedules import enable
from rax_scheduled_images_ext.operations.snapshot.begin import begin_snapshot

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox import Sandbox
    from rax_scheduled_images_ext.sandbox.backend.directory import CloudType

_DAY = 24 * 3600
_SCHEDULES = {
    "myserver": ImageSchedule(7),
    "db1": ImageSchedule(4, "SATURDAY"),
    "web1": ImageSchedule(3),
    "mail1": ImageSchedule(5),
    "wiki1": ImageSchedule(2, "MONDAY"),
}


@contextmanager
def sandbox_with_history(like: CloudType, servers: int) -> Iterator[Sandbox]:
    """Run a cloud on which schedules have worked for two weeks.

    In the last two days the images of one server have failed; one image is
    protected, one server has its schedule since now, and a snapshot is under way.
    """
    from rax_scheduled_images_ext.sandbox import Sandbox

    begin = time.time() - 14 * _DAY
    images = 7 if servers else 0
    with Sandbox(
        like, servers=servers, images_per_server=images, start=begin, seed=2
    ) as sandbox:
        for name in ("mail1", "wiki1", "build1", "new1"):
            sandbox.boot(name)
        cloud = _open(sandbox)
        for name, schedule in _SCHEDULES.items():
            enable(cloud, name, schedule)[0].result()
        sandbox.advance(12 * _DAY)
        sandbox.fault("lose-image of web1")
        sandbox.advance(begin + 14 * _DAY - sandbox.cloud.now)
        sandbox.clear_faults()
        oldest = list_images(cloud, "myserver")[-1]
        protect(cloud, oldest.image.id)
        enable(cloud, "new1", ImageSchedule(7))[0].result()
        begin_snapshot(cloud, _id_of(sandbox, "db1"), "db1-before-the-upgrade")
        yield sandbox


def _open(sandbox: Sandbox) -> Cloud:
    env = sandbox.env()
    auth = Password(
        env["OS_AUTH_URL"],
        env["OS_USERNAME"],
        password=env["OS_PASSWORD"],
        project_name=env["OS_PROJECT_NAME"],
        user_domain_name=env.get("OS_USER_DOMAIN_NAME"),
        project_domain_name=env.get("OS_PROJECT_DOMAIN_NAME"),
    )
    session = keystoneauth1.session.Session(auth)
    session.session.trust_env = False

    def open_adapter(service_type: str, **options: object) -> keystoneauth1.adapter.Adapter:
        options.setdefault("region_name", env["OS_REGION_NAME"])
        return keystoneauth1.adapter.Adapter(
            session, service_type=service_type, **options
        )

    return Cloud(open_adapter)


def _id_of(sandbox: Sandbox, name: str) -> str:
    from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

    with sandbox.region() as region:
        return next(iter(region.servers(ServerQuery(name=f"^{name}$")))).id
