"""The real nova shell against a cloud of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.directory import CloudType

from ..novashell import Nova
from .raw import START, Box, Caller, box
from .snapshots import following


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A fresh cloud, whose time moves by ``advance`` alone.

    It has OpenStack's face, or the one that a test is parametrized with.
    """
    like: CloudType = getattr(request, "param", "openstack")
    with Sandbox(like=like, speed=0, start=START) as sandbox:
        yield sandbox


@pytest.fixture
def rackspace() -> Iterator[Sandbox]:
    """A fresh cloud with Rackspace's face, whose time moves by ``advance`` alone."""
    with Sandbox(like="rackspace", speed=0, start=START) as sandbox:
        yield sandbox


@pytest.fixture
def quick(cloud: Sandbox) -> Iterator[Sandbox]:
    """The test's cloud, in which a snapshot is over after ten looks at it."""
    with following(cloud):
        yield cloud


@pytest.fixture
def nova(cloud: Sandbox) -> Nova:
    return Nova(cloud)


@pytest.fixture
def cloud_box() -> Iterator[Box]:
    """A cloud with OpenStack's face, for requests as they go over the wire."""
    with box("openstack") as made:
        yield made


@pytest.fixture
def admin(cloud_box: Box) -> Caller:
    return cloud_box.admin


@pytest.fixture
def server(admin: Caller) -> str:
    """The path of the admin's server."""
    return f"/servers/{admin.server_id()}"
