"""A real Horizon in this process, over a cloud of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import override_settings

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import START
from .dashboard import Dashboard


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Horizon, and what it imports, warn as they do."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A fresh cloud with the extension, whose time moves by ``advance`` alone.

    A test may be parametrized with options of a Sandbox.
    """
    options = {"speed": 0, "start": START}
    with Sandbox(**options | getattr(request, "param", {})) as sandbox:
        keystone = f"{sandbox.url}/identity/v3"
        with override_settings(OPENSTACK_KEYSTONE_URL=keystone):
            yield sandbox
    cache.clear()


@pytest.fixture
def login(cloud: Sandbox) -> Callable[..., Dashboard]:
    """Log in as a user."""
    return lambda user="admin": Dashboard(cloud, user)


@pytest.fixture
def admin(cloud: Sandbox) -> Dashboard:
    """Somebody who may do everything in the project."""
    return Dashboard(cloud)
