"""Beside the last version that knows daily, weekly and a number only.

Whatever an earlier runner or client does, nothing that a rule keeps is deleted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    OFF_TAG,
    schedule_tag,
)
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.clouds import PROXIED
from ..functional.fleet import MYSERVER
from ..functional.runners import made, runner_of
from .processes import Process
from .versions import unpacked

#: The last commit that knows no rules.
BEFORE = "0f91489"
TICK = ("tick", "--requests=1")
RULES = ImageSchedule(hours=6, keep=Keep(last=3, daily=4, weekly=2))
Nova = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the package as it was."""
    return unpacked(tmp_path_factory.mktemp("before-rules"), BEFORE)


def environ_of(cloud: Sandbox, before: Path) -> dict[str, str]:
    more = {"PYTHONPATH": str(before), "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **cloud.env(), **more}


@pytest.fixture
def nova(cloud: Sandbox, before: Path) -> Nova:
    """The earlier client."""
    program = str(Path(sys.executable).with_name("nova"))

    def nova(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *argv],
            capture_output=True,
            text=True,
            check=False,
            env=environ_of(cloud, before),
            timeout=120,
        )

    return nova


def set_schedule(cloud: Sandbox, *schedules: ImageSchedule) -> None:
    with cloud.region() as region:
        tags = (MARKER_TAG, *map(schedule_tag, schedules))
        region.servers.set_tags(MYSERVER, tags)


def tags(cloud: Sandbox) -> list[str]:
    with cloud.region() as region:
        return sorted(region.servers.get(MYSERVER).tags)


def grown(cloud: Sandbox, schedule: ImageSchedule = RULES) -> list[str]:
    """Let the service of today work for days; the IDs of the images that are there."""
    set_schedule(cloud, schedule)
    runner = runner_of(cloud)
    for _ in range(12 * 24 // 6):
        runner.tick()
        cloud.advance("6h")
    runner.tick()
    cloud.advance("5m")
    runner.tick()
    return [image.id for image in made(cloud)]


def tick_before(cloud: Sandbox, before: Path, log: Path, *, times: int) -> None:
    """Let the earlier runner tick every six hours."""
    environ = cloud.environ()
    with Process("before", before, environ, lambda: cloud.advance(0), log) as old:
        for _ in range(times):
            cloud.advance("6h")
            old.run(TICK)


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
class TestDirectly:
    def test_an_earlier_runner_makes_and_deletes_nothing(
        self, cloud: Sandbox, before: Path, tmp_path: Path
    ) -> None:
        kept = grown(cloud)
        assert len(kept) > RULES.keep.last
        log = tmp_path / "log"
        tick_before(cloud, before, log, times=8)
        assert [image.id for image in made(cloud)] == kept
        assert "6h:3l+4d+2w' is not a schedule" in log.read_text()

    def test_both_beside_each_other(
        self, cloud: Sandbox, before: Path, tmp_path: Path
    ) -> None:
        """From rules to a number and back, at any hour: no image too many."""
        grown(cloud)
        new, log = runner_of(cloud), tmp_path / "log"
        with Process(
            "before", before, cloud.environ(), lambda: cloud.advance(0), log
        ) as old:
            for hour in range(60):
                if hour in (7, 31):
                    # Somebody is about to change it: an image goes only if both
                    # schedules let it go.
                    set_schedule(cloud, RULES, ImageSchedule(1))
                elif hour in (9, 33):
                    set_schedule(cloud, ImageSchedule(7))
                elif hour == 20:
                    set_schedule(cloud, RULES)
                there = made(cloud)
                old.run(TICK)
                new.tick()
                left = {image.id for image in made(cloud)}
                gone = [image for image in there if image.id not in left]
                # Of seven days there are more than seven images of each quarter.
                assert len(left) >= RULES.keep.last, hour
                assert not gone or len(left) >= 7 or hour < 9 or 20 <= hour < 33
                cloud.advance("1h")
        every = sorted(made(cloud) + made(cloud, deleted=True), key=lambda i: i.created)
        moments = [image.created for image in every if image.size]
        pauses = [b - a for a, b in pairwise(moments)]
        assert min(pauses) > 30 * 60
        assert max(pauses) <= 25 * 3600

    def test_an_earlier_client_refuses(self, cloud: Sandbox, nova: Nova) -> None:
        kept = grown(cloud)
        for argv in (("prune", "--yes"), ("show",), ("update", "--daily")):
            done = nova(f"scheduled-images-{argv[0]}", *argv[1:], "myserver")
            assert (done.returncode, done.stdout) == (1, "")
            assert "is not a schedule" in done.stderr
        assert [image.id for image in made(cloud)] == kept
        assert tags(cloud) == [MARKER_TAG, schedule_tag(RULES)]


@pytest.mark.parametrize("cloud", [PROXIED], indirect=True)
class TestThroughTheApiInFront:
    def test_an_earlier_client_deletes_nothing(
        self, cloud: Sandbox, nova: Nova
    ) -> None:
        kept = grown(cloud)
        shown = nova("scheduled-images-show", "myserver")
        assert shown.stdout == "Schedule type: Daily\nRetention: 65535\n"
        pruned = nova("scheduled-images-prune", "--yes", "myserver")
        assert pruned.returncode == 0, pruned.stderr
        # A number does not replace rules; to send back what was shown changes nothing.
        refused = nova("scheduled-images-enable", "myserver", "7")
        assert refused.returncode == 1
        assert "has rules" in refused.stderr
        assert nova("scheduled-images-enable", "myserver", "65535").returncode == 0
        assert [image.id for image in made(cloud)] == kept
        assert tags(cloud) == [MARKER_TAG, schedule_tag(RULES)]
        off = nova("scheduled-images-disable", "myserver")
        assert (off.returncode, tags(cloud)) == (0, [OFF_TAG])

    def test_an_earlier_runner_deletes_nothing(
        self, cloud: Sandbox, before: Path, tmp_path: Path
    ) -> None:
        weekly = ImageSchedule(
            day_of_week="SUNDAY", keep=Keep(last=2, weekly=4, monthly=12)
        )
        for schedule in (RULES, replace(weekly, at="02:30")):
            kept = grown(cloud, schedule)
            tick_before(cloud, before, tmp_path / schedule.every, times=4)
            assert set(kept) <= {image.id for image in made(cloud)}
