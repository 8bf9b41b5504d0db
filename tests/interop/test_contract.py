"""The sandbox answers as the real cloud did when it was recorded."""

from __future__ import annotations

import pytest

from .contract.case import Case
from .contract.clouds import recorded_answers, sandbox_answers
from .contract.deviations import (
    Differences,
    compare,
    inexact,
    report,
    unmeant,
)
from .contract.runner import TABLE


@pytest.fixture(scope="module")
def found() -> Differences:
    return compare(recorded_answers(), sandbox_answers())


def test_the_sandbox_differs_only_where_that_is_meant(found: Differences) -> None:
    assert not unmeant(found), "\n" + report(unmeant(found))


def test_what_is_said_to_differ_differs(found: Differences) -> None:
    assert not inexact(found)


def test_the_table_is_large_and_covers_every_service() -> None:
    assert recorded_answers().keys() == {case.name for case in TABLE}
    for service in ("identity", "compute", "image", "volume"):
        cases = [case for case in TABLE if case.service == service]
        assert len(cases) > 40
        assert {_kind(case) for case in cases} == {2, 4}


def _kind(case: Case) -> int:
    """Return the first digit of what was answered; 3 and 5 are beside the point."""
    return 2 if recorded_answers()[case.name]["status"] < 400 else 4
