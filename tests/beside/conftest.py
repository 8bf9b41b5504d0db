"""How long the rehearsals take, and a broker for the one of workers."""

from __future__ import annotations

import pytest

from ..functional.conftest import cloud, nova
from ..workers.conftest import broker

__all__ = ["broker", "cloud", "nova"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("beside", "two versions of the service side by side")
    for name, default in (("days", 2), ("weeks", 1), ("first-seed", 1)):
        group.addoption(f"--beside-{name}", type=int, default=default)
