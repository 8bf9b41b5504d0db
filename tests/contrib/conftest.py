"""The clouds of the functional tests; and what a program is called that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..debian import program
from ..functional.conftest import cloud, start
from ..interop.cloud.layout import CloudError

__all__ = ["cloud", "start"]


def _program(package: str, path: str) -> Path:
    try:
        return program(package, path)
    except CloudError as error:
        pytest.skip(f"{Path(path).name} cannot be had: {error}")


@pytest.fixture(scope="session")
def nginx() -> Path:
    """Debian's nginx."""
    return _program("nginx", "usr/sbin/nginx")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Debian's promtool, which tests rules."""
    return _program("prometheus", "usr/bin/promtool")


@pytest.fixture(scope="session")
def prometheus() -> Path:
    """Debian's Prometheus."""
    return _program("prometheus", "usr/bin/prometheus")
