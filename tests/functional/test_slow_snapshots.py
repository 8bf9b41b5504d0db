"""Snapshots that take longer than the time between two images of a schedule."""

from __future__ import annotations

import pytest

from rax_scheduled_images_ext.model.image import MARKER_KEY
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.state import Timings

from .fleet import MYSERVER
from .raw import START
from .runners import made, runner_of

pytestmark = pytest.mark.long

HOUR = 3600


def lasting(seconds: float) -> Timings:
    """Snapshots that take so long in all."""
    return Timings(1, seconds / 2, 1, seconds / 2 - 4, 2)


def there(sandbox: Sandbox) -> int:
    """How many marked images there are, those that are being made among them."""
    return sum(MARKER_KEY in image.properties for image in made(sandbox))


@pytest.mark.parametrize("intervals", [0.1, 1.04, 3])
@pytest.mark.parametrize(
    "schedule",
    [
        ImageSchedule(3, hours=1),
        ImageSchedule(hours=2, keep=Keep(last=2, daily=2)),
        ImageSchedule(3),
    ],
    ids=["hourly", "rules", "daily"],
)
def test_the_retention_does_not_wait_for_the_latest_slot(
    schedule: ImageSchedule, intervals: float
) -> None:
    """There are never more images than the rules keep, plus two."""
    interval = schedule.interval.total_seconds()
    with Sandbox(speed=0, start=START, extension=False) as sandbox:
        sandbox.cloud.timings = lasting(intervals * interval)
        with sandbox.region() as region:
            tags = (MARKER_TAG, schedule_tag(schedule))
            region.servers.set_tags(MYSERVER, tags)
        runner = runner_of(sandbox)
        most = 0
        for _ in range(int(8 * max(1, intervals)) * 4):
            runner.tick()
            most = max(most, there(sandbox))
            sandbox.advance(interval / 4)
    assert schedule.keep.last < most <= schedule.most + 2


@pytest.mark.parametrize("hours", [2.4, 25, 72])
def test_nor_does_that_of_the_extension(hours: float) -> None:
    with Sandbox(speed=0, start=START) as sandbox:
        sandbox.cloud.timings = lasting(hours * HOUR)
        with sandbox.region() as region:
            region.schedules.set(MYSERVER, 3, None)
        counts = []
        for _ in range(40):
            sandbox.advance(24 * HOUR)
            counts.append(there(sandbox))
    assert 3 <= max(counts) <= 5
