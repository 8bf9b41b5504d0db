"""The page of all servers: what it shows, and what it lets people do."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xstatic.pkg import font_awesome

from rax_scheduled_images_ext.horizon.tables import ImagesTable, ServersTable
from rax_scheduled_images_ext.horizon.views import page_of
from rax_scheduled_images_ext.sandbox import Sandbox

from .dashboard import PANEL, Dashboard, Page

DAILY = {"when": "daily", "last": "2"}


def set_schedule(admin: Dashboard, *names: str, **fields: str) -> Page:
    """Set the schedule of servers as a person does: look at the forecast, continue."""
    ids = [admin.id_of(name) for name in names]
    if len(ids) == 1:
        path = f"{PANEL}{ids[0]}/schedule/"
        form = admin.get(path)
    else:
        path = f"{PANEL}schedules/"
        form = admin.act(PANEL, "scheduled_images__set_several", *ids)
    shown = admin.again(form, path, "schedule_form", **fields)
    assert shown.soup.select("#forecast"), shown.soup.text
    return admin.again(shown, path, "schedule_form")


def test_a_schedule_is_set_after_its_forecast_was_shown(admin: Dashboard) -> None:
    path = f"{PANEL}{admin.id_of('myserver')}/schedule/"
    shown = admin.send(path, "schedule_form", when="SATURDAY", last="4")
    assert shown.at("#schedule_form legend") == "Keep"
    assert "Then: weekly on Saturday; keeps the newest 4 images." in shown.at(
        "#forecast"
    )
    assert admin.server("myserver").at("#schedule") == "no schedule"
    page = admin.again(shown, path, "schedule_form")
    assert page.messages == [
        "Success: Saved the schedule of 1 server: weekly on Saturday; keeps the newest"
        " 4 images."
    ]
    assert page.at("#schedule") == "weekly on Saturday; keeps the newest 4 images"
    # The form starts from the schedule that there is.
    fields = admin.get(path).fields("schedule_form")
    assert (fields["when"], fields["last"]) == ("SATURDAY", "4")


def test_what_a_schedule_deletes_is_shown_and_asked_for_again_if_it_changes(
    cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "myserver", when="daily", last="7")
    cloud.advance("4d")
    path = f"{PANEL}{admin.id_of('myserver')}/schedule/"
    shown = admin.send(path, "schedule_form", when="daily", last="2")
    assert len(shown.all("#forecast tbody tr")) == 3
    cloud.advance("1d")
    again = admin.again(shown, path, "schedule_form")
    assert again.messages == [
        "Warning: This has changed since it was shown. Nothing was done."
    ]
    assert len(again.all("#forecast tbody tr")) == 4
    assert admin.server("myserver").at("#schedule").endswith("newest 7 images")
    admin.again(again, path, "schedule_form")
    assert admin.server("myserver").at("#schedule").endswith("newest 2 images")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"last": ""}, "use at least one of “Newest images”, “Hourly images”"),
        ({"last": "0"}, "use at least one of “Newest images”, “Hourly images”"),
        ({"last": "65536"}, "less than or equal to 65535"),
        ({"last": "abc"}, "Enter a whole number."),
        ({"last": "-1"}, "greater than or equal to 0"),
        (
            {"last": "1", "within_days": "3"},
            "keeping by age requires “Newest images”=2 or more",
        ),
        ({"at": "25:00"}, "'25:00' is not a time"),
        ({"when": "6", "at": "07:00"}, "'07:00' is not the first time of a day"),
        ({"when": "sometimes"}, "Select a valid choice"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_before_anything_is_asked(
    cloud: Sandbox, admin: Dashboard, fields: dict[str, str], problem: str
) -> None:
    path = f"{PANEL}{admin.id_of('myserver')}/schedule/"
    page = admin.get(path)
    before = len(cloud.requests)
    again = admin.again(page, path, "schedule_form", **{**DAILY, **fields})
    assert problem in again.at("#schedule_form")
    # What is wrong with one field says nothing of the rules.
    assert ("no rules" in again.at("#schedule_form")) == ("use at least" in problem)
    assert not again.soup.select("#forecast")
    assert not [each for each in cloud.requests[before:] if "/compute/" in each.path]


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_schedules_of_several_servers_are_set_and_removed(admin: Dashboard) -> None:
    ids = [admin.id_of("web1"), admin.id_of("db1")]
    page = set_schedule(admin, "web1", "db1", when="6", last="8", daily="7")
    assert page.messages[0].startswith(
        "Success: Saved the schedules of 2 servers: every 6 hours; keeps the newest 8,"
        " 7 daily."
    )
    assert page.path == PANEL
    scheduled = [row[0] for row in page.rows if row[2] == "every 6 hours"]
    assert scheduled == ["db1", "web1"]
    done = admin.act(PANEL, "scheduled_images__remove", *ids)
    assert done.messages == ["Success: Removed Schedules: web1, db1"]
    assert {row[1] for row in done.rows} == {"No schedule"}


@pytest.mark.parametrize("cloud", [{"servers": 300}], indirect=True)
def test_a_schedule_is_set_for_hundreds_of_servers_at_once(
    cloud: Sandbox, admin: Dashboard
) -> None:
    ids = [each.id for each in cloud.servers()]
    form = admin.act(PANEL, "scheduled_images__set_several", *ids)
    (found,) = form.soup.select("form#schedule_form")
    # Web servers cut off what is longer than 8,190 characters.
    assert found["action"] == f"{PANEL}schedules/"
    assert form.fields("schedule_form")["servers"].split() == ids


def test_the_form_for_several_servers_leads_to_where_they_are_selected(
    admin: Dashboard,
) -> None:
    assert admin.get(f"{PANEL}schedules/").path == PANEL


def test_removing_asks_first(admin: Dashboard) -> None:
    set_schedule(admin, "web1", **DAILY)
    buttons = admin.servers().soup.select('button[id$="action_remove"]')
    assert len(buttons) == 2
    for button in buttons:
        # Horizon's own script asks for whatever is marked so.
        assert "btn-danger" in button["class"]
        assert button["data-batch-action"] == "true"


def test_servers_that_lack_an_image_come_first(
    cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", "db1", **DAILY)
    cloud.advance("2d")
    cloud.fault("lose-image of web1")
    cloud.advance("2d")
    page = admin.servers()
    rows = page.rows
    bad = page.soup.select("tr.danger")
    assert [each["data-display"] for each in bad] == ["web1"]
    assert [row[:2] for row in rows[:3]] == [
        ["web1", "Late"],
        ["db1", "OK"],
        ["check-my-task-state", "No schedule"],
    ]


@pytest.mark.parametrize("cloud", [{"servers": 12}], indirect=True)
def test_pages_lead_forth_and_back(admin: Dashboard) -> None:
    pages = [admin.servers()]
    while following := pages[-1].soup.select('a[href^="?marker="]'):
        pages.append(admin.servers(str(following[0]["href"])))
    names = [name for page in pages for name in page.names]
    assert len(names) == len(set(names)) == 16
    assert [len(page.rows) for page in pages] == [5, 5, 5, 1]
    back = pages[-1].soup.select('a[href^="?prev_marker="]')[0]
    assert admin.servers(str(back["href"])).names == pages[-2].names


def test_servers_are_found_by_name_state_and_id(admin: Dashboard) -> None:
    set_schedule(admin, "web1", **DAILY)
    name = "scheduled_images__servers_filter__q"

    def found(field: str, text: str) -> list[str]:
        fields = {name: text, f"{name}_field": field}
        admin.client.post(PANEL, fields)
        return admin.servers().names

    assert found("name", "SERVER") == ["myserver"]
    assert found("state", "no image yet") == found("state", "never") == ["web1"]
    assert found("id", admin.id_of("db1")) == ["db1"]
    assert len(found("id", "")) == 4


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "{{ 7|add:7 }}&<b>"])
def test_a_name_with_markup_is_text(
    cloud: Sandbox, admin: Dashboard, name: str
) -> None:
    cloud.boot(name)
    set_schedule(admin, name, **DAILY)
    cloud.advance("1d")
    for page in (admin.servers(), admin.server(name)):
        assert b"<script>alert(1)" not in page.response.content
        assert name in page.soup.text


def test_a_role_is_not_offered_what_it_may_not_do(
    cloud: Sandbox, admin: Dashboard, login: Callable[..., Dashboard]
) -> None:
    set_schedule(admin, "web1", **DAILY)
    observer, web1 = login("observer"), admin.id_of("web1")
    page = observer.servers()
    assert page.actions(web1) == ["Show Images"]
    assert page.table_actions == []
    assert observer.server("web1").table_actions == []
    # Whoever sends it all the same is refused.
    before = len(cloud.requests)
    refused = observer.act(PANEL, f"scheduled_images__remove__{web1}")
    assert refused.messages == ["Error: You are not allowed to remove schedule: web1"]
    path = f"{PANEL}{web1}/schedule/"
    shown = observer.send(path, "schedule_form", when="daily", last="1")
    again = observer.again(shown, path, "schedule_form")
    (message,) = again.messages
    assert message.startswith("Error: Unable to save the schedule of web1.")
    assert "403" in message
    changed = [
        e for e in cloud.requests[before:] if e.method != "GET" and e.status < 400
    ]
    assert changed == []
    assert admin.server("web1").at("#schedule").endswith("newest 2 images")


def test_the_extension_does_not_let_a_creator_remove_a_schedule(
    admin: Dashboard, login: Callable[..., Dashboard]
) -> None:
    set_schedule(admin, "web1", **DAILY)
    web1 = admin.id_of("web1")
    assert "Remove Schedule" in admin.servers().actions(web1)
    actions = login("creator").servers().actions(web1)
    assert actions == ["Set Schedule", "Show Images", "Take Snapshot"]


@given(st.integers(0, 40), st.integers(1, 9))
def test_pages_have_each_row_once(number: int, size: int) -> None:
    rows = [type("Row", (), {"id": str(place)})() for place in range(number)]
    seen: list[Any] = []
    pages: list[Any] = []
    after = None
    while True:
        page, earlier, later = page_of(rows, after, None, size)
        assert earlier == bool(pages)
        pages.append(page)
        seen += page
        if not later:
            break
        after = page[-1].id
    assert seen == rows
    for before, page in pairwise(pages):
        assert page_of(rows, None, page[0].id, size)[0] == before


def test_a_bulk_action_goes_on_after_an_error_and_names_what_failed(
    cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", "db1", "myserver", **DAILY)
    ids = [admin.id_of(name) for name in ("web1", "db1", "myserver")]
    cloud.fault(f"DELETE /{ids[1]}/rax-si-image-schedule 500")
    page = admin.act(PANEL, "scheduled_images__remove", *ids)
    failed, done = page.messages
    assert failed.startswith("Error: Unable to remove the schedule of db1.")
    assert "500" in failed
    assert done == "Success: Removed Schedules: web1, myserver"
    assert admin.server("db1").at("#schedule").startswith("daily")
    assert admin.server("web1").at("#schedule") == "no schedule"


def test_a_schedule_that_somebody_else_has_changed_is_not_overwritten_unseen(
    admin: Dashboard, login: Callable[..., Dashboard]
) -> None:
    set_schedule(admin, "web1", "db1", **DAILY)
    ids = [admin.id_of("web1"), admin.id_of("db1")]
    path = f"{PANEL}schedules/"
    form = admin.act(PANEL, "scheduled_images__set_several", *ids)
    shown = admin.again(form, path, "schedule_form", when="daily", last="5")
    set_schedule(login("admin2"), "db1", when="daily", last="9")
    again = admin.again(shown, path, "schedule_form")
    assert again.messages[0].startswith("Warning: This has changed")
    assert "Now: daily; keeps the newest 9 images." in again.at("#forecast")
    assert admin.server("web1").at("#schedule").endswith("newest 2 images")


def test_a_server_that_is_gone_by_then_does_not_stop_the_others(
    cloud: Sandbox, admin: Dashboard
) -> None:
    ids = [admin.id_of("web1"), admin.id_of("db1")]
    path = f"{PANEL}schedules/"
    form = admin.act(PANEL, "scheduled_images__set_several", *ids)
    with cloud.region() as region:
        region.servers.delete(ids[0])
    shown = admin.again(form, path, "schedule_form", **DAILY)
    assert "No server with the ID" in shown.at("#forecast")
    page = admin.again(shown, path, "schedule_form")
    failed, saved = page.messages
    assert failed.startswith(f"Error: Unable to save the schedule of {ids[0]}.")
    assert "No server with the ID" in failed
    assert saved.startswith("Success: Saved the schedule of 1 server")


def button(page: Page) -> str:
    (found,) = page.soup.select("#schedule_form input[type=submit]")
    return str(found["value"])


def test_what_no_server_can_have_is_not_offered_to_be_saved(
    cloud: Sandbox, admin: Dashboard
) -> None:
    path = f"{PANEL}{admin.id_of('web1')}/schedule/"
    assert button(admin.get(path)) == "Continue"
    shown = admin.send(path, "schedule_form", when="6", last="8")
    assert "does not support the schedule" in shown.at("#forecast")
    assert "nothing to change" not in shown.at("#forecast")
    assert button(shown) == "Continue"
    # Whoever sends it again is told the same, and can choose another one.
    again = admin.again(shown, path, "schedule_form")
    assert "does not support the schedule" in again.at("#forecast")
    other = admin.again(again, path, "schedule_form", **DAILY)
    assert (other.messages, button(other)) == ([], "Save")
    page = admin.again(other, path, "schedule_form")
    assert page.messages[0].startswith("Success: Saved the schedule of 1 server")


def test_a_schedule_that_changes_nothing_is_not_called_saved(
    admin: Dashboard, login: Callable[..., Dashboard]
) -> None:
    set_schedule(admin, "web1", **DAILY)
    path = f"{PANEL}{admin.id_of('web1')}/schedule/"
    shown = login("observer").send(path, "schedule_form")
    assert "There is nothing to change." in shown.at("#forecast")
    assert (shown.messages, button(shown)) == ([], "Continue")
    # Beside one that changes, it is named.
    page = set_schedule(admin, "web1", "db1", **DAILY)
    assert page.messages == [
        "Success: Saved the schedule of 1 server: daily; keeps the newest 2 images.",
        "Info: Nothing to change for 1 server: daily; keeps the newest 2 images.",
    ]


def test_each_icon_is_in_the_font_that_horizon_loads() -> None:
    font = Path(next(iter(font_awesome.__path__))) / "data/scss/_variables.scss"
    known = set(re.findall(r"\$fa-var-([a-z0-9-]+):", font.read_text()))
    used = {
        icon
        for table in (ServersTable, ImagesTable)
        for action in (*table._meta.table_actions, *table._meta.row_actions)
        if (icon := getattr(action, "icon", None))
    }
    assert used
    assert used <= known
