"""The recording of the real cloud, which must be up, is still true."""

from __future__ import annotations

from .contract.clouds import real_answers, recorded_answers
from .contract.deviations import compare, report


def test_the_real_cloud_answers_as_recorded() -> None:
    found = compare(recorded_answers(), real_answers())
    assert not found, "\n" + report(found)
