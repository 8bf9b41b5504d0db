"""What a schedule leaves in lists of servers, among extensions and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .clouds import PROXIED
from .raw import Box, Caller, box

ATTRIBUTE = "RAX-SI:image_schedule"
FILTER = "RAX-SI%3Aimage_schedule"
MARKER = "org.openstack__1__created_by"
SERVICE = "scheduled_images_service"


# Those that make scheduled images themselves, and all.
MAKERS = ["openstack", "rackspace"]
TYPES = [*MAKERS, PROXIED]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cloud" in metafunc.fixturenames:
        types = MAKERS if metafunc.function in MADE else TYPES
        metafunc.parametrize("cloud", types, indirect=True)


def enable(
    admin: Caller, name: str = "myserver", retention: int = 2, **more: Any
) -> str:
    server_id = admin.server_id(name)
    body = {"image_schedule": {"retention": retention, **more}}
    path = f"/servers/{server_id}/rax-si-image-schedule"
    assert admin.post(path, body).status_code == 200
    return server_id


def traces(admin: Caller, server_id: str) -> list[Any]:
    """Return the attribute in show, in the long and in the short list."""
    found = [admin.get(f"/servers/{server_id}").json()["server"]]
    for path in ("/servers/detail", "/servers"):
        servers = admin.get(path).json()["servers"]
        found += [server for server in servers if server["id"] == server_id]
    return [server.get(ATTRIBUTE, "absent") for server in found]


def test_the_attribute_follows_the_schedule(admin: Caller) -> None:
    server_id = admin.server_id()
    path = f"/servers/{server_id}/rax-si-image-schedule"
    assert traces(admin, server_id) == ["absent"] * 3
    for retention in (2, 2, 3):
        enable(admin, retention=retention)
        attribute = {"retention": retention}
        assert traces(admin, server_id) == [attribute, attribute, "absent"]
    assert admin.delete(path).status_code == 202
    assert admin.delete(path).status_code == 404
    assert traces(admin, server_id) == ["absent"] * 3
    enable(admin, retention=5, day_of_week="sunday")
    weekly = {"retention": 5, "day_of_week": "SUNDAY"}
    assert traces(admin, server_id) == [weekly, weekly, "absent"]


def test_a_changed_server_shows_it(admin: Caller) -> None:
    server_id = enable(admin)
    changed = admin.put(f"/servers/{server_id}", {"server": {"name": "renamed"}})
    assert changed.json()["server"][ATTRIBUTE] == {"retention": 2}
    other = admin.server_id("web1")
    changed = admin.put(f"/servers/{other}", {"server": {"name": "renamed"}})
    assert ATTRIBUTE not in changed.json()["server"]


@pytest.mark.parametrize("server", ["00000000-dead-4bad-8bad-000000000000", "*", ""])
def test_servers_that_are_none(admin: Caller, server: str) -> None:
    assert admin.get(f"/servers/{server}").status_code == 404


def filtered(admin: Caller, value: str, path: str) -> set[str]:
    answer = admin.get(f"{path}?{FILTER}={value}")
    assert answer.status_code == 200
    servers = answer.json()["servers"]
    names = {server["name"] for server in servers}
    assert len(names) == len(servers)
    for server in servers:
        shown = path.endswith("detail") and value.lower() in ("true", "1")
        assert (ATTRIBUTE in server) == shown
    return names


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_the_filter(admin: Caller, path: str) -> None:
    everyone = {"myserver", "web1", "db1", "check-my-task-state"}
    for name in ("myserver", "web1", "web1"):
        enable(admin, name)
    for value in ("True", "true", "TRUE", "1"):
        assert filtered(admin, value, path) == {"myserver", "web1"}
    for value in ("False", "false", "0"):
        assert filtered(admin, value, path) == everyone - {"myserver", "web1"}
    admin.delete(f"/servers/{admin.server_id('web1')}/rax-si-image-schedule")
    assert filtered(admin, "True", path) == {"myserver"}
    assert filtered(admin, "False", path) == everyone - {"myserver"}


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
@pytest.mark.parametrize("value", ["", "DoesNotExist", "*", "2", "None"])
def test_the_filter_refuses(admin: Caller, path: str, value: str) -> None:
    answer = admin.get(f"{path}?{FILTER}={value}")
    assert answer.status_code == 400
    assert FILTER.replace("%3A", ":") in answer.json()["badRequest"]["message"]


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_the_filter_goes_with_others_and_with_pages(admin: Caller, path: str) -> None:
    for name in ("myserver", "web1", "db1"):
        enable(admin, name)
    both = admin.get(f"{path}?{FILTER}=True&name=web").json()["servers"]
    assert [server["name"] for server in both] == ["web1"]
    seen, url = [], f"{path}?{FILTER}=True&limit=1"
    while url:
        page = admin.get(url).json()
        seen += [server["name"] for server in page["servers"]]
        url = page["servers_links"][0]["href"] if "servers_links" in page else ""
    assert sorted(seen) == ["db1", "myserver", "web1"]


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_a_list_with_a_body(admin: Caller, path: str) -> None:
    answer = admin("GET", f"{path}?{FILTER}=False", json={"a": 1})
    assert (answer.status_code, len(answer.json()["servers"])) == (200, 4)


def test_the_extension_is_announced(admin: Caller) -> None:
    wanted = {
        "alias": "rax-si-image-schedule",
        "name": "ScheduledImages",
        "namespace": "http://docs.openstack.org/servers/api/ext/scheduled_images/v1.0",
        "description": "Enables automatic scheduled images to be taken of a server.",
        "links": [],
        "updated": "2013-03-20T00:00:00Z",
    }
    one = admin.get("/extensions/rax-si-image-schedule")
    assert (one.status_code, one.json()) == (200, {"extension": wanted})
    listed = admin.get("/extensions")
    assert listed.status_code == 200
    assert wanted in listed.json()["extensions"]
    assert admin.get("/extensions/rax-si").status_code == 404


def test_a_cloud_without_the_extension_knows_nothing_of_it(tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    with box("openstack", servers=1, images_per_server=2, state=state) as made:
        server_id = made.admin.server_id("server-00001")
        assert traces(made.admin, server_id)[0] == {"retention": 2}
    with box("openstack", state=state, extension=False) as made:
        admin = made.admin
        made.sandbox.advance("3d")
        assert len(images_of(admin, server_id)) == 2
        assert traces(admin, server_id) == ["absent"] * 3
        for method in ("GET", "POST", "DELETE"):
            path = f"/servers/{server_id}/rax-si-image-schedule"
            answer = admin(method, path, json={"image_schedule": {"retention": 3}})
            assert answer.status_code == 404
        assert admin.get("/extensions/rax-si-image-schedule").status_code == 404
        assert "rax-si" not in admin.get("/extensions").text
        for value in ("True", "False", "perhaps"):
            listed = admin.get(f"/servers?{FILTER}={value}")
            assert len(listed.json()["servers"]) == 5
            strict = admin.get(f"/servers?{FILTER}={value}", version="2.75")
            assert strict.status_code == 400
            assert ATTRIBUTE in strict.json()["badRequest"]["message"]
    with box("openstack", state=state) as made:
        made.sandbox.advance("1d")
        assert traces(made.admin, server_id)[0] == {"retention": 2}
        # What fell due meanwhile is made up for.
        assert len(images_of(made.admin, server_id)) == 2


def images_of(admin: Caller, server_id: str) -> list[Any]:
    """Return the server's images, the oldest first."""
    answer = admin.get(f"/images/detail?server={server_id}")
    return sorted(answer.json()["images"], key=lambda image: image["created"])


