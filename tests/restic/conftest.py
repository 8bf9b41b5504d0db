"""For how many days images are made up."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--restic-days", type=int, default=365)
