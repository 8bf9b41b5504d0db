"""Programs with an openstacksdk connection in place of a novaclient client."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any
from unittest import mock

import pytest

import rax_scheduled_images_ext as scheduled_images
from rax_scheduled_images_ext import ImageSchedule, ScheduleSettings, State, errors
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER, NOBODY, sent
from .snapshots import images

SCHEDULE = f"/servers/{MYSERVER}/rax-si-image-schedule"


def connect(cloud: Sandbox, **options: Any) -> Any:
    """A connection of the admin, as programs make one."""
    import openstack

    with mock.patch.dict(os.environ, cloud.env()):
        return openstack.connect(load_envvars=True, **options)


@pytest.fixture
def connection(cloud: Sandbox) -> Any:
    with connect(cloud) as made:
        yield made


def test_schedules(connection: Any, cloud: Sandbox) -> None:
    own = scheduled_images.connect(connection)
    weekly = ImageSchedule(4, "SATURDAY")
    (outcome,) = scheduled_images.enable(own, MYSERVER, weekly)
    assert outcome.result() == weekly
    assert sent(cloud) == [f"POST {SCHEDULE} 200"]
    (shown,) = scheduled_images.show(own, ["myserver"])
    assert shown.result().schedule == weekly
    cloud.advance("9d")
    inventory = scheduled_images.read_inventory(own, enabled=True)
    assert [each.state for each in inventory.servers] == [State.OK]
    (decision, *_) = scheduled_images.list_images(own, "myserver")
    assert decision.image.id == cloud.images(MYSERVER)[0].id


@pytest.mark.parametrize("cloud", [{"max_limit": 2}], indirect=True)
def test_a_region_is_asked_once_whether_it_has_the_extension(
    connection: Any, cloud: Sandbox
) -> None:
    """A list of several pages without a schedule does not show it."""
    own = scheduled_images.connect(connection)
    for _ in range(2):
        assert len(scheduled_images.read_inventory(own).servers) == 4
    assert [line for line in sent(cloud) if line.startswith("GET /extensions/")] == [
        "GET /extensions/rax-si-image-schedule 200"
    ]


def test_a_change_of_schedules(connection: Any) -> None:
    own = scheduled_images.connect(connection)
    change = scheduled_images.change
    (refused,) = change(own, "myserver", ScheduleSettings(daily=True))
    assert isinstance(refused.error, errors.NoRetention)
    wanted = ScheduleSettings(retention=4, day_of_week="sat")
    first, unknown = change(own, ["myserver", NOBODY], wanted)
    assert (first.result().before, first.result().after) == (
        None,
        ImageSchedule(4, "SATURDAY"),
    )
    assert isinstance(unknown.error, errors.NoMatch)
    (second,) = change(own, "myserver", ScheduleSettings(retention=5))
    assert second.result().after == ImageSchedule(5, "SATURDAY")
    for wrong in (
        ScheduleSettings(),
        ScheduleSettings(retention=0),
        ScheduleSettings(day_of_week="t"),
        ScheduleSettings(day_of_week="sat", daily=True),
    ):
        with pytest.raises(errors.InvalidValue):
            change(own, "myserver", wrong)


def test_the_status_of_one_server(connection: Any, cloud: Sandbox) -> None:
    own = scheduled_images.connect(connection)
    for server, kind in (("myserver", errors.NoSchedule), ("nobody", errors.NoMatch)):
        with pytest.raises(kind):
            scheduled_images.read_status(own, server)
    scheduled_images.enable(own, "myserver", ImageSchedule(3))
    cloud.advance("5d")
    (listed,) = scheduled_images.read_inventory(own, enabled=True).servers
    found = scheduled_images.read_status(own, "myserver")
    (status,) = found.servers
    assert (status.state, status.counted) == (listed.state, listed.counted)
    assert status.next_due == listed.next_due
    # A list reads of the metadata only what is needed.
    (newest, *expiring), same = (
        [image and image.id for image in (each.newest, *each.expires_next)]
        for each in (status, listed)
    )
    assert newest
    assert [newest, *expiring] == same


def test_a_connections_region_and_version_count(cloud: Sandbox) -> None:
    own = scheduled_images.connect(connect(cloud))
    assert own.compute.adapter.default_microversion is None
    for options in (
        {"compute_default_microversion": "2.60"},
        {"compute_api_version": "2.60"},
    ):
        own = scheduled_images.connect(connect(cloud, **options))
        assert own.compute.adapter.default_microversion == "2.60"
        assert own.transport("image").adapter.default_microversion is None


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_a_region_named_is_not_the_connections(cloud: Sandbox) -> None:
    import openstack

    env = cloud.env()
    connection = openstack.connect(
        load_envvars=False,
        load_yaml_config=False,
        auth_type="v2password",
        auth_url=env["OS_AUTH_URL"],
        username=env["OS_USERNAME"],
        password=env["OS_PASSWORD"],
        tenant_name=env["OS_TENANT_NAME"],
        region_name="DFW",
        identity_api_version="2.0",
    )
    own = scheduled_images.connect(connection)
    listed = scheduled_images.read_regions(own)
    assert [each.item for each in listed] == ["DFW", "ORD"]
    names = [each.server.name for each in listed[1].result().servers]
    assert names == ["backup1"]


def test_a_snapshot(connection: Any, quick: Sandbox) -> None:
    done: list[str] = []
    with scheduled_images.quiesced_snapshot(
        scheduled_images.connect(connection),
        MYSERVER,
        "monday",
        before=lambda _: done.append("before"),
        after=lambda _: done.append("after"),
        limits=scheduled_images.Timeouts(interval=0.05),
    ) as snapshot:
        assert done == ["before"]
    assert done == ["before", "after"]
    assert images(quick)["monday"].id == snapshot.image_id


WITHOUT_NOVACLIENT = f"""
import sys

sys.modules["novaclient"] = None
import openstack
import rax_scheduled_images_ext as scheduled_images

for name in scheduled_images.__all__:
    getattr(scheduled_images, name)
cloud = scheduled_images.connect(openstack.connect(load_envvars=True))
for outcome in scheduled_images.enable(
    cloud, "{MYSERVER}", scheduled_images.ImageSchedule(7)
):
    print(outcome.result())
"""


def test_novaclient_is_not_needed(cloud: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NOVACLIENT],
        env=cloud.environ(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ImageSchedule(retention=7, day_of_week=None)\n"