def test_scheduled_images_say_whose_they_are(cloud_box: Box) -> None:
    admin = cloud_box.admin
    server_id = enable(admin)
    cloud_box.sandbox.advance("26h")
    (image,) = images_of(admin, server_id)
    name, server, stamp = image["name"].rsplit("-", 2)
    assert (name, server, len(stamp)) == ("Daily", "myserver", 10)
    assert image["metadata"][MARKER] == SERVICE
    assert image["metadata"]["instance_uuid"] == server_id == image["server"]["id"]
    shown = admin.image("GET", f"/images/{image['id']}").json()
    assert (shown[MARKER], shown["instance_uuid"]) == (SERVICE, server_id)


@pytest.mark.parametrize("retention", [2, 3])
def test_culling_takes_the_oldest_once_a_newer_is_active(
    cloud_box: Box, retention: int
) -> None:
    admin = cloud_box.admin
    server_id = enable(admin, retention=retention)
    other = enable(admin, "web1", retention=1)
    seen: list[str] = []
    while len(seen) <= retention:
        cloud_box.sandbox.advance("1h")
        seen += [i["id"] for i in images_of(admin, server_id) if i["id"] not in seen]
    # The newest is being made, and so the oldest is still there.
    if [i["status"] for i in images_of(admin, server_id)].count("SAVING"):
        assert len(images_of(admin, server_id)) == retention + 1
    cloud_box.sandbox.advance("1h")
    left = images_of(admin, server_id)
    assert [image["id"] for image in left] == seen[1:]
    assert {image["status"] for image in left} == {"ACTIVE"}
    assert len(images_of(admin, other)) == 1
    culled = admin.get(f"/images/{seen[0]}")
    if cloud_box.sandbox.like == "rackspace":
        assert culled.json()["image"]["status"] == "DELETED"
    else:
        assert culled.status_code == 404
    assert admin.image("GET", f"/images/{seen[0]}").status_code == 404


def test_what_is_not_the_services_stays(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    server_id = enable(admin, retention=1)
    sandbox.advance("25h")
    (kept,) = images_of(admin, server_id)
    assert admin.delete(f"/images/{kept['id']}/metadata/{MARKER}").status_code == 204
    manual = admin.snapshot(server_id, "by hand")
    hyphens = {"org.openstack__1__created-by": "scheduled-images-service"}
    sandbox.advance("1h")
    other = admin.snapshot(server_id, "another marker", **hyphens)
    sandbox.advance("9d")
    left = [image["id"] for image in images_of(admin, server_id)]
    assert left[:3] == [kept["id"], manual, other]
    assert len(left) == 4


def test_a_lower_retention_waits_for_the_next_image(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    server_id = enable(admin, retention=5)
    sandbox.advance("7d")
    assert len(images_of(admin, server_id)) == 5
    enable(admin, retention=2)
    sandbox.advance("1m")
    assert len(images_of(admin, server_id)) == 5
    sandbox.advance("1d")
    assert len(images_of(admin, server_id)) == 2


MADE = [
    test_scheduled_images_say_whose_they_are,
    test_culling_takes_the_oldest_once_a_newer_is_active,
    test_what_is_not_the_services_stays,
    test_a_lower_retention_waits_for_the_next_image,
]
