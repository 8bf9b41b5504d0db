"""How long the rehearsals take, and a broker for the one of workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..interop.cloud.layout import CloudError
from ..workers.broker import Broker, installed, why_not


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("beside", "two versions of the service side by side")
    for name, default in (("days", 7), ("weeks", 3), ("first-seed", 1)):
        group.addoption(f"--beside-{name}", type=int, default=default)


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
