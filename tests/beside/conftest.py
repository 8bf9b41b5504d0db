"""How long the rehearsal takes."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("beside", "runners of two versions side by side")
    group.addoption("--days", type=int, default=7, help="virtual; default: %(default)s")
    group.addoption("--weeks", type=int, default=3, help="default: %(default)s")
    group.addoption("--seed", type=int, default=1, help="default: %(default)s")
