"""A broker for all tests of the workers, and a cloud for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..functional.conftest import cloud
from ..interop.cloud.layout import CloudError
from .broker import Broker, installed, why_not

__all__ = ["broker", "cloud"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("workers", "the proof that workers may be killed")
    group.addoption("--servers", type=int, default=60, help="default: %(default)s")
    group.addoption("--days", type=int, default=2, help="virtual; default: %(default)s")
    group.addoption("--kills", type=int, default=8, help="default: %(default)s")
    group.addoption("--chaos-seed", type=int, default=1, help="default: %(default)s")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """RabbitMQ, on ports of its own."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    try:
        software = installed()
    except CloudError as error:
        pytest.skip(f"RabbitMQ cannot be unpacked: {error}")
    with Broker(tmp_path_factory.mktemp("broker"), software) as broker:
        yield broker
