"""From the first schedule to the one image that is kept, as the documents tell it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER
from ..functional.panels import Panel
from .conftest import Visits
from .faces import let_days_pass, on_all_faces
from .visits import Visit


def images(visit: Visit) -> Locator:
    return visit.page.locator("#image-table tbody tr")


def names(cloud: Sandbox) -> set[str]:
    return {image.name for image in cloud.images(MYSERVER)}


SNAPSHOT = re.compile(r"The snapshot myserver-\d+-\d+ has started\.")


def reload_until_now(visit: Visit, cloud: Sandbox, number: int) -> None:
    """Load the page again until it shows so many images, and the newest one.

    The open page also looks while days pass.
    """
    newest = cloud.images(MYSERVER)[0].name
    visit.reload_until(images(visit).get_by_text(newest, exact=True), 1)
    expect(images(visit)).to_have_count(number)


def says(visit: Visit, text: str | re.Pattern[str]) -> None:
    expect(visit.page.locator("#messages")).to_have_text(text)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@on_all_faces
def test_from_enabling_to_keeping_one_image(
    visits: Visits, panel: Panel, cloud: Sandbox, script: bool
) -> None:
    visit = visits(panel, java_script_enabled=script).enter()
    page = visit.page
    row = page.locator(f"#s-{MYSERVER[:8]}")
    expect(row.locator("b")).to_have_text("off")

    # A schedule: what it deletes is shown first, and it is nothing yet.
    visit.server("myserver")
    retention = page.get_by_label("Retention: images to keep")
    retention.fill("3")
    if script:
        forecast = page.locator("#forecast")
        expect(forecast).to_contain_text("With daily, keep 3 no image expires")
    page.get_by_role("button", name="Save").click()
    says(visit, "Saved: daily, keep 3.")
    expect(page.locator("#schedule")).to_have_text("daily, keep 3")

    # Days pass, and the retention shows.
    let_days_pass(cloud, 5)
    reload_until_now(visit, cloud, 3)
    expect(images(visit).locator(".retention")).to_have_text(
        ["expires in 3 runs", "expires in 2 runs", "expires next"]
    )
    expect(page.locator(".cell.expires")).to_have_count(1)
    before = names(cloud)

    # One image is kept for good; the others go as days pass.
    kept = images(visit).last.locator("th").inner_text()
    images(visit).last.get_by_role("button", name=f"Protect {kept}").click()
    says(visit, f"{kept} is protected: no schedule deletes it.")
    expect(images(visit).last.locator(".retention")).to_have_text("kept (exempt)")
    let_days_pass(cloud, 5)
    reload_until_now(visit, cloud, 4)
    expect(images(visit).last.locator("th")).to_have_text(kept)
    assert before & names(cloud) == {kept}

    # A smaller retention: what would go, and only then the change.
    visit.edit()
    retention.fill("1")
    if not script:
        page.get_by_role("button", name="Save").click()
    expect(page.locator("#forecast strong")).to_have_text("3 images will be deleted")
    expect(page.locator("#forecast tbody tr")).to_have_count(3)
    assert kept not in page.locator("#forecast").inner_text()
    save = "Save" if script else "Save: daily, keep 1"
    page.get_by_role("button", name=save, exact=True).click()
    says(visit, "Saved: daily, keep 1.")
    assert len(names(cloud)) == 4

    # No schedule any more; the images stay.
    visit.edit()
    page.get_by_role("button", name="Switch the schedule off").click()
    says(visit, "The schedule is off. The images stay.")
    expect(page.locator("#schedule")).to_have_text("none")
    assert len(names(cloud)) == 4

    # All but one are deleted, each after a question.
    for _ in range(3):
        images(visit).first.get_by_role("link", name="Delete").click()
        page.get_by_role("button", name="Delete 1 image").click()
        expect(page.locator("#messages")).to_contain_text("is deleted.")
    expect(images(visit).locator("th")).to_have_text([kept])
    assert names(cloud) == {kept}


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_several_servers_at_once(
    visits: Visits, panel: Panel, cloud: Sandbox, script: bool
) -> None:
    visit = visits(panel, java_script_enabled=script).enter()
    page = visit.page
    for name in ("db1", "web1"):
        page.get_by_label(name, exact=True).check()
    if script:
        # What was chosen stays so while the page looks again.
        visit.refreshed()
    page.get_by_label("Images are made").select_option("weekly on Sunday")
    page.get_by_label("Retention: images to keep").fill("4")
    if script:
        visit.refreshed()
    page.get_by_role("button", name="Review the change").click()
    expect(page.locator("#reviewed tbody th")).to_have_text(["db1", "web1"])
    page.locator("#confirm").click()
    expect(page.locator("#outcome")).to_have_text("All done.")
    page.get_by_role("link", name="Continue").click()
    for name in ("db1", "web1"):
        row = page.get_by_role("row").filter(has_text=name)
        expect(row.get_by_role("cell", name="weekly on Sunday, keep 4")).to_be_visible()
    expect(page.locator("b.never")).to_have_count(2)


def test_what_is_chosen_stays_so_with_another_filter(
    visits: Visits, panel: Panel
) -> None:
    visit = visits(panel).enter()
    page = visit.page
    page.get_by_label("db1", exact=True).check()
    page.get_by_label("Search servers and images").fill("web")
    expect(page.locator("#servers tbody tr")).to_have_count(1)
    expect(page.locator("#chosen")).to_have_text("1 chosen, 1 not shown here")
    page.get_by_label("web1", exact=True).check()
    visit.refreshed()
    page.get_by_role("button", name="Review the change").click()
    expect(page.locator("#reviewed tbody th")).to_have_text(["db1", "web1"])
    # Neither back nor forward sends a form.
    page.go_back()
    expect(page.locator("h1")).to_have_text("Servers")
    page.go_forward()
    expect(page.locator("#reviewed tbody th")).to_have_text(["db1", "web1"])
    page.locator("#confirm").click()
    expect(page.locator("#outcome")).to_have_text("All done.")
    page.go_back()
    expect(page.locator("#reviewed")).to_be_visible()
    page.go_back()
    page.get_by_label("Search servers and images").fill("")
    expect(page.locator("#servers tbody tr")).to_have_count(4)
    assert visit.sent("/servers") == 1


def test_a_refresh_that_a_filter_has_overtaken_changes_nothing(
    visits: Visits, panel: Panel
) -> None:
    visit = visits(panel).enter()
    page, rows = visit.page, visit.page.locator("#servers tbody tr")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "x-panel-refresh" in route.request.headers and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/servers?*", hold)
    page.wait_for_event("request", lambda sent: "x-panel-refresh" in sent.headers)
    page.get_by_label("Search servers and images").fill("mys")
    expect(rows).to_have_count(1)
    with page.expect_response(lambda answer: answer.request == held[0].request):
        held[0].continue_()
    visit.refreshed()
    expect(rows).to_have_count(1)


def test_a_forecast_of_something_else_disappears(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = visits(panel).enter().server("myserver")
    page = visit.page
    retention = page.get_by_label("Retention: images to keep")
    forecast = page.locator("#forecast")
    retention.fill("3")
    expect(forecast).to_contain_text("With daily, keep 3 no image expires")
    # The next one never comes.
    page.route("**/forecast", lambda route: None)
    retention.fill("4")
    expect(forecast).to_be_empty()
    page.unroute("**/forecast")
    page.get_by_label("Images are made").select_option("weekly on Friday")
    expect(forecast).to_contain_text("With weekly on Friday, keep 4 no image expires")
    # Somebody changes the schedule.
    other = visits(panel).enter().server("myserver").page
    other.get_by_role("button", name="Save").click()
    expect(other.locator("#messages")).to_have_text("Saved: daily, keep 7.")
    expect(page.locator("#schedule")).to_have_text("daily, keep 7")
    expect(forecast).to_be_empty()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#conflict")).to_contain_text("now it is daily, keep 7")
    visit.problems.clear()


def test_what_is_typed_before_the_scripts_are_there_counts(
    visits: Visits, panel: Panel
) -> None:
    page = visits(panel).enter().page
    held: list[Route] = []
    page.route("**/htmx-*.js*", lambda route: held.append(route))
    page.goto(page.url, wait_until="commit")
    page.get_by_label("Search servers and images").press_sequentially("mys")
    expect(page.locator("#servers tbody tr")).to_have_count(4)
    held[0].continue_()
    expect(page.locator("#servers tbody tr")).to_have_count(1)


def test_the_cells_keep_their_dates_on_a_phone_and_say_more_when_touched(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = visits(panel, viewport={"width": 390, "height": 844}).enter()
    page = visit.server("myserver").page
    page.get_by_role("button", name="Save").click()
    let_days_pass(cloud, 9)
    page.reload()
    cells = page.locator("#lanes .cell")
    expect(cells).to_have_count(8)
    boxes = [each.bounding_box() for each in cells.all()]
    for box in boxes:
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
        # As large as a finger needs.
        assert min(box["width"], box["height"]) >= 24
    tip = cells.first.locator(".tip")
    assert (tip.bounding_box() or {"width": 9})["width"] < 2
    cells.first.focus()
    assert (tip.bounding_box() or {"width": 0})["width"] > 100
    expect(tip).to_contain_text("expires next")
    # Its meaning is not in the colour alone.
    expect(page.locator(".legend")).to_contain_text("✓ kept for now")


def test_two_lines_a_server_and_a_menu_for_sorting_on_a_phone(
    visits: Visits, panel: Panel
) -> None:
    visit = visits(panel, viewport={"width": 390, "height": 844}).enter()
    page = visit.page
    rows = page.locator("#servers tbody tr")
    expect(rows).to_have_count(4)
    assert all(
        (row.bounding_box() or {"height": 99})["height"] < 75 for row in rows.all()
    )
    page.get_by_label("Sort by").select_option(label="Server, reversed")
    expect(rows.first.locator("th")).to_have_text("web1")


def test_what_is_chosen_stays_so_with_a_tile(visits: Visits, panel: Panel) -> None:
    page = visits(panel).enter().page
    search = page.get_by_label("Search servers and images")
    page.get_by_label("db1", exact=True).check()
    search.fill("web")
    expect(page.locator("#servers tbody tr")).to_have_count(1)
    page.get_by_role("link", name="0 ok").click()
    expect(page.locator(".empty")).to_have_text("No server matches the filter.")
    # The form above says what is shown.
    expect(page.get_by_label("Status")).to_have_value("ok")
    expect(search).to_have_value("")
    expect(page.locator("#chosen")).to_have_text("1 chosen, 1 not shown here")
    page.go_back()
    expect(page.locator("#servers tbody tr")).to_have_count(1)
    expect(page.get_by_label("Status")).to_have_value("")
    expect(search).to_have_value("web")


def test_the_bar_appears_with_the_first_choice_and_shows_its_own_fields(
    visits: Visits, panel: Panel
) -> None:
    page = visits(panel).enter().page
    bar = page.locator("#bar")
    expect(bar).to_be_hidden()
    # Also after a filter that no server has matched.
    page.goto(f"{page.url}?name=nobody")
    expect(bar).to_be_hidden()
    page.get_by_label("Search servers and images").fill("")
    page.get_by_label("db1", exact=True).check()
    expect(bar).to_be_in_viewport()
    expect(page.locator("#chosen")).to_have_text("1 chosen")
    when, retention = page.locator("#when"), page.locator("#retention")
    expect(when).to_be_visible()
    bar.get_by_label("Retention", exact=True).check()
    expect(when).to_be_hidden()
    expect(retention).to_be_visible()
    bar.get_by_label("Remove").check()
    expect(retention).to_be_hidden()
    page.get_by_label("db1", exact=True).uncheck()
    expect(bar).to_be_hidden()


def test_a_restore_and_its_undo(visits: Visits, panel: Panel, cloud: Sandbox) -> None:
    visit = visits(panel).enter().server("myserver")
    page = visit.page
    page.get_by_role("button", name="Take a snapshot").click()
    says(visit, SNAPSHOT)
    cloud.advance("2h")
    visit.reload_until(images(visit).get_by_text("ACTIVE"), 1)
    images(visit).first.get_by_role("link", name="Restore").click()
    page.get_by_label("In place").check()
    page.get_by_role("button", name="Show the plan").click()
    expect(page.locator("#plan-title")).to_have_text(
        "The disk of myserver will be replaced"
    )
    page.locator("#confirm").click()
    expect(page.locator("#log li").first).to_contain_text("is being created")
    for _ in range(60):
        cloud.advance("2m")
        if page.locator("#outcome").inner_text() == "All done.":
            break
        page.wait_for_timeout(500)
    expect(page.locator("#outcome")).to_have_text("All done.")
    page.get_by_role("link", name="Undo").click()
    expect(page.locator("#plan")).to_contain_text("before-restore-myserver")


def test_messages_can_be_closed_and_do_not_throw_the_reader_to_the_top(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = visits(panel, viewport={"width": 800, "height": 500}).enter()
    page = visit.server("myserver").page
    page.get_by_role("button", name="Save").click()
    says(visit, "Saved: daily, keep 7.")
    let_days_pass(cloud, 7)
    visit.reload_until(images(visit), 7)
    last = images(visit).last.get_by_role("button", name="Protect")
    last.scroll_into_view_if_needed()
    last.click()
    expect(page.locator("#messages .message")).to_be_in_viewport()
    assert page.evaluate("scrollY") > 100
    page.get_by_role("button", name="Close the message").click()
    expect(page.locator("#messages .message")).to_have_count(0)


def test_prune(visits: Visits, panel: Panel, cloud: Sandbox) -> None:
    visit = visits(panel).enter().server("myserver")
    page = visit.page
    retention = page.get_by_label("Retention: images to keep")
    retention.fill("5")
    page.get_by_role("button", name="Save").click()
    says(visit, "Saved: daily, keep 5.")
    let_days_pass(cloud, 6)
    visit.reload_until(images(visit), 5)
    visit.edit()
    retention.fill("2")
    expect(page.locator("#forecast strong")).to_have_text("4 images will be deleted")
    page.get_by_role("button", name="Save").click()
    says(visit, "Saved: daily, keep 2.")
    page.get_by_role("link", name="Prune").click()
    expect(page.locator("#plan tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Delete 3 images").click()
    says(visit, "3 images were deleted.")
    expect(images(visit)).to_have_count(2)
    assert len(cloud.images(MYSERVER)) == 2


def test_a_double_click_sends_once(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = visits(panel).enter().server("myserver")
    # Long enough for any number of clicks.
    cloud.fault("POST /action delay 1s")
    visit.page.get_by_role("button", name="Take a snapshot").dblclick()
    says(visit, SNAPSHOT)
    assert visit.sent("/snapshot") == 1
    assert len(cloud.images(MYSERVER)) == 1


def test_the_states_of_a_snapshot_show_as_they_pass(
    visits: Visits, panel: Panel, cloud: Sandbox
) -> None:
    visit = visits(panel).enter()
    row = visit.page.locator(f"#s-{MYSERVER[:8]}")
    expect(row.locator(".task")).to_have_count(0)
    visit.page.evaluate("window.untouched = true")
    other = visits(panel).enter().server("myserver")
    other.page.get_by_role("button", name="Take a snapshot").click()
    says(other, SNAPSHOT)
    other.page.evaluate("window.untouched = true")

    task, disk = other.page.locator("#task"), other.page.locator("#disk")
    expect(disk).to_contain_text("the disk is not copied yet")
    expect(row.locator(".task")).to_contain_text("snapshot")
    passes = ("disk being copied", "waiting for upload", "uploading")
    for words in passes:
        while True:
            seen = cloud.servers()
            (state,) = [each.task_state for each in seen if each.id == MYSERVER]
            if state and STATES[state] == words:
                break
            cloud.advance(1)
        expect(task).to_have_text(f"snapshot: {words}")
        expect(row.locator(".task")).to_have_text(f"snapshot: {words}")
    expect(disk).to_have_text("The disk is copied: your database may write again.")
    phases = other.page.locator(".phases li span")
    expect(phases.last).to_have_text("snapshot: uploading")
    cloud.advance("1h")
    expect(disk).to_contain_text("The snapshot is over: the image myserver-")
    expect(task).to_have_text("none")
    expect(row.locator(".task")).to_have_count(0)
    expect(images(other).locator("th")).to_have_text([re.compile("myserver-.*")])
    # None of it took another load of the page.
    for each in (visit, other):
        assert each.page.evaluate("window.untouched") is True


STATES = {
    "image_snapshot_pending": "queued",
    "image_snapshot": "disk being copied",
    "image_pending_upload": "waiting for upload",
    "image_uploading": "uploading",
}


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@on_all_faces
def test_names_are_text_and_nothing_else(
    visits: Visits, panel: Panel, cloud: Sandbox, script: bool
) -> None:
    evil = "<img src=x onerror=alert(2)>'\"&amp;"
    server_id = cloud.boot(evil).id
    visit = visits(panel, java_script_enabled=script).enter()
    page = visit.page
    page.get_by_label(evil, exact=True).check()
    page.get_by_role("button", name="Review the change").click()
    expect(page.locator("#reviewed tbody th")).to_have_text(evil)
    page.locator("#confirm").click()
    expect(page.locator("#outcome")).to_have_text("All done.")
    page.get_by_role("link", name="Continue").click()
    visit.server(evil)
    assert evil in page.title()
    page.get_by_text("Its name").click()
    page.get_by_label("Name of the image").fill(evil)
    page.get_by_role("button", name="Take a snapshot").click()
    says(visit, f"The snapshot {evil} has started.")
    cloud.advance("1h")
    visit.reload_until(images(visit).get_by_text("ACTIVE"), 1)
    expect(images(visit).locator("th").last).to_have_text(evil)
    images(visit).last.get_by_role("link", name="Delete").click()
    expect(page.locator(".images tbody th")).to_have_text(evil)
    page.get_by_role("button", name="Delete 1 image").click()
    says(visit, f"{evil} is deleted.")
    assert evil not in {image.name for image in cloud.images(server_id)}
