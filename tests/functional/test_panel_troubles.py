"""The panel over a cloud that errs, is slow, or is gone."""

from __future__ import annotations

import pytest

from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..waiting import until
from .fleet import MYSERVER, sent
from .panels import Page, Panel, Reader, panel_over

FAILURES = {
    "503": "(HTTP 503)",
    "500 html": "(HTTP 500)",
    "drop": "The connection to the cloud failed",
    "truncate": "",
}
failing = pytest.mark.parametrize(
    "fault",
    [
        "503",
        "drop",
        *(pytest.param(e, marks=pytest.mark.long) for e in ("500 html", "truncate")),
    ],
)


def no_traceback(page: Page) -> None:
    assert "Traceback" not in page.response.text
    assert page.text


@failing
def test_what_is_known_stays_with_its_age(
    reader: Reader, nova: Nova, cloud: Sandbox, fault: str
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "3")
    home = reader.page.path
    reader.get(home)
    server = reader.link("myserver").path
    cloud.fault(f"GET {fault}")
    for path, selector in ((home, "#servers tbody tr"), (server, "#schedule-form")):
        page = reader.get(path)
        assert page.status == 200
        (line,) = page.all("#freshness")
        assert line.startswith("The cloud could not be read: ")
        assert FAILURES[fault] in line
        assert "This was read " in line
        assert page.has(selector)
        no_traceback(page)

    cloud.clear_faults()
    until(lambda: reader.get(home).all("#freshness") == ["Read 0s ago."])


@failing
def test_where_nothing_is_known_one_line_says_what_failed(
    cloud: Sandbox, fault: str
) -> None:
    with panel_over(cloud, login=True) as panel:
        cloud.fault(f"GET /servers {fault}")
        reader = panel.logged_in()
        page = reader.page
        assert page.status == 503
        assert page.all("h1") == ["The cloud cannot be read"]
        assert FAILURES[fault] in page.all("#problem")[0]
        assert page.at("meta[http-equiv=refresh]")["content"] == "10"
        no_traceback(page)
        cloud.clear_faults()
        until(lambda: reader.get(page.path).status == 200)


def test_a_slow_cloud_is_waited_for_and_then_shown(cloud: Sandbox) -> None:
    with panel_over(cloud, login=True, patience=Patience(0.3, 0.3)) as panel:
        cloud.fault("GET /servers/detail delay 10s x1")
        reader = panel.logged_in()
        page = reader.page
        assert (page.status, page.all("h1")) == (503, ["Waiting for the cloud"])
        until(lambda: reader.get(page.path).status == 200)
        assert len(reader.page.all("#servers tbody tr")) == 4


def test_a_slow_cloud_does_not_take_away_what_is_known(cloud: Sandbox) -> None:
    with panel_over(cloud, patience=Patience(60, 0.3)) as panel:
        reader = panel.reader()
        cloud.fault("GET /servers/detail delay 10s")
        page = reader.get(reader.page.path)
        assert page.status == 200
        assert "reading again for" in page.all("#freshness")[0]
        assert len(page.all("#servers tbody tr")) == 4


def test_a_login_while_keystone_fails(cloud: Sandbox) -> None:
    with panel_over(cloud, login=True) as panel:
        cloud.fault("POST /tokens 503")
        page = panel.logged_in().page
        assert (page.status, page.path) == (502, "/login")
        assert "503" in page.all("#problem")[0]
        no_traceback(page)


@pytest.mark.parametrize("fault", ["503", "drop", "409"])
def test_a_change_that_fails_says_why_and_the_page_stays(
    reader: Reader, nova: Nova, cloud: Sandbox, fault: str
) -> None:
    reader.link("myserver")
    cloud.fault(f"POST /rax-si-image-schedule {fault}")
    page = reader.submit("#schedule-form", retention=3)
    (message,) = page.messages
    assert message.startswith("The schedule: ")
    assert page.all("h1") == ["myserver"]
    no_traceback(page)
    assert nova("scheduled-images-show", "myserver").status == 1


def test_a_forecast_that_fails_saves_nothing(reader: Reader, cloud: Sandbox) -> None:
    reader.link("myserver")
    path = reader.page.path
    cloud.fault("GET /images 503")
    sent(cloud)
    page = reader.submit("#schedule-form", retention=3)
    assert page.status == 502
    assert "503" in page.all("#problem")[0]
    assert not [line for line in sent(cloud) if line.startswith("POST")]
    reader.get(path)
    address = str(reader.page.at("#preview")["formaction"])
    page = reader.post(address, reader.fill("#schedule-form")[1])
    assert "503" in page.all("#forecast")[0]


def test_a_snapshot_whose_answer_is_lost_is_found(
    reader: Reader, cloud: Sandbox
) -> None:
    reader.link("myserver")
    cloud.fault("POST /action lose-answer x1")
    page = reader.submit("#snapshot-form", name="mine")
    assert page.messages == ["The snapshot mine has started."]
    assert len(cloud.images(MYSERVER)) == 1


def test_prune_names_what_it_could_not_delete(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "4")
    cloud.advance("5d")
    nova.ok("scheduled-images-enable", "myserver", "2")
    reader.link("myserver")
    reader.link("Prune: apply the retention now…")
    names = reader.page.all("#plan tbody th")
    cloud.fault("DELETE /images 503 x1")
    page = reader.submit("main form")
    assert page.messages[0] == "1 image was deleted."
    assert any(name in page.messages[1] for name in names)
    assert "(HTTP 503)" in page.messages[1]
    assert len(cloud.images(MYSERVER)) == 3


def test_a_change_that_takes_long_shows_its_progress(
    reader: Reader, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rax_scheduled_images_ext.panel.pages.common._CHANGE", 0.2)
    reader.link("myserver")
    cloud.fault("POST /rax-si-image-schedule delay 2s")
    page = reader.submit("#schedule-form", retention=3)
    assert "/jobs/" in page.path
    assert page.all("#outcome") == ["Under way."]
    assert page.at("#job")["hx-trigger"] == "every 1s"
    path = page.path
    until(lambda: reader.get(path).all("#outcome") == ["All done."])
    assert reader.link("Continue").all("#schedule") == ["daily, keep 3"]


def test_a_change_of_another_session_is_not_shown(panel: Panel, cloud: Sandbox) -> None:
    reader = panel.reader()
    reader.submit("#bulk", server=MYSERVER, retention=4)
    path = reader.submit("#change").path
    assert "/jobs/" in path
    page = panel.reader().get(path)
    assert (page.status, page.all("h1")) == (404, ["Unknown change"])


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_cloud_without_extension_and_tags(cloud: Sandbox) -> None:
    with panel_over(cloud, login=True) as panel:
        cloud.fault("GET /servers 406")
        page = panel.logged_in().page
        assert page.status == 503
        no_traceback(page)
