"""The pictures in the documents, of the program on its sandbox.

``--rewrite-pictures`` takes them anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from rax_scheduled_images_ext.sandbox.environment import client_environment

from ..functional.test_panel_program import running
from ..pictures import png_size
from .conftest import Visits
from .visits import Visit

FOLDER = Path(__file__).parents[2] / "doc" / "source" / "panel"
VIEWPORT = {"width": 1280, "height": 1060}
MOST = 200 * 1024


def test_the_pictures_of_the_two_main_pages(
    visits: Visits, request: pytest.FixtureRequest
) -> None:
    with running(client_environment({}), "--sandbox") as (_, (line,)):
        address = line.removeprefix("Open ")
        visit = visits(address.partition("/enter")[0], viewport=VIEWPORT)
        page = visit.page
        page.goto(address)
        expect(page.locator("#servers tbody th").first).to_have_text("web1")
        expect(page.locator(".tile.bad").first).to_have_text("1 late")
        expect(page.locator("#s-24ade2fe")).to_be_visible()
        taken = {"servers.png": picture(visit)}

        visit.server("myserver")
        expect(page.locator(".retention.exempt")).to_have_text("kept (exempt)")
        taken["server.png"] = picture(visit)
        page.close()

    document = (FOLDER / "index.rst").read_text()
    for name, content in taken.items():
        if request.config.getoption("--rewrite-pictures"):
            (FOLDER / name).write_bytes(content)
        assert f".. image:: {name}\n" in document
        shown = (FOLDER / name).read_bytes()
        assert len(shown) < MOST
        assert png_size(shown) == png_size(content) == tuple(VIEWPORT.values())


def picture(visit: Visit) -> bytes:
    """The upper part of the page as it is now, and no focus in it."""
    visit.page.evaluate("document.activeElement.blur()")
    return visit.page.screenshot(animations="disabled")
