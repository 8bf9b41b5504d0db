"""The image API as Glance has it: lists, filters, pages, JSON patch, data."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests

from ..functional.raw import PATCH_TYPE, Box, Caller, box

# 2026-01-01T00:00:00Z
NEW_YEAR = 1767225600.0
BASE = "Debian 12 (Bookworm)"
MARKER = "org.openstack__1__created_by"


TYPES = [
    pytest.param({"start": NEW_YEAR}, id="openstack"),
    pytest.param(
        {"like": "rackspace", "start": NEW_YEAR},
        id="rackspace",
    ),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cloud" in metafunc.fixturenames:
        metafunc.parametrize("cloud", TYPES, indirect=True)


def create(admin: Caller, name: str, **more: Any) -> str:
    answer = admin.image("POST", "/images", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [image["name"] for image in answer.json()["images"]]


def show(admin: Caller, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = admin.image("GET", f"/images/{image_id}").json()
    return shown


def operation(op: str, path: str, value: Any = None) -> dict[str, Any]:
    more = {} if op == "remove" else {"value": value}
    return {"op": op, "path": path, **more}


def test_versions_need_no_token(admin: Caller) -> None:
    for path, status in (("/", 300), ("/versions", 200)):
        answer = requests.get(admin.image_root + path, timeout=60)
        assert answer.status_code == status
        versions = answer.json()["versions"]
        (current,) = (v for v in versions if v["status"] == "CURRENT")
        assert current["links"] == [{"rel": "self", "href": f"{admin.image_root}/v2/"}]


def test_a_bad_token(admin: Caller) -> None:
    for token in ("", "bad"):
        answer = admin.image("GET", "/images", headers={"X-Auth-Token": token})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_a_new_image(admin: Caller) -> None:
    wanted = {"name": "new", "tags": ["t"], "min_disk": 3, "colour": "red"}
    answer = admin.image("POST", "/images", json=wanted)
    image = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/v2/images/{image['id']}")
    assert image == show(admin, image["id"])
    assert image == {
        "colour": "red",
        "name": "new",
        "disk_format": None,
        "container_format": None,
        "visibility": "shared",
        "size": None,
        "virtual_size": None,
        "status": "queued",
        "checksum": None,
        "protected": False,
        "min_ram": 0,
        "min_disk": 3,
        "owner": admin.project_id,
        "os_hidden": False,
        "os_hash_algo": None,
        "os_hash_value": None,
        "id": image["id"],
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "tags": ["t"],
        "self": f"/v2/images/{image['id']}",
        "file": f"/v2/images/{image['id']}/file",
        "schema": "/v2/schemas/image",
    }


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ([], 400),
        ({"name": 5}, 400),
        ({"name": "x" * 256}, 400),
        ({"min_disk": "3"}, 400),
        ({"protected": "yes"}, 400),
        ({"visibility": "secret"}, 400),
        ({"visibility": "public"}, 403),
        ({"disk_format": "floppy"}, 400),
        ({"colour": 5}, 400),
        ({"k" * 256: "x"}, 400),
        ({"id": "short"}, 400),
        ({"tags": [5]}, 400),
        ({"status": "active"}, 403),
        ({"self": "x"}, 403),
        ({"deleted": "x"}, 403),
        ({"os_glance_x": "x"}, 403),
        ({"owner": "someone"}, 403),
    ],
)
def test_new_images_that_are_refused(admin: Caller, wanted: Any, status: int) -> None:
    before = names(admin.image("GET", "/images"))
    assert admin.image("POST", "/images", json=wanted).status_code == status
    assert names(admin.image("GET", "/images")) == before


def test_an_id_is_taken_once(admin: Caller) -> None:
    wanted = "00000000-0000-4000-8000-000000000001"
    assert create(admin, "one", id=wanted) == wanted
    again = admin.image("POST", "/images", json={"id": wanted})
    assert again.status_code == 409


@pytest.mark.parametrize("chunked", [False, True])
def test_data(admin: Caller, chunked: bool) -> None:
    data = bytes(range(256)) * 500
    image_id = create(admin, "new", disk_format="raw", container_format="bare")
    path = f"/images/{image_id}/file"
    assert admin.image("GET", path).status_code == 204
    headers = {"Content-Type": "application/octet-stream"}
    sent: Any = iter([data[:1000], data[1000:]]) if chunked else data
    assert admin.image("PUT", path, data=sent, headers=headers).status_code == 204
    image = show(admin, image_id)
    assert (image["status"], image["size"]) == ("active", len(data))
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    got = admin.image("GET", path)
    assert (got.content, got.headers["Content-MD5"]) == (data, image["checksum"])
    assert admin.image("PUT", path, data=b"x", headers=headers).status_code == 409
    assert admin.image("PUT", path, json={}).status_code == 415
    bare = create(admin, "bare")
    refused = admin.image("PUT", f"/images/{bare}/file", data=b"x", headers=headers)
    assert refused.status_code == 400


# -- lists


@pytest.fixture
def several(cloud_box: Box) -> Caller:
    """Snapshots "one" (of myserver) and "two" (of web1), and "new"; an hour apart."""
    admin = cloud_box.admin
    cloud_box.sandbox.advance("1h")
    admin.snapshot(admin.server_id(), "one", **{MARKER: "scheduled_images_service"})
    cloud_box.sandbox.advance("1h")
    admin.snapshot(admin.server_id("web1"), "two", colour="red")
    cloud_box.sandbox.advance("1h")
    create(admin, "new", tags=["a", "b"], protected=True, min_ram=5)
    return admin


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["new", "two", "one", BASE]),
        ("limit=2", ["new", "two"]),
        ("limit=0", []),
        ("limit=5000", ["new", "two", "one", BASE]),
        ("name=one", ["one"]),
        ("name=On", []),
        ("name=in:one,two", ["two", "one"]),
        ("name=in:%22one%22,two,%22a,b%22", ["two", "one"]),
        ("status=active", ["two", "one", BASE]),
        ("status=in:queued,saving", ["new"]),
        ("disk_format=raw", ["two", "one"]),
        ("visibility=public", [BASE]),
        ("visibility=private", ["two", "one"]),
        ("visibility=shared", ["new"]),
        ("visibility=all", ["new", "two", "one", BASE]),
        ("protected=true", ["new"]),
        ("protected=false", ["two", "one", BASE]),
        ("os_hidden=true", ["Appliance without a console"]),
        ("os_hidden=false", ["new", "two", "one", BASE]),
        ("tag=a", ["new"]),
        ("tag=a&tag=b", ["new"]),
        ("tag=a&tag=c", []),
        ("min_ram=5", ["new"]),
        ("size_min=5000", ["two", "one"]),
        ("size_max=5000", [BASE]),
        ("size=4096", [BASE]),
        ("created_at=gt:2026-01-01T01:00:00Z", ["new", "two"]),
        ("created_at=gte:2026-01-01T02:00:00Z", ["new", "two"]),
        ("created_at=lt:2026-01-01T02:00:00Z", ["one", BASE]),
        ("created_at=lte:2026-01-01T02:00:00", ["two", "one", BASE]),
        ("created_at=neq:2026-01-01T02:00:00Z", ["new", "one", BASE]),
        ("created_at=2026-01-01T02:00:00Z", ["two"]),
        ("created_at=eq:2026-01-01T02:00:00Z", ["two"]),
        ("updated_at=gte:2026-01-01T03:00:00Z", ["new"]),
        ("colour=red", ["two"]),
        ("colour=in:red,blue", []),
        ("image_type=snapshot", ["two", "one"]),
        (f"{MARKER}=scheduled_images_service", ["one"]),
        (f"{MARKER}=scheduled_images_service&image_type=snapshot", ["one"]),
        (f"{MARKER}=scheduled_images_service&colour=red", []),
        ("unheard_of=x", []),
        ("owner=nobody", []),
        ("sort=name:asc", [BASE, "new", "one", "two"]),
        ("sort=name", ["two", "one", "new", BASE]),
        ("sort_key=name&sort_dir=asc", [BASE, "new", "one", "two"]),
        ("sort=created_at:asc", [BASE, "one", "two", "new"]),
        ("sort_key=status&sort_key=name&sort_dir=asc", [BASE, "one", "two", "new"]),
        ("sort=status:desc,name:desc", ["new", "two", "one", BASE]),
        ("member_status=accepted", ["new", "two", "one", BASE]),
    ],
)
def test_filters(several: Caller, query: str, wanted: list[str]) -> None:
    assert names(several.image("GET", f"/images?{query}")) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=-1",
        "marker=none",
        "sort=size:up",
        "sort=colour",
        "sort_key=colour",
        "sort_dir=up",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=asc&sort_dir=desc",
        "visibility=secret",
        "protected=maybe",
        "os_hidden=maybe",
        "size_min=many",
        "created_at=gt:never",
        "created_at=near:2026-01-01T00:00:00Z",
        "name=like:x",
        "changes-since=2026-01-01T00:00:00Z",
    ],
)
def test_lists_refuse(admin: Caller, query: str) -> None:
    assert admin.image("GET", f"/images?{query}").status_code == 400


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages(several: Caller, limit: int) -> None:
    whole = names(several.image("GET", "/images"))
    query, seen = f"limit={limit}&visibility=all", []
    path = f"/images?{query}"
    while path:
        page = several.image("GET", path)
        seen += names(page)
        body = page.json()
        assert body["first"] == f"/v2/images?{query}"
        assert body["schema"] == "/v2/schemas/images"
        path = body.get("next", "").removeprefix("/v2")
        # A full page always has a next one, though it may be empty.
        assert bool(path) == (len(names(page)) == limit)
    assert seen == whole


def test_a_page_is_25_by_default() -> None:
    with box("openstack", servers=5, images_per_server=7, max_limit=30) as made:
        answer = made.admin.image("GET", "/images")
        assert len(names(answer)) == 25
        assert answer.json()["next"].startswith("/v2/images?marker=")
        assert len(names(made.admin.image("GET", "/images?limit=999"))) == 30


# -- changes


def test_properties_come_and_go(admin: Caller) -> None:
    image_id = create(admin, "new", colour="red")
    for change, status, colour in (
        (operation("add", "/colour", "blue"), 200, "blue"),
        (operation("replace", "/colour", "green"), 200, "green"),
        (operation("remove", "/colour"), 200, None),
        (operation("remove", "/colour"), 409, None),
        (operation("replace", "/colour", "red"), 409, None),
        (operation("add", "/colour", "red"), 200, "red"),
    ):
        answer = admin.patch(image_id, change)
        assert answer.status_code == status, answer.text
        assert show(admin, image_id).get("colour") == colour
        if status == 200:
            assert answer.json() == show(admin, image_id)


def test_a_patch_is_whole_or_nothing(admin: Caller) -> None:
    image_id = create(admin, "new", colour="red")
    before = show(admin, image_id)
    answer = admin.patch(
        image_id,
        operation("replace", "/name", "other"),
        operation("add", "/shape", "round"),
        operation("remove", "/nothing"),
    )
    assert answer.status_code == 409
    assert show(admin, image_id) == before
    answer = admin.patch(
        image_id,
        operation("remove", "/colour"),
        operation("add", "/colour", "blue"),
        operation("replace", "/name", "other"),
        operation("add", "/a~1b~0c", "odd"),
    )
    image = answer.json()
    assert (image["colour"], image["name"], image["a/b~c"]) == ("blue", "other", "odd")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (operation("replace", "/id", "x"), 403),
        (operation("replace", "/status", "active"), 403),
        (operation("replace", "/size", 5), 403),
        (operation("remove", "/name"), 403),
        (operation("replace", "/owner", "someone"), 403),
        (operation("replace", "/visibility", "public"), 403),
        (operation("add", "/locations/-", {}), 403),
        (operation("add", "/deleted", "x"), 403),
        (operation("add", "/os_glance_x", "x"), 403),
        (operation("replace", "/visibility", "secret"), 400),
        (operation("replace", "/min_disk", "5"), 400),
        (operation("replace", "/protected", "yes"), 400),
        (operation("add", "/colour", 5), 400),
        (operation("add", "/colour", None), 400),
        (operation("add", "colour", "x"), 400),
        (operation("add", "/a//b", "x"), 400),
        (operation("add", "/a/b", "x"), 400),
        (operation("add", "/colour/", "x"), 400),
        (operation("add", "/a~2", "x"), 400),
        (operation("add", "/", "x"), 400),
        (operation("move", "/colour", "x"), 400),
        ({"path": "/colour", "value": "x"}, 400),
        ({"op": "add", "value": "x"}, 400),
        ({"op": "add", "path": "/colour"}, 400),
        ({"op": "add", "path": 5, "value": "x"}, 400),
        ("add", 400),
    ],
)
def test_changes_that_are_refused(admin: Caller, change: Any, status: int) -> None:
    image_id = create(admin, "new", colour="red")
    before = show(admin, image_id)
    assert admin.patch(image_id, change).status_code == status
    assert show(admin, image_id) == before


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'"x"', b"null"])
def test_patches_that_are_none(admin: Caller, body: bytes) -> None:
    path = f"/images/{create(admin, 'new')}"
    headers = {"Content-Type": PATCH_TYPE}
    assert admin.image("PATCH", path, data=body, headers=headers).status_code == 400


def test_only_patches_are_taken(admin: Caller) -> None:
    image_id = create(admin, "new")
    answer = admin.image("PATCH", f"/images/{image_id}", json=[])
    assert answer.status_code == 415
    assert PATCH_TYPE in answer.headers["Accept-Patch"]
    # The older form, by which nothing is added twice.
    old = {"Content-Type": PATCH_TYPE.replace("2.1", "2.0")}

    def change(**operation: str) -> requests.Response:
        body = json.dumps([operation])
        return admin.image("PATCH", f"/images/{image_id}", data=body, headers=old)

    assert change(add="/colour", value="red").json()["colour"] == "red"
    assert change(add="/colour", value="red").status_code == 409
    assert change(replace="/colour", value="blue").json()["colour"] == "blue"
    assert "colour" not in change(remove="/colour").json()
    assert change(add="/a", remove="/b").status_code == 400


def test_protection(admin: Caller) -> None:
    image_id = create(admin, "new", protected=True)
    answer = admin.image("DELETE", f"/images/{image_id}")
    assert answer.status_code == 403
    assert "is protected and cannot be deleted" in answer.json()["message"]
    admin.patch(image_id, operation("replace", "/protected", False))
    gone = admin.image("DELETE", f"/images/{image_id}")
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE", "PATCH"):
        headers = {"Content-Type": PATCH_TYPE}
        path = f"/images/{image_id}"
        again = admin.image(method, path, headers=headers, data="[]")
        assert again.status_code == 404
        assert image_id in again.json()["message"]


def test_errors_are_pages_for_browsers(admin: Caller) -> None:
    answer = admin.image("GET", "/images/<none>", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (
        404,
        "text/html",
    )
    assert "&lt;none&gt;" in answer.text
    assert "<none>" not in answer.text


def test_tags(admin: Caller) -> None:
    image_id = create(admin, "new")
    path = f"/images/{image_id}/tags"
    for _ in range(2):
        assert admin.image("PUT", f"{path}/blue%20one").status_code == 204
    assert show(admin, image_id)["tags"] == ["blue one"]
    assert admin.image("PUT", f"{path}/{'x' * 256}").status_code == 400
    assert admin.image("DELETE", f"{path}/blue%20one").status_code == 204
    assert admin.image("DELETE", f"{path}/blue%20one").status_code == 404


def test_deactivation(cloud_box: Box) -> None:
    admin = cloud_box.admin
    image_id = admin.snapshot(admin.server_id(), "one")
    path = f"/images/{image_id}/actions"
    assert admin.image("POST", f"{path}/deactivate").status_code == 400
    cloud_box.sandbox.advance("10m")
    for action, status in (("deactivate", "deactivated"), ("reactivate", "active")):
        for _ in range(2):
            assert admin.image("POST", f"{path}/{action}").status_code == 204
            assert show(admin, image_id)["status"] == status


def test_others_images(cloud_box: Box) -> None:
    admin, stranger = cloud_box.admin, cloud_box.as_("stranger")
    mine, base = create(admin, "mine"), admin.base_image()
    change = operation("add", "/colour", "red")
    assert stranger.image("GET", f"/images/{mine}").status_code == 404
    assert stranger.patch(mine, change).status_code == 404
    assert stranger.image("DELETE", f"/images/{mine}").status_code == 404
    assert names(stranger.image("GET", "/images")) == [BASE]
    for caller in (admin, stranger):
        assert caller.patch(base, change).status_code == 403
        assert caller.image("DELETE", f"/images/{base}").status_code == 403
    admin.patch(mine, operation("replace", "/visibility", "community"))
    assert stranger.image("GET", f"/images/{mine}").status_code == 200
    assert names(stranger.image("GET", "/images")) == [BASE]
    assert names(stranger.image("GET", "/images?visibility=community")) == ["mine"]


def test_observers_look_and_touch_nothing(cloud_box: Box) -> None:
    admin, observer = cloud_box.admin, cloud_box.as_("observer")
    mine = create(admin, "mine", tags=["t"])
    before = show(admin, mine)
    assert show(observer, mine) == before
    for method, path, body in (
        ("POST", "/images", {"name": "x"}),
        ("DELETE", f"/images/{mine}", None),
        ("PUT", f"/images/{mine}/tags/x", None),
        ("DELETE", f"/images/{mine}/tags/t", None),
        ("POST", f"/images/{mine}/actions/deactivate", None),
    ):
        answer = observer.image(method, path, json=body)
        assert answer.status_code == 403, (method, path)
        assert "You are not authorized" in answer.json()["message"]
    assert observer.patch(mine, operation("add", "/a", "b")).status_code == 403
    assert show(admin, mine) == before


def test_schemas(admin: Caller) -> None:
    image = admin.image("GET", "/schemas/image").json()
    assert (image["name"], image["additionalProperties"]) == (
        "image",
        {"type": "string"},
    )
    assert set(show(admin, admin.base_image())) - {"os_distro", "os_version"} <= set(
        image["properties"]
    )
    assert image["properties"]["status"]["readOnly"] is True
    images = admin.image("GET", "/schemas/images").json()
    assert images["properties"]["images"]["items"] == image


def test_methods_that_are_not_there(admin: Caller) -> None:
    answer = admin.image("PUT", "/images")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert admin.image("GET", "/nothing").status_code == 404
