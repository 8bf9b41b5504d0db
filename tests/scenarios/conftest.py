"""One suite of scenarios, any cloud: a sandbox unless ``--cloud`` says another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from rax_scheduled_images_ext.sandbox.environment import client_environment

from ..novashell import Nova
from .clouds import KINDS, WITHOUT, CloudUnderTest, opened, person
from .drivers import DRIVERS, Driver
from .resources import Workshop

# Taken before any fixture hides it.
_PERSON = person()
_CLOUDS = pytest.StashKey[dict[str, CloudUnderTest]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cloud",
        choices=KINDS,
        default="sandbox",
        help="run the scenarios on a sandbox, on the real OpenStack on loopback, or on"
        " the cloud that the OS_* variables name",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*what): skip the scenario on a cloud that lacks it"
    )


def cloud_of(node: pytest.Item | pytest.Module) -> CloudUnderTest:
    """Return the cloud that a scenario runs on, opened when first asked for."""
    config = node.config
    kind = config.getoption("--cloud", "sandbox")
    if kind == "sandbox" and WITHOUT in needed(node):
        kind = "plain sandbox"
    clouds = config.stash.setdefault(_CLOUDS, {})
    if kind not in clouds:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        clouds[kind] = stack.enter_context(opened(kind, _PERSON))
    return clouds[kind]


def needed(node: pytest.Item | pytest.Module) -> set[str]:
    """Return what a scenario, or all of a file, needs of a cloud."""
    return {what for mark in node.iter_markers("needs") for what in mark.args}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    cloud = cloud_of(item)
    lacking = needed(item) & cloud.lacks
    if lacking:
        pytest.skip(f"{cloud.kind} lacks {', '.join(sorted(lacking))}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no scenario be skipped but for what it was marked to need."""
    report = yield
    if report.skipped and not needed(item) & cloud_of(item).lacks:
        report.outcome = "failed"
        report.longrepr = "skipped itself, and is not marked to need anything"
    return report


@pytest.fixture(scope="module")
def under_test(request: pytest.FixtureRequest) -> CloudUnderTest:
    """The cloud that the scenarios of a file run on."""
    return cloud_of(request.node)


@pytest.fixture(scope="module")
def resources(under_test: CloudUnderTest) -> Iterator[Workshop]:
    """Makes servers and images; what is left of them at the end is removed."""
    resources = Workshop(under_test.env())
    yield resources
    resources.clear()


@pytest.fixture(scope="module")
def server(resources: Workshop) -> tuple[str, str]:
    """The name and the ID of a server that the scenarios of a file share."""
    return resources.boot()


@pytest.fixture
def own(resources: Workshop) -> Iterator[tuple[str, str]]:
    """The name and the ID of a server of the scenario's own."""
    name, server_id = resources.boot()
    yield name, server_id
    # A quota may allow few at a time.
    if resources.server(server_id) is not None:
        resources.delete_server(server_id)


@dataclass(frozen=True)
class Run(Nova):
    """``nova(*argv)`` in this process; ``nova.start(*argv)`` as a process."""

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a real ``nova``."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("nova"), *argv],
            env=client_environment(self.cloud.env()),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def nova(under_test: CloudUnderTest) -> Run:
    return Run(under_test)


@pytest.fixture(
    params=["nova", pytest.param("openstack", marks=pytest.mark.needs("openstack"))]
)
def driver(request: pytest.FixtureRequest, under_test: CloudUnderTest) -> Driver:
    """Each shell in turn."""
    return DRIVERS[request.param](under_test)
