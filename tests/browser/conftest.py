"""A real browser at a panel over a cloud of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.panels import Panel, panel_over
from ..functional.raw import START
from .visits import Visit, launched

Visits = Callable[..., Visit]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of all tests of this process."""
    with launched() as browser:
        yield browser


@pytest.fixture
def visits(browser: Browser, request: pytest.FixtureRequest) -> Visits:
    """Begin visits to a panel, each with a window and cookies of its own.

    They end before the panel does. None may have asked another host for anything, or
    have written an error to the console that the test has not announced.
    """

    def visit(panel: Panel | str, **options: Any) -> Visit:
        begun = Visit(browser, panel, **options)
        request.node.addfinalizer(begun.end)
        return begun

    return visit


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A fresh cloud, whose time moves by ``advance`` alone.

    A test may be parametrized with options of a Sandbox.
    """
    options = getattr(request, "param", {})
    with Sandbox(**{"speed": 0, "start": START, **options}) as sandbox:
        yield sandbox


@pytest.fixture
def panel(cloud: Sandbox) -> Iterator[Panel]:
    """A panel for the user who started it; its pages update every second."""
    with panel_over(cloud, refresh=1.0, patience=Patience(60, 2)) as panel:
        yield panel


@pytest.fixture
def shared(cloud: Sandbox) -> Iterator[Panel]:
    """A panel for several people."""
    with panel_over(cloud, login=True, refresh=1.0, patience=Patience(60, 2)) as panel:
        yield panel
