"""A short rehearsal on the real cloud, which must be up."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cloud.layout import DEFAULT_STATE, Layout
from .rehearsal.days import Options, rehearse
from .rehearsal.fleet import Fleet


@pytest.mark.parametrize(("crew", "number"), [("runners", 3), ("workers", 4)])
def test_the_killed_leave_what_an_undisturbed_runner_leaves(
    crew: str, number: int, tmp_path: Path
) -> None:
    layout = Layout(DEFAULT_STATE)
    fleet = Fleet(layout.environ("demo"), layout)
    options = Options(
        servers=4,
        retention=1,
        days=2.0,
        crew=crew,
        number=number,
        kills=8,
        speed=720.0,
    )
    report = rehearse(options, fleet, tmp_path)
    assert report.undisturbed.filled.total() >= 8
    assert report.same, f"\n{report}"
