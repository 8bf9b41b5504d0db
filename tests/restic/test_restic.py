"""The rules keep what the real restic 0.14, of Debian 12, keeps for the same times."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from rax_scheduled_images_ext.model.keep import RULES, WITHIN, Keep
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    PREFIX,
    read_schedule_tags,
)
from rax_scheduled_images_ext.model.slots import WHOLE_DAY, slots_around

from ..debian import program_or_skip

START = datetime(2025, 3, 5, 7, 11, tzinfo=timezone.utc)
SERVER = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
VERSION = "0.14.0"
#: Common policies, as tags.
POLICIES = [
    "daily:7",
    "daily@02:30:7d+4w+12m",
    "12h:14",
    "6h:8l+7d+4w+12m+2y",
    "1h:24h+7d+4w+12m",
    "weekly-wednesday@02:30:4w+12m+5y",
    "daily:2l+4w+in30d",
]


class Restic:
    """A repository with snapshots of one small file at made-up times."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        folder.mkdir()
        (folder / "file").write_text("x")
        self("init")

    def __call__(self, *argv: str) -> str:
        environ = {**os.environ, "RESTIC_PASSWORD": "x", "TZ": "UTC"}
        done = subprocess.run(
            [self._program, "--repo=repository", "--no-cache", "--quiet", *argv],
            cwd=self._folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def backup(self, moments: Iterable[datetime]) -> None:
        """Make a snapshot at each of these times."""

        def at(moment: datetime) -> None:
            self("backup", "file", "--host=x", f"--time={moment:%Y-%m-%d %H:%M:%S}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(at, moments))

    def kept(self, keep: Keep) -> list[datetime]:
        """Return the times of the snapshots that a policy keeps, newest first."""
        rules = {name: str(number) for name, number in keep.rules.items()}
        if WITHIN in rules:
            rules["within"] = f"{rules.pop(WITHIN)}d"
        options = [f"--keep-{name}={value}" for name, value in rules.items()]
        (group,) = json.loads(self("forget", "--dry-run", "--json", *options))
        times = [datetime.fromisoformat(each["time"]) for each in group["keep"]]
        return sorted(times, reverse=True)


@pytest.fixture(scope="session")
def program() -> Path:
    """Debian's restic, of the version whose rules ours are."""
    found = program_or_skip("restic", "usr/bin/restic")
    said = subprocess.run(
        [found, "version"], capture_output=True, text=True, check=True
    )
    if not said.stdout.startswith(f"restic {VERSION} "):
        pytest.skip(f"the rules are those of restic {VERSION}, not of {said.stdout}")
    return found


def ours(keep: Keep, moments: Iterable[datetime]) -> list[datetime]:
    """Return the times that we keep, newest first."""
    newest_first = sorted(moments, reverse=True)
    decided = zip(newest_first, keep.decide(newest_first), strict=True)
    return [moment for moment, by in decided if by]


def dues(schedule: ImageSchedule, days: int) -> list[datetime]:
    """Return when images are due, oldest first."""
    found, now = [], START
    while now < START + timedelta(days=days):
        now = slots_around(SERVER, schedule, now, WHOLE_DAY)[1].due
        found.append(now)
    return found


@pytest.mark.parametrize("policy", POLICIES)
def test_a_year_of_each_common_policy(
    policy: str, program: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    schedule = read_schedule_tags([MARKER_TAG, PREFIX + policy])
    assert schedule is not None
    moments = dues(schedule, pytestconfig.getoption("--restic-days"))
    restic = Restic(program, tmp_path / "restic")
    restic.backup(moments)
    assert restic.kept(schedule.keep) == ours(schedule.keep, moments)


@pytest.mark.parametrize("seed", range(4))
def test_any_rules_on_any_times(seed: int, program: Path, tmp_path: Path) -> None:
    """With gaps, several a day, and some at the same second."""
    chance = random.Random(seed)
    now, moments = START, []
    for _ in range(60):
        minutes = chance.choice([0, 0, 20, 60, 360, 720, 1440, 1440, 10080, 45000])
        now += timedelta(minutes=minutes)
        moments.append(now)
    restic = Restic(program, tmp_path / "restic")
    restic.backup(moments)
    for _ in range(25):
        rules = {rule: chance.choice([0, 0, 1, 2, 3, 5, 9]) for rule in RULES}
        keep = Keep(**rules) or Keep(last=1)
        assert restic.kept(keep) == ours(keep, moments), keep
