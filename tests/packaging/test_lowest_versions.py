"""The lowest versions that are allowed are the ones that were tested together."""

from __future__ import annotations

from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

#: Its tests have environments of their own.
OTHERS = ("celery", "horizon")
REQUIREMENTS = [
    each
    for each in map(Requirement, requires("rax-scheduled-images-ext") or [])
    if not (each.marker and any(f'"{extra}"' in str(each.marker) for extra in OTHERS))
]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_what_is_installed_is_the_lowest(requirement: Requirement) -> None:
    (floor,) = requirement.specifier
    assert floor.operator == ">="
    assert Version(version(requirement.name)) == Version(floor.version)
