"""Ten thousand servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.panels import Panel, panel_over
from .conftest import Visits

NUMBER = 10_000


@pytest.fixture
def panel(cloud: Sandbox) -> Iterator[Panel]:
    """A panel whose pages do not change while they are looked at."""
    with panel_over(cloud, refresh=600.0) as panel:
        yield panel


@pytest.mark.parametrize(
    "cloud", [{"servers": NUMBER - 4, "images_per_server": 1}], indirect=True
)
def test_ten_thousand_servers(visits: Visits, panel: Panel, cloud: Sandbox) -> None:
    visit = visits(panel).enter()
    page = visit.page
    rows = page.locator("#servers tbody tr")
    expect(page.locator("#count")).to_contain_text(f"{NUMBER} servers")
    expect(rows).to_have_count(100)
    # No page is larger for what it does not show.
    assert page.evaluate("document.querySelectorAll('*').length") < 5000
    assert len(page.content()) < 250_000
    cloud.requests.clear()

    page.get_by_role("link", name="Server", exact=True).click()
    expect(page.locator("[aria-sort=ascending]")).to_have_text("Server ▲")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.locator(".pager span")).to_have_text("Page 2 of 100")
    page.get_by_role("link", name="Previous").click()
    expect(page.locator(".pager span")).to_have_text("Page 1 of 100")

    # The filter works as one types, and its address can be sent to others.
    page.get_by_label("Search servers and images").press_sequentially("server-0123")
    expect(rows).to_have_count(10)
    expect(page.locator("#count")).to_contain_text(f"10 of {NUMBER} servers")
    page.wait_for_url("**name=server-0123*")
    other = visits(panel).enter()
    other.page.goto(page.url)
    expect(other.page.locator("#servers tbody tr")).to_have_count(10)
    page.get_by_label("Status").select_option("off")
    expect(page.locator(".empty")).to_have_text("No server matches the filter.")
    page.get_by_role("link", name="Show all").or_(
        page.get_by_role("button", name="Search", exact=True)
    ).first.click()

    # All of it from what was read at first.
    assert cloud.requests == []

    # A hundred at once.
    visit.open(f"{page.url.partition('?')[0]}?name=server-001")
    expect(rows).to_have_count(100)
    page.get_by_label("Choose all servers").check()
    expect(page.locator("#servers tbody input:checked")).to_have_count(100)
