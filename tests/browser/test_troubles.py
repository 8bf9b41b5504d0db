"""A cloud that errs, is slow, or is gone; and a panel that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER
from ..functional.panels import Panel, panel_over
from .conftest import Visits
from .visits import Visit


@pytest.fixture
def panel(cloud: Sandbox) -> Iterator[Panel]:
    """A panel that does not wait for long."""
    with panel_over(cloud, refresh=1.0, patience=Patience(1, 0.5)) as panel:
        yield panel


def patient(visits: Visits, panel: Panel) -> Visit:
    """A visit that may see, at any time, that the cloud has not responded yet."""
    return visits(panel, failures=(503,)).enter()


def both(visits: Visits, panel: Panel) -> list[Visit]:
    """The pages of all servers and of one, open and left alone."""
    visit, other = patient(visits, panel), patient(visits, panel).server("myserver")
    for each in (visit, other):
        each.page.evaluate("window.untouched = true")
    return [visit, other]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("GET 503", "The cloud could not be read: "),
        ("GET drop", "The cloud could not be read: The connection to the cloud"),
        ("GET /servers delay 600s", "reading again for "),
        ("expire", None),
    ],
)
def test_what_is_known_stays_with_its_age(
    visits: Visits, panel: Panel, cloud: Sandbox, fault: str, words: str | None
) -> None:
    pages = both(visits, panel)
    cloud.fault(fault)
    for each in pages:
        line = each.page.locator("#freshness")
        if words is None:
            # A new token is taken, and nobody notices.
            each.refreshed()
            expect(line).to_contain_text("Read ")
        else:
            expect(line).to_contain_text(words)
            expect(line).to_contain_text("ago")
    expect(pages[0].page.locator("#servers tbody tr")).to_have_count(4)
    expect(pages[1].page.locator("#schedule-form")).to_be_visible()
    for each in pages:
        each.page.reload()
        assert "Traceback" not in each.page.content()
    expect(pages[0].page.locator("#servers tbody tr")).to_have_count(4)
    expect(pages[1].page.locator("#schedule-form")).to_be_visible()


def test_an_open_page_recovers_by_itself(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    pages = both(visits, panel)
    cloud.fault("GET 503")
    for each in pages:
        expect(each.page.locator("#freshness.failed")).to_be_visible()
    cloud.clear_faults()
    for each in pages:
        expect(each.page.locator("#freshness.failed")).to_have_count(0)
        assert each.page.evaluate("window.untouched") is True


def test_a_cloud_that_is_gone(visits: Visits, panel: Panel, cloud: Sandbox) -> None:
    pages = both(visits, panel)
    cloud.stop()
    for each in pages:
        line = each.page.locator("#freshness.failed")
        expect(line).to_contain_text("The connection to the cloud failed")
        expect(line).to_contain_text("This was read ")
    visit = pages[1]
    visit.page.get_by_role("button", name="Take a snapshot").click()
    expect(visit.page.locator("#messages .failed")).to_contain_text("The connection")
    expect(visit.page.locator("h1")).to_have_text("myserver")


def test_nothing_is_known_yet(visits: Visits, cloud: Sandbox) -> None:
    with panel_over(cloud, login=True, patience=Patience(0.5, 0.5)) as panel:
        cloud.fault("GET /servers/detail delay 5s x1")
        visit = visits(panel, failures=(503,)).enter()
        page = visit.page
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill(cloud.env()["OS_PASSWORD"])
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("h1")).to_have_text("Waiting for the cloud")
        # The page comes as soon as there is something to show.
        expect(page.locator("#servers tbody tr")).to_have_count(4)
        visit.end()


def test_a_change_that_fails_says_why(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = patient(visits, panel).server("myserver")
    page = visit.page
    cloud.fault("POST /rax-si-image-schedule 503")
    page.get_by_label("Retention: images to keep").fill("3")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#messages .failed")).to_contain_text("(HTTP 503)")
    expect(page.locator("#schedule")).to_have_text("none")
    cloud.clear_faults()
    # The form is as good as before.
    page.get_by_label("Retention: images to keep").fill("3")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#messages .done")).to_have_text("Saved: daily, keep 3.")


def test_each_server_that_failed_is_named(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    cloud.fault(f"POST /{MYSERVER}/ 503", "POST /rax-si-image-schedule delay 8s")
    visit = patient(visits, panel)
    page = visit.page
    page.get_by_label("Choose all servers").check()
    page.get_by_role("button", name="Review the change").click()
    page.locator("#confirm").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#outcome")).to_have_text("1 failed, 3 of 4 done.")
    expect(page.locator("#failures li")).to_have_count(1)
    expect(page.locator("#failures")).to_contain_text("myserver")


def test_a_panel_that_is_gone(visits: Visits, cloud: Sandbox) -> None:
    with panel_over(cloud, refresh=1.0) as panel:
        visit = visits(panel).enter()
        offline = visit.page.get_by_role("alert")
        expect(offline).to_have_count(0)
    expect(offline).to_have_text(
        "The panel does not respond. This page may be out of date."
    )
    expect(visit.page.locator("#servers tbody tr")).to_have_count(4)
    # The browser and htmx write that nobody answers, and nothing else.
    assert visit.problems
    known = re.compile("net::ERR_CONNECTION_REFUSED|Failed to fetch")
    assert [each for each in visit.problems if not known.search(each)] == []
    visit.problems.clear()
    visit.page.close()
