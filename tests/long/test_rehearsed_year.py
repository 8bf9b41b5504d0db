"""A forecast comes true: it is held against a year that the engine goes through."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.outlook import TERMS
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.slots import WHOLE_DAY, next_slot
from rax_scheduled_images_ext.operations.forecast import forecast
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER
from ..functional.runners import connected, runner_of

TAGGED = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
#: As many images as there are at first.
BEFORE = 5
WITHIN = 0.1


def now(cloud: Sandbox) -> datetime:
    return datetime.fromtimestamp(cloud.advance(0), timezone.utc)


def rehearse(
    cloud: Sandbox, runner: Runner, schedule: ImageSchedule, end: datetime
) -> None:
    """Let the engine make what is due until a moment."""
    while True:
        slot = next_slot(MYSERVER, schedule, now(cloud), WHOLE_DAY)
        if slot.due > end:
            cloud.cloud.advance((end - now(cloud)).total_seconds())
            return
        cloud.cloud.advance((slot.due - now(cloud)).total_seconds() + 1)
        runner.tick()
        # Until the image is complete.
        cloud.cloud.advance(1800)
        runner.tick()


@TAGGED
@pytest.mark.parametrize(
    "schedule",
    [
        ImageSchedule(keep=Keep(daily=7, weekly=4, monthly=12)),
        ImageSchedule(
            hours=12, keep=Keep(last=8, daily=7, weekly=4, monthly=12, within_days=5)
        ),
        ImageSchedule(
            day_of_week="SATURDAY", at="02:30", keep=Keep(weekly=4, monthly=12)
        ),
    ],
    ids=["daily", "12h", "weekly"],
)
def test_a_forecast_is_right_within_a_tenth(
    cloud: Sandbox, schedule: ImageSchedule
) -> None:
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, (MARKER_TAG, schedule_tag(schedule)))
    runner = runner_of(cloud)
    start = now(cloud) + BEFORE * schedule.interval
    rehearse(cloud, runner, schedule, start)
    (outcome,) = forecast(connected(cloud), MYSERVER, ScheduleSettings.of(schedule))
    expected = outcome.result().outlook
    assert expected is not None
    for term, length in TERMS.items():
        rehearse(cloud, runner, schedule, start + length)
        there = cloud.images(MYSERVER)
        number, size = len(there), sum(image.size or 0 for image in there)
        predicted = expected.expected[term]
        assert abs(len(predicted) - number) <= max(1, WITHIN * number), term
        assert predicted.size is not None
        assert abs(predicted.size - size) <= max(1, WITHIN * size), term
