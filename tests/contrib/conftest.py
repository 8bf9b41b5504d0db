"""The clouds of the functional tests; and what a program is called that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..debian import program_or_skip
from ..functional.conftest import cloud, start

__all__ = ["cloud", "start"]


@pytest.fixture(scope="session")
def nginx() -> Path:
    """Debian's nginx."""
    return program_or_skip("nginx", "usr/sbin/nginx")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Debian's promtool, which tests rules."""
    return program_or_skip("prometheus", "usr/bin/promtool")


@pytest.fixture(scope="session")
def prometheus() -> Path:
    """Debian's Prometheus."""
    return program_or_skip("prometheus", "usr/bin/prometheus")
