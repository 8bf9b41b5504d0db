"""The panel's connection: Horizon's own session, region, project and errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from django.test import Client

from rax_scheduled_images_ext.sandbox import Sandbox

from .dashboard import PANEL, Dashboard
from .test_servers import DAILY, set_schedule

Login = Callable[..., Dashboard]


def asked(cloud: Sandbox, since: int) -> list[tuple[str, str]]:
    return [(each.method, each.path) for each in cloud.requests[since:]]


def test_a_page_needs_no_token_of_its_own_and_asks_once_for_the_extension(
    cloud: Sandbox, admin: Dashboard, login: Login
) -> None:
    admin.servers()
    other = login("admin2")
    before = len(cloud.requests)
    other.servers()
    found = asked(cloud, before)
    assert not [path for method, path in found if method != "GET"]
    assert not [path for _, path in found if "/extensions/rax" in path]
    ours = [path for _, path in found if "/compute/" in path or "/image/" in path]
    assert len(ours) <= 3, ours


@pytest.mark.parametrize("cloud", [{"regions": 2}], indirect=True)
def test_the_panel_follows_horizons_region(cloud: Sandbox, admin: Dashboard) -> None:
    set_schedule(admin, "web1", **DAILY)
    admin.get(f"/auth/switch_services_region/RegionTwo/?next={PANEL}")
    before = len(cloud.requests)
    page = admin.servers()
    assert page.messages == []
    assert {row[1] for row in page.rows} == {"No schedule"}
    paths = [path for _, path in asked(cloud, before) if "/compute/" in path]
    assert paths
    assert all(path.startswith("/RegionTwo/") for path in paths)
    admin.get(f"/auth/switch_services_region/RegionOne/?next={PANEL}")
    assert admin.servers().names[0] == "web1"


def test_the_panel_follows_horizons_project(cloud: Sandbox, login: Login) -> None:
    operator = login("operator")
    assert "web1" in operator.servers().names
    token = operator.client.session["token"]
    projects = requests.get(
        f"{cloud.url}/identity/v3/auth/projects",
        headers={"X-Auth-Token": token.id},
        timeout=60,
    ).json()["projects"]
    (other,) = (each["id"] for each in projects if each["name"] == "other")
    operator.get(f"/auth/switch/{other}/?next={PANEL}")
    before = len(cloud.requests)
    operator.servers()
    assert all(status < 400 for *_, status in cloud.requests[before:])
    assert operator.client.session["token"].project["name"] == "other"


def test_a_token_that_is_revoked_leads_to_horizons_page(
    cloud: Sandbox, admin: Dashboard
) -> None:
    token = admin.client.session["token"].id
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    url = f"{cloud.url}/identity/v3/auth/tokens"
    assert requests.delete(url, headers=headers, timeout=60).status_code == 204
    page = admin.servers()
    assert page.status == 403
    assert "You are not authorized to access this page" in page.soup.text


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("GET /servers/detail 403", "403"),
        ("GET /servers/detail 503", "503"),
        ("GET /image/ drop", "image"),
        ("GET /servers/detail truncate", "compute"),
    ],
)
def test_a_service_that_fails_is_a_message_on_the_page(
    cloud: Sandbox, admin: Dashboard, fault: str, reason: str
) -> None:
    cloud.fault(fault)
    page = admin.servers()
    assert page.status == 200
    (message,) = page.messages
    assert message.startswith("Error: Unable to retrieve the servers.")
    assert reason in message
    assert page.rows == []


def test_a_change_that_fails_says_why(cloud: Sandbox, admin: Dashboard) -> None:
    set_schedule(admin, "web1", **DAILY)
    cloud.fault("DELETE /rax-si-image-schedule 403")
    web1 = admin.id_of("web1")
    page = admin.act(PANEL, f"scheduled_images__remove__{web1}")
    (message,) = page.messages
    assert message.startswith("Error: Unable to remove the schedule of web1.")
    assert "403" in message
    assert admin.server("web1").at("#schedule").startswith("daily")


def test_whoever_is_not_logged_in_is_sent_to_log_in(cloud: Sandbox) -> None:
    answer = Client().get(PANEL)
    assert answer.status_code == 302
    assert answer["Location"].endswith(f"/auth/login/?next={PANEL}")


def test_nothing_is_done_without_horizons_token_against_forgery(
    cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", **DAILY)
    web1 = admin.id_of("web1")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.client.cookies
    before = len(cloud.requests)
    for path, fields in {
        PANEL: {"action": f"scheduled_images__remove__{web1}"},
        f"{PANEL}{web1}/schedule/": {"servers": web1, **DAILY},
        f"{PANEL}{web1}/restore/": {"how": "in-place"},
        f"{PANEL}{web1}/prune/": {},
    }.items():
        answer = strict.post(path, fields)
        assert answer["Location"].startswith("/auth/login/?csrf_failure="), path
    assert cloud.requests[before:] == []


@pytest.mark.parametrize(
    "server", ["..", "x%3Fall_tenants=1", "%C3%A4", "detail", "x%23y", "%00", "x y"]
)
def test_what_is_no_id_is_a_message_and_reaches_no_other_resource(
    cloud: Sandbox, admin: Dashboard, server: str
) -> None:
    before = len(cloud.requests)
    for page in ("", "schedule/", "restore/", "prune/"):
        found = admin.get(f"{PANEL}{server}/{page}")
        assert found.status in (200, 404)
        assert "web1" not in found.soup.text or found.path == PANEL
    sent = [each for each in cloud.requests[before:] if "all_tenants" in each.path]
    assert [each for each in sent if "?all" in each.path] == []
    assert {each.method for each in cloud.requests[before:]} <= {"GET", "POST"}


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_proxys_404_is_no_answer_of_the_cloud(
    cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", **DAILY)
    web1 = admin.id_of("web1")
    cloud.fault("/compute/ 404 html")
    page = admin.servers()
    assert page.messages[0].startswith("Error: Unable to retrieve the servers.")
    page = admin.get(f"{PANEL}{web1}/")
    assert page.path == PANEL
    assert not any("deleted" in each for each in page.messages)
    cloud.clear_faults()
    assert admin.server("web1").at("#schedule").startswith("daily")


def test_a_region_without_images_is_a_message(cloud: Sandbox, admin: Dashboard) -> None:
    cloud.fault("/image/ 404 html")
    page = admin.servers()
    (message,) = page.messages
    assert message.startswith("Error: Unable to retrieve the servers.")
    assert page.rows == []


def test_a_token_that_ends_in_the_middle_of_several_is_no_success(
    cloud: Sandbox, admin: Dashboard
) -> None:
    set_schedule(admin, "web1", "db1", **DAILY)
    ids = [admin.id_of("web1"), admin.id_of("db1")]
    cloud.fault("DELETE /rax-si-image-schedule 401")
    page = admin.act(PANEL, "scheduled_images__remove", *ids)
    assert page.messages == ["Error: Unable to remove schedules: web1, db1"]
    cloud.clear_faults()
    assert admin.server("db1").at("#schedule").startswith("daily")
