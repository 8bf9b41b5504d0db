"""The real shells against a cloud of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..openstackshell import OpenStack
from .clouds import open_cloud
from .interceptor import Interceptor
from .panels import Panel, Reader, panel_over
from .raw import START, Box, Caller
from .snapshots import following

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A fresh cloud, whose time moves by ``advance`` alone.

    It is like OpenStack, or what a test is parametrized with: a cloud type, the options
    of a Sandbox, or a cloud behind the service's API.
    """
    wanted = getattr(request, "param", "openstack")
    with open_cloud(wanted, speed=0, start=START) as sandbox:
        yield sandbox


@pytest.fixture
def front(cloud: Sandbox) -> Iterator[Interceptor]:
    """What answers in the place of the test's cloud, where a test says so."""
    with Interceptor(cloud) as front:
        yield front


@pytest.fixture
def quick(cloud: Sandbox) -> Iterator[Sandbox]:
    """The test's cloud, in which a snapshot is over after ten looks at it."""
    with following(cloud):
        yield cloud


@pytest.fixture
def nova(cloud: Sandbox) -> Nova:
    return Nova(cloud)


@pytest.fixture
def openstack(cloud: Sandbox) -> OpenStack:
    return OpenStack(cloud)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program, with ``env``; it is ended with the test."""
    with ExitStack() as ending:

        def start(
            *argv: str | Path, env: Mapping[str, str] | None = None
        ) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                argv,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=env,
            )
            ending.callback(process.communicate)
            ending.callback(process.kill)
            return process

        yield start


@pytest.fixture
def panel(cloud: Sandbox) -> Iterator[Panel]:
    """A panel for the user who started it, for the test's cloud."""
    with panel_over(cloud) as panel:
        yield panel


@pytest.fixture
def reader(panel: Panel) -> Reader:
    """Somebody who has entered the panel."""
    return panel.reader()


@pytest.fixture
def cloud_box(cloud: Sandbox) -> Iterator[Box]:
    """The test's cloud, for requests as they go over the wire."""
    with requests.Session() as session:
        yield Box(cloud, session)


@pytest.fixture
def admin(cloud_box: Box) -> Caller:
    return cloud_box.admin


@pytest.fixture
def server(admin: Caller) -> str:
    """The path of the admin's server."""
    return f"/servers/{admin.server_id()}"
