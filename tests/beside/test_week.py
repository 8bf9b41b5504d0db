"""A rehearsed week of runners before and after a change of the engine, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from .versions import unpacked
from .week import week_beside


@pytest.mark.parametrize("breaks", [False, True])
def test_the_laws_hold(
    tmp_path: Path, request: pytest.FixtureRequest, breaks: bool
) -> None:
    before = unpacked(tmp_path / "before")
    days = request.config.getoption("--beside-days")
    first = request.config.getoption("--beside-first-seed")
    for seed in range(first, first + request.config.getoption("--beside-weeks")):
        logs = tmp_path / f"logs-{seed}"
        logs.mkdir()
        with week_beside(before, logs, seed, breaks=breaks) as week:
            week.pass_days(days)
            week.pass_days(4, calm=True)
            week.check()
            week.check_made()
            week.check_settled()
        print(
            f"seed {seed}: {week.ticks} ticks, {week.faults} faults, {week.kills} kills"
        )
