"""What each role is offered, logging in and out."""

from __future__ import annotations

import pytest
from playwright.sync_api import APIResponse, Route, expect

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, project_of
from ..functional.panels import Panel
from .conftest import Visits
from .faces import let_days_pass, on_all_faces

# What a page offers to those who may change something.
ACTIONS = {"save", "take", "disable", "protect", "delete", "prune", "restore"}
SELECTORS = {
    "save": "#save",
    "take": "#take",
    "disable": "#disable",
    "protect": "#image-table [form=protect]",
    "delete": "#image-table a[href*=delete]",
    "prune": "#prune",
    "restore": "#restore",
}


@pytest.mark.parametrize(
    ("user", "offered"),
    [
        ("admin", ACTIONS),
        ("creator", ACTIONS - {"disable"}),
        ("observer", set()),
        ("global-observer", set()),
    ],
)
@on_all_faces
def test_what_a_role_may_not_do_is_not_offered(
    visits: Visits, shared: Panel, cloud: Sandbox, user: str, offered: set[str]
) -> None:
    admin = visits(shared).log_in().server("myserver")
    admin.page.get_by_role("button", name="Save").click()
    expect(admin.page.locator("#schedule")).to_have_text("daily, keep 7")
    let_days_pass(cloud, 2)
    if user == "creator" and not cloud.cloud.extension:
        # Tags have no rule of their own.
        offered = ACTIONS

    visit = visits(shared).log_in(user)
    page = visit.page
    expect(page.locator("#servers tbody tr")).to_have_count(4)
    expect(page.locator("#bulk [type=checkbox]")).to_have_count(5 if offered else 0)
    expect(page.locator("#bar").get_by_label("Remove")).to_have_count(
        int("disable" in offered)
    )
    visit.server("myserver")
    visit.reload_until(page.locator("#image-table tbody tr"), 2)
    found = {name for name in ACTIONS if page.locator(SELECTORS[name]).count()}
    assert found == offered
    read_only = page.locator("#read-only")
    expect(read_only).to_have_count(0 if offered else 1)


@on_all_faces
def test_a_stranger_sees_nothing_of_another_project(
    visits: Visits, shared: Panel, cloud: Sandbox
) -> None:
    region = "DFW" if cloud.like == "rackspace" else "RegionOne"
    visit = visits(shared, failures=(403,)).log_in("stranger")
    page = visit.page
    expect(page.locator(".empty")).to_contain_text("This project has no servers")
    for path in ("", f"/{MYSERVER}", f"/{MYSERVER}/prune"):
        answer = visit.open(f"/p/{project_of(cloud)}/{region}/servers{path}")
        assert answer.status == 403
        expect(page.locator("h1")).to_have_text("This page belongs to another project")
        assert "myserver" not in page.content()
    page.get_by_role("button", name="Switch to that project").click()
    expect(page.get_by_role("alert")).to_contain_text("You have no role in the project")


@pytest.mark.parametrize("cloud", [{"like": "rackspace"}], indirect=True)
def test_log_in_with_a_region_change_it_and_log_out(
    visits: Visits, shared: Panel
) -> None:
    visit = visits(shared, failures=(403,)).enter()
    page = visit.page
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "Wrong user name, password or domain"
    )
    expect(page.get_by_label("User")).to_have_value("admin")
    expect(page.get_by_label("Password")).to_have_value("")

    visit.log_in("admin", "ORD")
    rows = page.locator("#servers tbody th")
    expect(rows).to_have_text(["backup1"])
    page.get_by_role("link", name="DFW").click()
    expect(rows).to_have_count(4)
    address = page.url

    # What the browser keeps is of no use to scripts, and has no token.
    (cookie,) = visit.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.keys(localStorage).length") == 0

    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("You are logged out")
    for leave in (page.go_back, page.reload):
        leave()
        expect(page.locator("h1")).to_have_text("Log in")
        assert "myserver" not in page.content()
    visit.open(address)
    expect(page.locator("#ended")).to_be_visible()
    # After logging in users continue where the URL leads.
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill(shared.cloud.env()["OS_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    expect(rows).to_have_count(4)
    assert page.url == address


def test_an_open_page_of_an_ended_session_leads_to_the_login(
    visits: Visits, shared: Panel
) -> None:
    visit = visits(shared).log_in()
    other = visit.context.new_page()
    other.goto(visit.page.url)
    other.get_by_role("button", name="Log out").click()
    expect(other.locator("h1")).to_have_text("You are logged out")
    expect(visit.page.locator("h1")).to_have_text("Log in")


def test_who_logs_out_is_not_told_that_the_session_has_ended(
    visits: Visits, shared: Panel
) -> None:
    page = visits(shared).log_in().page
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/logout", lambda route: held.append((route, route.fetch())))
    # Playwright's own click would wait for the next page.
    page.evaluate("setTimeout(() => document.getElementById('logout').click())")
    # The answer takes longer than the page waits before it looks again.
    page.wait_for_timeout(3000)
    ((route, answer),) = held
    route.fulfill(response=answer)
    expect(page.locator("h1")).to_have_text("You are logged out")


def test_what_is_typed_survives_the_end_of_the_session(
    visits: Visits, shared: Panel, cloud: Sandbox
) -> None:
    visit = visits(shared).log_in().server("myserver")
    page = visit.page
    page.get_by_label("Retention: images to keep").fill("12")
    page.get_by_label("Images are made").select_option("weekly on Friday")
    page.get_by_text("Its name").click()
    page.get_by_label("Name of the image").fill("before the upgrade")
    # The open page looks again, and finds that its session has ended.
    cloud.fault("expire x1")
    expect(page.locator("#ended")).to_be_visible()
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill(cloud.env()["OS_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("myserver")
    expect(page.get_by_label("Retention: images to keep")).to_have_value("12")
    expect(page.get_by_label("Images are made")).to_have_value("friday")
    expect(page.get_by_label("Name of the image")).to_have_value("before the upgrade")
