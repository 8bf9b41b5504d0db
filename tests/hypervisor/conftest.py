"""A real cloud with a real hypervisor, started for the tests and stopped after them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..interop.cloud.__main__ import alone
from ..interop.cloud.layout import DEFAULT_STATE, CloudError, Layout
from ..interop.cloud.seed import FILLED_FLAVOR
from ..interop.cloud.services import Services
from ..interop.terminal import Terminal
from .guests import Guest, Lab


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=2,
        help="how often to kill each kind of restore at random (default: %(default)s)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let openstacksdk warn of how it calls itself."""
    ours = "ignore::openstack.warnings.RemovedInSDK50Warning"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(ours))


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The cloud; what was up before stays up."""
    layout = Layout(DEFAULT_STATE)
    services = Services(layout, hypervisor=True)
    was_up = all(services.running().values())
    with alone(layout):
        lacks = services.missing()
        if lacks:
            pytest.skip("; ".join(lacks))
        layout.make()
        try:
            services.install()
        except CloudError as error:
            pytest.skip(f"what the hypervisor takes cannot be had: {error}")
        try:
            services.up()
            yield services
        finally:
            if not was_up:
                services.down()


@pytest.fixture(scope="session")
def lab(services: Services) -> Iterator[Lab]:
    lab = Lab(services.layout.environ("demo"))
    yield lab
    lab.clear()


@pytest.fixture
def server(lab: Lab) -> Iterator[tuple[str, Guest]]:
    """The name of a server, and its guest."""
    name, guest = lab.boot("server")
    yield name, guest
    if lab.named(name):
        lab.delete(guest)


@pytest.fixture
def filled(lab: Lab) -> Iterator[tuple[str, Guest]]:
    """The name of a server whose disk takes a while to copy, and its guest."""
    name, guest = lab.boot("filled", FILLED_FLAVOR)
    guest.count_to(5)
    yield name, guest
    lab.delete(guest)


@pytest.fixture
def terminal(services: Services, tmp_path: Path) -> Terminal:
    """The terminal of a member of the project."""
    return Terminal(tmp_path, services.layout.environ("demo"))
