"""The panel in a real browser, with Horizon's own scripts and style sheets."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from playwright.sync_api import Browser, Page, Response, expect

from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.sandbox import Sandbox

from ..browser.axe import violations
from ..browser.visits import TIME_LIMIT, launched
from .dashboard import PANEL, Dashboard
from .test_server import ended
from .test_servers import DAILY, set_schedule

# A table of Horizon's own, and a form with numbers.
TABLE, FORM = "/project/instances/", "/settings/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser, pytest.MonkeyPatch.context() as patched:
        # Django takes Playwright's loop for one of its own.
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "yes")
        yield browser


@pytest.fixture(scope="module")
def horizon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Horizon on a port of its own, with its style sheets."""
    folder = os.fspath(tmp_path_factory.mktemp("static"))
    scss = "horizon.utils.scss_filter.ScssFilter"
    with override_settings(
        STATIC_ROOT=folder,
        COMPRESS_ROOT=folder,
        COMPRESS_ENABLED=True,
        COMPRESS_FILTERS={"css": (), "js": ()},
        COMPRESS_PRECOMPILERS=(("text/scss", scss),),
    ):
        server = Server("127.0.0.1", 0, threads=8)
        server.start(StaticFilesHandler(get_wsgi_application()))
        yield server.url
        server.stop()


@pytest.fixture
def page(browser: Browser, horizon: str, cloud: Sandbox) -> Iterator[Page]:
    """A window in which the project's administrator has logged in."""
    context = browser.new_context(base_url=horizon)
    context.set_default_timeout(TIME_LIMIT)
    page = context.new_page()
    page.goto("/auth/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", cloud.env()["OS_PASSWORD"])
    page.click("#loginBtn")
    page.wait_for_url("**/project/")
    yield page
    context.close()


def test_a_schedule_is_set_and_removed_in_horizons_windows(
    page: Page, admin: Dashboard
) -> None:
    web1 = admin.id_of("web1")
    page.goto(PANEL)
    row = page.locator(f"tr[data-object-id='{web1}']")
    row.get_by_text("Set Schedule").first.click()
    page.select_option("#id_when", "SATURDAY")
    page.fill("#id_last", "4")
    page.click("#schedule_form input[type=submit]")
    forecast = page.locator("#forecast")
    expect(forecast).to_contain_text("weekly on Saturday; keeps the newest 4 images")
    page.click("#schedule_form input[type=submit]")
    expect(page.locator("#schedule")).to_have_text(
        "weekly on Saturday; keeps the newest 4 images"
    )
    # Removing it asks.
    page.goto(PANEL)
    row.locator(".dropdown-toggle").click()
    row.get_by_role("button", name="Remove Schedule").click()
    question = page.locator(".modal-dialog")
    expect(question).to_contain_text("web1")
    assert admin.server("web1").at("#schedule").startswith("weekly")
    question.locator(".btn-danger").click()
    expect(page.locator(".messages")).to_contain_text("Removed Schedule: web1")
    assert admin.server("web1").at("#schedule") == "no schedule"


def test_a_restore_in_place_shows_its_fields_and_asks(
    page: Page, cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", **DAILY)
    cloud.advance("2d")
    page.goto(f"{PANEL}{admin.id_of('web1')}/")
    page.get_by_role("link", name="Restore Server").click()
    form = page.locator("#restore_form")
    name, safety = form.locator("#id_new_name"), form.get_by_text("Make no safety")
    expect(name).to_be_visible()
    expect(safety).to_be_hidden()
    # Horizon's script shows a list of its own in place of the field.
    form.locator("#id_how").evaluate("e => { e.value = 'in-place' }")
    form.locator("#id_how").dispatch_event("change")
    expect(name).to_be_hidden()
    expect(safety).to_be_visible()
    form.locator("input[type=submit]").click()
    expect(page.locator("#plan")).to_contain_text("The disk of web1 is replaced")
    known = rules_of_horizon(page, TABLE) | rules_of_horizon(page, FORM)
    assert "\n\n".join(beyond(page, known)) == ""
    page.locator("#restore_form input.btn-danger").click()
    expect(page.locator("#restore")).to_contain_text("is being restored in place")
    ended(cloud, admin, f"{PANEL}{admin.id_of('web1')}/")


def test_the_pages_are_as_accessible_as_horizons_own(
    page: Page, cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", **DAILY)
    cloud.advance("3d")
    set_schedule(admin, "web1", when="daily", last="1")
    web1 = f"{PANEL}{admin.id_of('web1')}/"
    known = rules_of_horizon(page, TABLE)
    for path in (PANEL, web1):
        page.goto(path)
        assert "\n\n".join(beyond(page, known)) == "", path
    known |= rules_of_horizon(page, FORM)
    for form in ("schedule", "snapshot", "prune", "restore"):
        page.goto(f"{web1}{form}/")
        assert "\n\n".join(beyond(page, known)) == "", form


def beyond(page: Page, known: set[str]) -> list[str]:
    """Return how a page breaks rules of axe, but for some."""
    return [each for each in violations(page) if each.split(":")[0] not in known]


def rules_of_horizon(page: Page, path: str) -> set[str]:
    """Return the rules that a page of Horizon's own breaks."""
    other = page.context.new_page()
    other.goto(path)
    found = {each.split(":")[0] for each in violations(other)}
    other.close()
    return found


@pytest.mark.parametrize(
    ("path", "button"),
    [("/project/images/", "Update Metadata"), ("/project/instances/", "Launch")],
)
def test_horizons_own_dialogs_open_without_errors(
    page: Page, admin: Dashboard, cloud: Sandbox, path: str, button: str
) -> None:
    failed: list[str] = []

    def note(response: Response) -> None:
        # An image may be another project's, whose name only an operator may read.
        if response.status >= 400 and "/keystone/projects/" not in response.url:
            failed.append(response.url)

    page.on("response", note)
    set_schedule(admin, "web1", **DAILY)
    cloud.advance("1d")
    page.goto(path)
    if button == "Launch":
        page.click("#instances__action_launch-ng")
    else:
        page.locator("action-list .dropdown-toggle, .split-caret").first.click()
        page.get_by_text(button).first.click()
    page.locator(".modal-dialog").wait_for()
    page.wait_for_load_state("networkidle")
    assert failed == []
    expect(page.locator(".toast .alert-danger")).to_have_count(0)
