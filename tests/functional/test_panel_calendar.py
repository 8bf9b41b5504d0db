"""The panel's calendars of what was made and what failed."""

from __future__ import annotations

import csv

import pytest

from rax_scheduled_images_ext.panel import histories
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..waiting import until
from .fleet import MYSERVER, sent
from .panels import Page, Panel, Reader, panel_over

NAMES = ("db1", "myserver", "web1")


@pytest.fixture
def failing(nova: Nova, cloud: Sandbox) -> Sandbox:
    """A cloud in which three servers have had images, and then failures."""
    for name in NAMES:
        nova.ok("scheduled-images-enable", name, "5")
    cloud.advance("3d")
    cloud.fault("lose-image")
    cloud.advance("2d")
    cloud.clear_faults()
    return cloud


def calendar_of(panel: Panel) -> Reader:
    """Somebody who has seen the servers, and then the calendar of all."""
    reader = panel.reader()
    sent(panel.cloud)
    reader.link("Calendar")
    return reader


def days(page: Page, kind: str) -> list[str]:
    """The numbers of failures, or of what is unknown, on the days of this kind."""
    return page.all(f"#months td.{kind}")


def counted(days: list[str]) -> int:
    """How much failed, or is unknown, on these days: the last number of each."""
    return sum(int(each.split()[-1]) for each in days)


def records_read(cloud: Sandbox) -> int:
    """How many records of servers have been asked for."""
    return sum("os-instance-actions " in line for line in sent(cloud))


def test_all_servers_say_what_failed(panel: Panel, failing: Sandbox) -> None:
    reader = calendar_of(panel)
    page = reader.page
    assert days(page, "made")
    # A server counts once a day, however many of its attempts failed.
    assert counted(days(page, "failed")) == 6
    assert not page.has("#problem")
    assert not days(page, "unknown")
    texts = page.all("#failed dd")
    for name in NAMES:
        assert any(
            text.startswith(f"{name}: ") and "could not be found" in text
            for text in texts
        )
    rows = list(csv.DictReader(reader.link("CSV").response.text.splitlines()))
    assert sum(int(row["made"]) for row in rows) == 9
    assert sum(int(row["failed"]) for row in rows) == counted(days(page, "failed"))


def test_the_calendar_of_all_says_how_old_it_is(panel: Panel, failing: Sandbox) -> None:
    reader = calendar_of(panel)
    assert reader.page.all("#freshness")[0].startswith("Read ")
    failing.fault("GET /images 503")
    until(lambda: reader.get(reader.page.path).has("#freshness.failed"))
    assert days(reader.page, "made")


def test_what_was_not_read_is_unknown_and_not_failed(
    panel: Panel, failing: Sandbox
) -> None:
    reader = panel.reader()
    failing.fault("GET /os-instance-actions 503")
    page = reader.link("Calendar")
    assert not days(page, "failed")
    assert counted(days(page, "unknown")) == 6
    assert "Why images of 3 servers are missing is unknown" in page.at("#problem").text
    assert "no image of db1; why is unknown" in page.all("#failed dd")
    home = reader.get("/").path
    page = reader.get(f"{home}/{MYSERVER}/calendar")
    assert "what failed is unknown" in page.at("#problem").text
    assert not days(page, "failed")
    assert len(days(page, "unknown")) == 2


def test_no_more_records_are_read_than_allowed_and_none_twice(
    failing: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "MOST_HISTORIES", 2)
    monkeypatch.setattr(
        "rax_scheduled_images_ext.panel.pages.calendar.MOST_HISTORIES", 2
    )
    with panel_over(failing) as panel:
        reader = calendar_of(panel)
        assert records_read(failing) == 2
        problem = reader.page.at("#problem").text
        assert "Why images of 1 server are missing is unknown" in problem
        assert "only 2 are read" in problem
        assert sum(each.count("?") for each in reader.page.all("#months td")) == 2
        reader.get(reader.page.path)
        assert records_read(failing) == 0


def test_servers_that_lack_nothing_are_not_asked_about(
    panel: Panel, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "5")
    cloud.advance("3d")
    reader = calendar_of(panel)
    assert records_read(cloud) == 0
    assert len(days(reader.page, "made")) == 3


def test_an_image_that_was_protected_is_not_missing(
    panel: Panel, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "5")
    cloud.advance("4d")
    nova.ok("scheduled-images-protect", cloud.images(MYSERVER)[1].id)
    reader = calendar_of(panel)
    assert len(days(reader.page, "made")) == 4
    assert not days(reader.page, "failed")
    home = reader.get("/").path
    page = reader.get(f"{home}/{MYSERVER}")
    assert not page.has(".cell.missing")
    assert len(page.all(".cell.exempt")) == 1
