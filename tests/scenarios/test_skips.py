"""Nothing is skipped silently."""

from __future__ import annotations

import pytest

from .clouds import CLIENT_LACKS, CloudUnderTest
from .conftest import needed
from .skipped import LACKS, SKIPPED


def name(item: pytest.Item) -> str:
    """Return what a scenario is called, without its parameters."""
    return item.nodeid.partition("[")[0].rpartition("/")[2]


@pytest.fixture
def scenarios(request: pytest.FixtureRequest) -> list[pytest.Item]:
    """The scenarios that were collected, in this folder."""
    folder = request.path.parent
    return [item for item in request.session.items if item.path.parent == folder]


def test_the_list_of_skipped_scenarios_is_exact(
    scenarios: list[pytest.Item], pytestconfig: pytest.Config
) -> None:
    files = {item.path.name for item in scenarios}
    run_here = {name(item) for item in scenarios}
    some = pytestconfig.getoption("keyword") or pytestconfig.getoption("markexpr")
    for what, listed in SKIPPED.items():
        skipped = {name(item) for item in scenarios if what in needed(item)}
        # Of what was not asked for nothing is known.
        known = {s for s in listed if s.partition("::")[0] in files}
        assert skipped == (known & run_here if some else known), what
    assert {what for item in scenarios for what in needed(item)} <= SKIPPED.keys()


def test_the_cloud_lacks_what_it_is_known_to_lack(under_test: CloudUnderTest) -> None:
    assert under_test.lacks <= SKIPPED.keys()
    if under_test.kind in LACKS:
        assert under_test.lacks == LACKS[under_test.kind] | CLIENT_LACKS
