"""Light and dark, a phone's width, the keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, NOBODY, id_of, project_of
from ..functional.gone import delete_server
from ..functional.panels import Panel, panel_over
from ..waiting import until
from .axe import outside, violations
from .conftest import Visits
from .visits import Visit

WIDTHS = (1366, 768, 320)


def check(page: Page, *, narrow: bool = True) -> None:
    """Find nothing wrong with a page, whichever way it is looked at."""
    before = page.viewport_size
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (page.url, width, scheme)
        if narrow or width > min(WIDTHS):
            assert outside(page) == [], (page.url, width)
    assert before is not None
    page.set_viewport_size(before)


def test_the_checks_find_what_is_wrong(visits: Visits, panel: Panel) -> None:
    page = visits(panel).enter().page
    check(page)
    page.evaluate(
        "document.querySelector('h1').innerHTML ="
        " '<input><span>' + 'x'.repeat(2000) + '</span>'"
    )
    assert [each for each in violations(page) if each.startswith("label: ")]
    page.evaluate("document.querySelector('h1').style.overflowWrap = 'normal'")
    assert outside(page)[0] == "the page"


def test_what_is_forbidden_is_noticed(visits: Visits, panel: Panel) -> None:
    visit = visits(panel).enter()
    visit.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}),"
        " Object.assign(new Image(), {src: 'http://192.0.2.1/x.png'}))"
    )
    until(lambda: len(visit.problems) >= 2 or (bool(visit.page.title()) and False))
    assert visit.page.evaluate("window.ran") is None
    text = " ".join(visit.problems)
    assert "Content Security Policy" in text
    visit.problems.clear()


@pytest.mark.parametrize("cloud", [{"like": "rackspace"}, {}], indirect=True)
def test_the_pages_of_the_way_in_and_out(
    visits: Visits, shared: Panel, cloud: Sandbox
) -> None:
    visit = visits(shared, failures=(403, 404))
    page = visit.enter().page
    check(page)
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "Wrong user name, password or domain"
    )
    check(page)
    visit.log_in()
    check(page)
    page.get_by_role("link", name="Other project").click()
    expect(page.locator("h1")).to_have_text("Choose a project")
    check(page)
    page.get_by_role("button", name="Continue").click()
    if cloud.like == "rackspace":
        expect(page.locator("h1")).to_have_text("Choose a region")
        check(page)
    visit.open("/p/of-somebody-else/RegionOne/servers")
    expect(page.locator("h1")).to_have_text("This page belongs to another project")
    check(page)
    visit.open("/nothing")
    check(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("You are logged out")
    check(page)


def test_the_pages_without_a_session(visits: Visits, panel: Panel) -> None:
    visit = visits(panel, failures=(403,))
    visit.open("/")
    expect(visit.page.locator("h1")).to_contain_text("the user who started it")
    check(visit.page)


def test_the_pages_of_servers(visits: Visits, cloud: Sandbox) -> None:
    long = "a-name-" + "without-an-end-" * 8
    cloud.boot(long)
    # No page changes while it is looked at.
    with panel_over(cloud, refresh=30.0) as panel:
        visit = visits(panel, failures=(400, 404, 409)).enter()
        page = visit.page
        servers = page.url
        for name in ("myserver", long):
            visit.open(servers)
            visit.open(f"{servers}/{id_of(cloud, name)}")
            page.get_by_label("Retention: images to keep").fill("5")
            page.get_by_role("button", name="Save").click()
            expect(page.locator("#messages")).to_contain_text("Saved")
            check(page)
        cloud.advance("6d")
        cloud.fault("lose-image of web1")
        visit.open(f"{servers}/{MYSERVER}")
        # What is protected, expires, is not counted, and is under way.
        first = page.locator("#image-table tbody tr").first
        visit.reload_until(page.locator("#image-table tbody tr"), 5)
        first.get_by_role("button", name="Protect").click()
        expect(page.locator("#messages")).to_contain_text("is protected")
        page.get_by_role("button", name="Take a snapshot").click()
        expect(page.locator("#messages")).to_contain_text("has started")
        check(page)
        visit.edit()
        page.get_by_label("Retention: images to keep").fill("2")
        expect(page.locator("#forecast tbody tr")).to_have_count(3)
        check(page)
        page.get_by_role("button", name="Show what expires").click()
        expect(page.locator("h1")).to_contain_text("review the schedule")
        check(page)
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#messages")).to_contain_text("Saved")
        page.get_by_role("link", name="Delete").first.click()
        expect(page.locator("h1")).to_have_text("Delete this image of myserver?")
        check(page)
        for place in ("restore?how=new", "restore?how=in-place", "calendar"):
            visit.open(f"{servers}/{MYSERVER}/{place}")
            check(page)
        visit.open(servers.replace("/servers", "/calendar"))
        check(page)
        visit.open("/look")
        check(page)
        visit.open(f"{servers}/{MYSERVER}")
        page.get_by_role("link", name="Delete").first.click()
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("link", name="Prune").click()
        expect(page.locator("h1")).to_contain_text("apply the retention now")
        check(page)
        visit.open(f"{servers}/{MYSERVER}")
        page.get_by_role("link", name="Unprotect").click()
        expect(page.locator("#fate")).to_contain_text("It will be deleted when ")
        check(page)
        # Forms that were made from another schedule.
        for asked in ("schedule?when=friday&retention=1&before=x", "disable?before=x"):
            visit.open(f"{servers}/{MYSERVER}/{asked}")
            expect(page.locator("#conflict")).to_be_visible()
            check(page)

        # The servers, with some that are late.
        visit.open(servers)
        check(page)
        page.get_by_label("Choose all servers").check()
        page.get_by_role("button", name="Review the change").click()
        expect(page.locator("#reviewed tbody tr")).to_have_count(5)
        check(page)
        page.get_by_role("link", name="Cancel").click()
        page.get_by_label("Retention", exact=True).check()
        page.get_by_role("button", name="Review the change").click()
        expect(page.locator("#left-out li")).to_have_count(3)
        check(page)
        page.go_back()
        page.go_back()
        page.locator("#confirm").wait_for()
        cloud.fault(f"POST /{MYSERVER}/ 403")
        page.locator("#confirm").click()
        expect(page.locator("#outcome")).to_contain_text("1 failed")
        check(page)
        visit.open(f"{servers}?name=nothing")
        expect(page.locator(".empty")).to_be_visible()
        check(page)
        visit.open(f"{servers}/{NOBODY}")
        expect(page.locator("h1")).to_have_text("No such server")
        check(page)
        visit.end()


def test_the_pages_of_servers_that_are_gone(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = visits(panel).enter()
    page, servers = visit.page, visit.page.url
    gone = servers.removesuffix("servers") + "gone"
    visit.open(gone)
    expect(page.locator(".empty")).to_be_visible()
    check(page)
    visit.open(servers)
    visit.server("myserver")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#messages")).to_contain_text("Saved")
    cloud.advance("3d")
    delete_server(cloud)
    # The panel knew better a moment ago.
    with panel_over(cloud) as later:
        visit = visits(later).enter()
        page = visit.page
        visit.open(page.url.removesuffix("servers") + "gone")
        expect(page.locator("#gone tbody th")).to_have_text("myserver")
        check(page)
        page.get_by_role("link", name="Restore myserver").click()
        expect(page.locator("h1")).to_have_text("Restore myserver")
        check(page)
        page.get_by_role("link", name="myserver").click()
        expect(page.locator("main")).to_contain_text("This server is deleted.")
        check(page)
        page.get_by_role("link", name="Delete its scheduled images").click()
        expect(page.locator("h1")).to_contain_text("delete its scheduled images")
        check(page)
        visit.end()


def test_the_calendars(visits: Visits, cloud: Sandbox) -> None:
    """With what was made, what failed, and what is unknown."""
    with panel_over(cloud, refresh=30.0) as panel:
        visit = visits(panel).enter()
        page, servers = visit.page, visit.page.url
        visit.server("myserver")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#messages")).to_contain_text("Saved")
        cloud.advance("3d")
        cloud.fault("lose-image of myserver")
        cloud.advance("2d")
        visit.open(f"{servers}/{MYSERVER}/calendar")
        expect(page.locator("td.failed").first).to_be_visible()
        check(page)
        cloud.fault("GET /os-instance-actions 503")
        visit.end()
    with panel_over(cloud, refresh=30.0) as later:
        visit = visits(later).enter()
        page = visit.page
        page.get_by_role("link", name="Calendar").click()
        expect(page.locator("td.unknown").first).to_be_visible()
        expect(page.locator("nav [aria-current=page]")).to_have_text("Calendar")
        check(page)
        visit.end()


def test_the_pages_of_a_failing_cloud(visits: Visits, cloud: Sandbox) -> None:
    with panel_over(cloud, refresh=1.0, patience=Patience(1, 1)) as panel:
        visit = visits(panel, failures=(503,)).enter()
        cloud.fault("GET 503")
        visit.open(f"/p/{project_of(cloud)}/RegionOne/servers/{MYSERVER}")
        expect(visit.page.locator("h1")).to_have_text("The cloud cannot be read")
        check(visit.page)
        visit.page.get_by_role("link", name="Servers").click()
        expect(visit.page.locator("#freshness")).to_contain_text("could not be read")
        check(visit.page)
        visit.end()


# -- the keyboard


def test_the_keyboard_alone(visits: Visits, shared: Panel, cloud: Sandbox) -> None:
    visit = visits(shared).enter()
    page, keys = visit.page, visit.page.keyboard
    visit.tab_to(page.get_by_label("User"))
    keys.type("admin")
    visit.tab_to(page.get_by_label("Password"))
    keys.type(cloud.env()["OS_PASSWORD"])
    keys.press("Enter")
    expect(page.locator("h1")).to_have_text("Servers")

    # The first stop leads past what all pages have in common.
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    visit.tab_to(page.get_by_label("Search servers and images"))
    keys.type("mys")
    expect(page.locator("#servers tbody tr")).to_have_count(1)
    # The focus stays where it is while the page looks again.
    visit.refreshed()
    expect(page.get_by_label("Search servers and images")).to_be_focused()
    visit.tab_to(page.get_by_role("link", name="myserver"))
    visit.refreshed()
    expect(page.get_by_role("link", name="myserver")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("h1")).to_have_text("myserver")

    visit.tab_to(page.get_by_label("Images are made"))
    keys.type("weekly on Sat")
    visit.tab_to(page.get_by_label("Retention: images to keep"))
    keys.press("Control+A")
    keys.type("4")
    visit.tab_to(page.get_by_role("button", name="Save"))
    keys.press("Space")
    expect(page.locator("#messages")).to_have_text("Saved: weekly on Saturday, keep 4.")

    visit.tab_to(page.get_by_role("button", name="Take a snapshot"))
    keys.press("Enter")
    expect(page.locator("#messages")).to_contain_text("has started")
    cloud.advance("1h")
    expect(page.locator("#disk")).to_contain_text("The snapshot is over: ")
    visit.tab_to(page.get_by_role("link", name="Delete"))
    keys.press("Enter")
    visit.tab_to(page.get_by_role("button", name="Delete 1 image"))
    keys.press("Enter")
    expect(page.locator("#messages")).to_contain_text("is deleted.")
    assert cloud.images(MYSERVER) == []

    visit.tab_to(page.get_by_role("button", name="Log out"))
    keys.press("Enter")
    expect(page.locator("h1")).to_have_text("You are logged out")


# -- a phone


def test_on_a_phone_the_bar_is_a_line_that_opens(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    phone = {"width": 390, "height": 844}
    visit = visits(panel, viewport=phone, has_touch=True, is_mobile=True).enter()
    page, bar = visit.page, visit.page.locator("#bar")

    def height(selector: str) -> float:
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= phone["height"] + 1
        return box["height"] / phone["height"]

    expect(bar).to_be_hidden()
    box = page.get_by_label("db1", exact=True)
    box.tap()
    expect(box).to_be_focused()
    page.get_by_label("web1", exact=True).tap()
    expect(page.locator("#chosen")).to_have_text("2 chosen")
    expect(page.locator("#count-chosen")).to_have_text("2 chosen")
    assert height("#bar") < 0.1
    check(page)
    # All servers can be seen above it.
    last = page.get_by_label("web1", exact=True)
    last.focus()
    last.scroll_into_view_if_needed()

    line = bar.locator("> summary")
    line.tap()
    assert 0.3 < height("#bar") <= 0.71
    # The keyboard of a phone does not come up by itself.
    expect(page.locator("input:focus, select:focus")).to_have_count(0)
    # It stays open while the page looks again.
    visit.refreshed()
    expect(bar).to_have_attribute("open", "")
    check(page)
    bar.get_by_text("Keep more, by rules").tap()
    review = page.get_by_role("button", name="Review the change")
    review.scroll_into_view_if_needed()
    expect(review).to_be_in_viewport()
    bar.get_by_text("Keep more, by rules").tap()
    line.tap()
    assert height("#bar") < 0.1

    # By the keyboard, and then the change itself.
    page.keyboard.press("Enter")
    visit.tab_to(page.get_by_label("Set schedule"))
    page.get_by_label("Retention: images to keep").fill("4")
    review.tap()
    expect(page.locator("#reviewed tbody th")).to_have_text(["db1", "web1"])
    page.locator("#confirm").tap()
    expect(page.locator("#outcome")).to_have_text("All done.")

    cloud.advance("2d")
    visit.open(f"/p/{project_of(cloud)}/RegionOne/servers/{id_of(cloud, 'web1')}")
    page.locator("#image-table input").first.tap()
    assert height("#several") < 0.2


def test_on_a_wide_screen_the_bar_is_open(visits: Visits, panel: Panel) -> None:
    visit = visits(panel).enter()
    page = visit.page
    page.get_by_label("db1", exact=True).check()
    expect(page.locator("#review")).to_be_in_viewport()
    page.locator("#bar > summary").click()
    expect(page.locator("#review")).to_be_hidden()
    visit.refreshed()
    page.get_by_label("web1", exact=True).check()
    expect(page.locator("#chosen")).to_have_text("2 chosen")
    expect(page.locator("#review")).to_be_hidden()


# -- times


def test_times_are_in_utc_with_the_local_one_beside(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit: Visit = visits(panel, timezone_id="America/New_York").enter()
    page = visit.server("myserver").page
    page.get_by_role("button", name="Save").click()
    # A click does not wait for what it brings about.
    expect(page.locator("#messages")).to_contain_text("Saved")
    cloud.advance("3d")
    made = page.locator("#image-table td[data-label=Made]").first
    expect(made).to_be_visible()
    utc = made.locator("time").inner_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", utc)
    local = (int(utc[11:13]) - 5) % 24
    expect(made.locator(".local")).to_contain_text(f"{local:02}:{utc[14:16]} local")
    # It stays when the page looks again.
    visit.refreshed()
    expect(made.locator(".local")).to_contain_text("local")
    page.get_by_role("link", name="Servers").first.click()
    expect(page.locator(f"#s-{MYSERVER[:8]} .local").first).to_contain_text("local")
