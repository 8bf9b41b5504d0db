"""The compute API as Nova has it: versions, lists, servers, actions, images."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
import requests

from ..functional.raw import Box, Caller, box

# 2026-01-01T00:00:00Z
NEW_YEAR = 1767225600.0
ERRORS = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    409: "conflictingRequest",
    415: "badMediaType",
}


def refused(answer: requests.Response, status: int) -> str:
    """Return the text of an error as Nova writes it."""
    assert answer.status_code == status, answer.text
    (error,) = answer.json().items()
    name, content = error
    assert (name, content["code"]) == (ERRORS[status], status)
    return str(content["message"])


def act(admin: Caller, server: str, action: Any, **more: Any) -> requests.Response:
    return admin.post(f"{server}/action", action, **more)


# -- versions


def test_version_documents_need_no_token(admin: Caller) -> None:
    root = admin.root.removesuffix("/v2.1")
    old, listed = requests.get(f"{root}/", timeout=60).json()["versions"]
    for path in ("", "/"):
        shown = requests.get(admin.root + path, timeout=60).json()["version"]
        assert {k: shown[k] for k in listed if k != "links"} == {
            k: v for k, v in listed.items() if k != "links"
        }
    assert (listed["min_version"], listed["version"]) == ("2.1", "2.104")
    assert listed["links"][0]["href"] == f"{admin.root}/"
    assert (old["id"], old["status"], old["version"]) == ("v2.0", "DEPRECATED", "")
    shown = requests.get(old["links"][0]["href"], timeout=60).json()["version"]
    assert shown["id"] == "v2.0"


@pytest.mark.parametrize(
    ("asked", "got"),
    [(None, "2.1"), ("2.1", "2.1"), ("2.53", "2.53"), ("latest", "2.104")],
)
@pytest.mark.parametrize("old", [False, True])
def test_negotiation(admin: Caller, asked: str | None, got: str, old: bool) -> None:
    headers = {}
    if asked:
        name = "X-OpenStack-Nova-API-Version" if old else "OpenStack-API-Version"
        headers[name] = asked if old else f"compute {asked}"
    answer = admin.get("/servers", headers=headers)
    assert answer.headers["OpenStack-API-Version"] == f"compute {got}"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == got
    assert "OpenStack-API-Version" in answer.headers["Vary"]


def test_the_newer_header_wins_and_other_services_do_not_count(admin: Caller) -> None:
    headers = {"OpenStack-API-Version": "compute 2.30, volume 3.1"}
    old = {"X-OpenStack-Nova-API-Version": "2.20"}
    both = admin.get("/servers", headers={**headers, **old})
    assert both.headers["X-OpenStack-Nova-API-Version"] == "2.30"
    other = admin.get(
        "/servers", headers={"OpenStack-API-Version": "volume 3.1", **old}
    )
    assert other.headers["X-OpenStack-Nova-API-Version"] == "2.20"


@pytest.mark.parametrize("version", ["2.0", "1.1", "2.105", "3.0", "2.999"])
def test_versions_that_are_not_there(admin: Caller, version: str) -> None:
    answer = admin.get("/servers", version=version)
    assert answer.status_code == 406
    assert version in answer.json()["computeFault"]["message"]
    assert answer.headers["OpenStack-API-Version"] == f"compute {version}"


@pytest.mark.parametrize("version", ["two", "2", "2.01", "-2.1", "2.1.1"])
def test_versions_that_are_none(admin: Caller, version: str) -> None:
    assert "invalid format" in refused(admin.get("/servers", version=version), 400)


# -- what a server looks like

SINCE = {
    "locked": (2, 9),
    "description": (2, 19),
    "tags": (2, 26),
    "trusted_image_certificates": (2, 63),
    "server_groups": (2, 71),
    "locked_reason": (2, 73),
    "OS-EXT-SRV-ATTR:hostname": (2, 90),
    "pinned_availability_zone": (2, 96),
    "scheduler_hints": (2, 100),
}
ALWAYS = {
    "id name status tenant_id user_id metadata hostId image flavor created updated"
    " addresses accessIPv4 accessIPv6 links OS-DCF:diskConfig progress config_drive"
    " OS-EXT-AZ:availability_zone key_name OS-SRV-USG:launched_at"
    " OS-SRV-USG:terminated_at OS-EXT-STS:task_state OS-EXT-STS:vm_state"
    " OS-EXT-STS:power_state os-extended-volumes:volumes_attached security_groups"
}
VERSIONS = ["2.1", "2.8", "2.9", "2.16", "2.18", "2.19", "2.25", "2.26", "2.46", "2.47"]
VERSIONS += ["2.62", "2.63", "2.70", "2.71", "2.72", "2.73", "2.89", "2.90", "2.95"]


@pytest.mark.parametrize("version", [*VERSIONS, "2.96"])
def test_keys_of_a_server(admin: Caller, server: str, version: str) -> None:
    number = tuple(map(int, version.split(".")))
    wanted = {key for text in ALWAYS for key in text.split()}
    wanted |= {key for key, first in SINCE.items() if number >= first}
    shown = admin.get(server, version=version).json()["server"]
    assert set(shown) == wanted
    listed = admin.get("/servers/detail", version=version).json()["servers"][0]
    assert set(listed) == wanted - {"server_groups"}
    flavor = shown["flavor"]
    assert ("original_name" in flavor) == (number >= (2, 47)) == ("id" not in flavor)
    changed = admin.put(server, {"server": {"name": "myserver"}}, version=version)
    less = {k for k in wanted if k.startswith(("OS-EXT-", "OS-SRV-", "os-ext"))}
    less |= {"config_drive", "key_name", "security_groups"}
    less -= {"OS-EXT-SRV-ATTR:hostname"}
    assert set(changed.json()["server"]) == wanted - (
        less if number < (2, 75) else set()
    )


def test_values_of_a_server(cloud_box: Box) -> None:
    admin = cloud_box.admin
    shown = admin.get(f"/servers/{admin.server_id()}").json()["server"]
    assert shown["id"] == "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
    polled = admin.server_id("check-my-task-state")
    assert polled == "933e803f-13b0-4698-a5c7-f74ec424fd38"
    assert shown["tenant_id"] == admin.project_id
    assert (shown["status"], shown["OS-EXT-STS:vm_state"]) == ("ACTIVE", "active")
    assert (shown["OS-EXT-STS:task_state"], shown["OS-EXT-STS:power_state"]) == (
        None,
        1,
    )
    assert shown["image"]["id"] == admin.base_image()
    assert shown["links"] == [
        {"rel": "self", "href": f"{admin.root}/servers/{shown['id']}"},
        {
            "rel": "bookmark",
            "href": f"{cloud_box.sandbox.url}/compute/servers/{shown['id']}",
        },
    ]
    for stamp in ("created", "updated"):
        assert len(shown[stamp]) == len("2013-03-20T00:00:00Z")


# -- lists


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [server["name"] for server in answer.json()["servers"]]


@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages(admin: Caller, path: str, limit: int) -> None:
    whole = names(admin.get(path))
    seen, sizes, url = [], [], f"{path}?limit={limit}&status=ACTIVE"
    while url:
        page = admin.get(url)
        seen += names(page)
        sizes.append(len(names(page)))
        links = page.json().get("servers_links", [])
        url = links[0]["href"] if links else ""
        assert not url or "status=ACTIVE" in url
    assert seen == whole
    # A full page always has a next one, though it may be empty.
    assert sizes[:-1] == [limit] * (len(sizes) - 1)
    assert sizes[-1] < limit


def test_page_limits() -> None:
    with box("openstack", servers=5, max_limit=3) as small:
        page = small.admin.get("/servers?limit=100").json()
        assert (len(page["servers"]), len(page["servers_links"])) == (3, 1)
        assert len(small.admin.get("/servers").json()["servers"]) == 3
        nothing = small.admin.get("/servers?limit=0").json()
        assert nothing == {"servers": []}


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=abc",
        "limit=1.5",
        "marker=nothing",
        "changes-since=yesterday",
        "changes-since=",
        "name=*",
        "name=(",
        "sort_key=color",
        "sort_dir=up",
        "sort_key=created_at&sort_dir=",
    ],
)
@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_lists_refuse(admin: Caller, path: str, query: str) -> None:
    assert refused(admin.get(f"{path}?{query}"), 400)


def test_filters(admin: Caller) -> None:
    base = admin.base_image()
    everyone = ["check-my-task-state", "db1", "myserver", "web1"]
    act(admin, f"/servers/{admin.server_id('db1')}", {"os-stop": None})
    for query, wanted in (
        ("name=web", ["web1"]),
        ("name=^web$", []),
        ("name=" + quote("^(web|db)1$"), ["db1", "web1"]),
        ("status=ACTIVE", ["check-my-task-state", "myserver", "web1"]),
        ("status=shutoff", ["db1"]),
        ("status=shutoff&status=active", everyone),
        ("status=ERROR", []),
        ("status=nonsense", []),
        (f"image={base}", [name for name in everyone if name != "db1"]),
        ("image=other", []),
        ("flavor=2", everyone),
        ("flavor=1", []),
        ("flavor=none", []),
        ("all_tenants=0", everyone),
        ("unknown=1&tenant_id=x&deleted=True&host=y", everyone),
    ):
        assert sorted(names(admin.get(f"/servers?{query}"))) == wanted, query
    assert "Invalid status" in refused(
        admin.get("/servers?status=nonsense", version="2.38"), 400
    )
    assert refused(admin.get("/servers?status=deleted"), 403)
    for value in ("1", "True", ""):
        message = refused(admin.get(f"/servers/detail?all_tenants={value}"), 403)
        assert "servers:detail:get_all_tenants" in message


def test_order(cloud_box: Box) -> None:
    admin = cloud_box.admin
    cloud_box.sandbox.advance("1h")
    admin.boot("a-later-one")
    assert names(admin.get("/servers"))[0] == "a-later-one"
    assert names(admin.get("/servers?sort_key=created_at&sort_dir=asc"))[-1] == (
        "a-later-one"
    )
    ascending = names(admin.get("/servers?sort_key=display_name&sort_dir=asc"))
    assert ascending == sorted(ascending)
    first = admin.get("/servers?sort_key=display_name&limit=2")
    second = admin.get(first.json()["servers_links"][0]["href"])
    assert names(first) + names(second) == ascending[:0:-1]


@pytest.mark.parametrize(
    "order",
    [
        "",
        "sort_key=display_name&sort_dir=asc",
        "sort_key=created_at&sort_key=display_name&sort_dir=asc&sort_dir=desc",
        "sort_key=vm_state&sort_key=display_name&sort_dir=desc&sort_dir=asc",
        # One that no server has.
        "sort_key=terminated_at&sort_key=created_at&sort_dir=asc&sort_dir=desc",
    ],
)
def test_pages_have_all_servers_once_and_in_order(admin: Caller, order: str) -> None:
    act(admin, f"/servers/{admin.server_id('db1')}", {"os-stop": None})
    whole = names(admin.get(f"/servers?{order}"))
    found = names(admin.get(f"/servers?{order}&limit=1"))
    # Nova's links forget all sort keys but one.
    while page := admin.get(
        f"/servers?{order}&limit=1&marker={admin.server_id(found[-1])}"
    ).json()["servers"]:
        found.append(page[0]["name"])
    assert found == whole
    assert len(whole) == 4


def test_changes_since() -> None:
    with box("openstack", start=NEW_YEAR) as made:
        admin = made.admin
        made.sandbox.advance("1h")
        assert admin.delete(f"/servers/{admin.server_id('db1')}").status_code == 204
        made.sandbox.advance("1h")
        act(admin, f"/servers/{admin.server_id('web1')}", {"os-stop": None})
        assert "db1" not in names(admin.get("/servers"))
        path = "/servers/detail?changes-since=2026-01-01T01:00:00Z"
        changed = admin.get(path).json()["servers"]
        found = {s["name"]: s["status"] for s in changed}
        assert found == {"db1": "DELETED", "web1": "SHUTOFF"}
        gone = next(s for s in changed if s["name"] == "db1")
        assert gone["OS-SRV-USG:terminated_at"] == "2026-01-01T01:00:00.000000"
        for text, count in (
            ("2026-01-01T01:00:00", 2),
            ("2026-01-01 01:00:00", 2),
            ("2026-01-01T02:00:00%2B01:00", 2),
            ("2026-01-01T00:00:00-0100", 2),
            ("2026-01-01T01:00:01Z", 1),
            ("2026-01-01T02:00:01Z", 0),
            ("2025-12-31T23:59:59.5Z", 4),
        ):
            answer = admin.get(f"/servers?changes-since={text}")
            assert len(names(answer)) == count, text


# -- servers


def test_boot_and_delete(admin: Caller) -> None:
    wanted = {"name": "new", "imageRef": admin.base_image(), "flavorRef": 1}
    answer = admin.post("/servers", {"server": {**wanted, "metadata": {"a": "b"}}})
    assert answer.status_code == 202
    made = answer.json()["server"]
    assert set(made) == {
        "id",
        "links",
        "OS-DCF:diskConfig",
        "security_groups",
        "adminPass",
    }
    assert answer.headers["Location"] == made["links"][0]["href"]
    shown = admin.get(f"/servers/{made['id']}").json()["server"]
    assert (shown["name"], shown["status"], shown["metadata"]) == (
        "new",
        "ACTIVE",
        {"a": "b"},
    )
    gone = admin.delete(f"/servers/{made['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert admin.get(f"/servers/{made['id']}").status_code == 404
    assert admin.delete(f"/servers/{made['id']}").status_code == 404


def test_boot_several(admin: Caller) -> None:
    wanted = {"name": "n", "imageRef": admin.base_image(), "flavorRef": "1"}
    several = {**wanted, "min_count": 2, "max_count": 3, "return_reservation_id": True}
    answer = admin.post("/servers", {"server": several})
    assert (answer.status_code, set(answer.json())) == (202, {"reservation_id"})
    assert {"n-1", "n-2", "n-3"} < set(names(admin.get("/servers")))


@pytest.mark.parametrize("networks", ["auto", "none", []])
def test_networks_must_be_named_from_2_37(admin: Caller, networks: Any) -> None:
    wanted = {"name": "n", "imageRef": admin.base_image(), "flavorRef": "1"}
    missing = admin.post("/servers", {"server": wanted}, version="2.37")
    assert "networks" in refused(missing, 400)
    with_them = {"server": {**wanted, "networks": networks}}
    assert admin.post("/servers", with_them, version="2.37").status_code == 202
    before = admin.post("/servers", with_them, version="2.36").status_code
    assert before == (202 if isinstance(networks, list) else 400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " x"},
        {"name": "x" * 256},
        {"name": None},
        {"name": 5},
        {"name": "a\nb"},
        {"imageRef": "00000000-dead-4bad-8bad-000000000000"},
        {"imageRef": ""},
        {"flavorRef": "99"},
        {"flavorRef": None},
        {"metadata": []},
        {"metadata": {"a/b": "x"}},
        {"metadata": {"k" * 256: "x"}},
        {"metadata": {"ä": "x"}},
        {"metadata": {"a": "x" * 256}},
        {"metadata": {"a": 1}},
        {"min_count": 0},
        {"min_count": "x"},
        {"min_count": 3, "max_count": 2},
        {"key_name": "unknown"},
        {"colour": "red"},
        {"description": "not before 2.19"},
    ],
)
def test_boot_refuses(admin: Caller, wrong: dict[str, Any]) -> None:
    before = names(admin.get("/servers"))
    wanted = {"name": "n", "imageRef": admin.base_image(), "flavorRef": "1", **wrong}
    assert refused(admin.post("/servers", {"server": wanted}), 400)
    for key in ("name", "imageRef", "flavorRef"):
        less = {k: v for k, v in wanted.items() if k != key}
        assert refused(admin.post("/servers", {"server": less}), 400)
    assert names(admin.get("/servers")) == before


def test_names_of_any_letters(admin: Caller) -> None:
    for name in ("x" * 255, "Übermut 日本語 🐧", "a%b_c'd\"e\\f"):
        server_id = admin.boot(name)
        shown = admin.get(f"/servers/{server_id}").json()["server"]
        assert shown["name"] == name
        pattern = quote(f"^{re.escape(name)}$", safe="")
        assert names(admin.get(f"/servers?name={pattern}")) == [name]


def test_an_image_not_active_boots_nothing(admin: Caller, server: str) -> None:
    image = admin.snapshot(admin.server_id(), "unfinished")
    wanted = {"name": "n", "imageRef": image, "flavorRef": "1"}
    assert "not active" in refused(admin.post("/servers", {"server": wanted}), 400)


def test_update(admin: Caller, server: str) -> None:
    changed = admin.put(server, {"server": {"name": "other"}}).json()["server"]
    assert changed["name"] == "other"
    body = {"server": {"description": "why"}}
    assert refused(admin.put(server, body, version="2.18"), 400)
    changed = admin.put(server, body, version="2.19").json()["server"]
    assert (changed["name"], changed["description"]) == ("other", "why")
    changed = admin.put(server, {"server": {"description": None}}, version="2.19")
    assert changed.json()["server"]["description"] is None
    for wrong in ({"name": ""}, {"name": " a"}, {"id": "x"}, {"description": 5}):
        assert refused(admin.put(server, {"server": wrong}, version="2.19"), 400)


def test_metadata(admin: Caller, server: str) -> None:
    path = f"{server}/metadata"
    assert admin.get(path).json() == {"metadata": {}}
    added = admin.post(path, {"metadata": {"a": "1", "b": "2"}})
    assert (added.status_code, added.json()) == (
        200,
        {"metadata": {"a": "1", "b": "2"}},
    )
    assert admin.put(f"{path}/a", {"meta": {"a": "9"}}).json() == {"meta": {"a": "9"}}
    assert admin.get(f"{path}/a").json() == {"meta": {"a": "9"}}
    assert refused(admin.put(f"{path}/a", {"meta": {"b": "9"}}), 400)
    assert refused(admin.put(f"{path}/a", {"meta": {"a": "9", "b": "9"}}), 400)
    assert refused(admin.post(path, {"metadata": {"a/b": "9"}}), 400)
    assert admin.delete(f"{path}/a").status_code == 204
    assert refused(admin.delete(f"{path}/a"), 404)
    assert refused(admin.get(f"{path}/a"), 404)
    assert admin.put(path, {"metadata": {"c": "3"}}).json() == {"metadata": {"c": "3"}}
    assert admin.get(server).json()["server"]["metadata"] == {"c": "3"}


# -- actions


def test_create_image_and_the_conflict(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    server = f"/servers/{admin.server_id()}"
    action = {"createImage": {"name": "one", "metadata": {"purpose": "test"}}}
    old = act(admin, server, action)
    assert (old.status_code, old.content) == (202, b"")
    image_id = old.headers["Location"].rpartition("/")[2]
    states = set()
    while state := admin.get(server).json()["server"]["OS-EXT-STS:task_state"]:
        states.add(state)
        message = refused(act(admin, server, action), 409)
        assert f"task_state {state}" in message
        sandbox.advance(1)
    assert states == {
        "image_snapshot_pending",
        "image_snapshot",
        "image_pending_upload",
        "image_uploading",
    }
    image = admin.image("GET", f"/images/{image_id}").json()
    assert (image["status"], image["purpose"]) == ("active", "test")
    assert image["image_type"] == "snapshot"
    new = act(admin, server, action, version="2.45")
    assert (new.status_code, set(new.json())) == (202, {"image_id"})
    assert "Location" not in new.headers
    assert admin.image("GET", f"/images/{new.json()['image_id']}").status_code == 200


def test_backups_rotate(cloud_box: Box) -> None:
    admin = cloud_box.admin
    server = f"/servers/{admin.server_id()}"
    made = []
    for number in range(3):
        wanted = {"name": f"b{number}", "backup_type": "daily", "rotation": "2"}
        answer = act(admin, server, {"createBackup": wanted}, version="2.45")
        assert answer.status_code == 202
        made.append(answer.json()["image_id"])
        state = admin.get(server).json()["server"]["OS-EXT-STS:task_state"]
        assert state == "image_backup"
        cloud_box.sandbox.advance("10m")
    left = admin.image("GET", "/images?backup_type=daily").json()["images"]
    assert [image["id"] for image in left] == made[:0:-1]


def test_power(admin: Caller, server: str) -> None:
    def shown() -> tuple[Any, ...]:
        now = admin.get(server).json()["server"]
        return now["status"], now["OS-EXT-STS:vm_state"], now["OS-EXT-STS:power_state"]

    assert act(admin, server, {"os-stop": None}).status_code == 202
    assert shown() == ("SHUTOFF", "stopped", 4)
    assert "vm_state stopped" in refused(act(admin, server, {"os-stop": None}), 409)
    assert refused(act(admin, server, {"reboot": {"type": "SOFT"}}), 409)
    # A stopped server can be snapshot.
    stopped = act(admin, server, {"createImage": {"name": "cold"}})
    assert stopped.status_code == 202
    # But while that is under way, it is neither started nor stopped.
    text = refused(act(admin, server, {"os-start": None}), 409)
    assert "task_state image_snapshot_pending" in text
    admin.sandbox.advance("5m")
    assert act(admin, server, {"os-start": None}).status_code == 202
    assert act(admin, server, {"createImage": {"name": "warm"}}).status_code == 202
    assert "task_state" in refused(act(admin, server, {"os-stop": None}), 409)
    admin.sandbox.advance("5m")
    assert shown() == ("ACTIVE", "active", 1)
    assert refused(act(admin, server, {"os-start": None}), 409)


def test_reset_state_is_for_admins(cloud_box: Box) -> None:
    admin, creator = cloud_box.admin, cloud_box.as_("creator")
    server = f"/servers/{admin.server_id()}"
    error = {"os-resetState": {"state": "error"}}
    assert "reset_state" in refused(act(creator, server, error), 403)
    assert act(admin, server, error).status_code == 202
    assert admin.get(server).json()["server"]["status"] == "ERROR"
    assert refused(act(admin, server, {"createImage": {"name": "x"}}), 409)
    assert act(admin, server, {"os-resetState": {"state": "active"}}).ok
    assert admin.get(server).json()["server"]["status"] == "ACTIVE"
    assert refused(act(admin, server, {"os-resetState": {"state": "new"}}), 400)


def test_locks_hold_up_all_but_admins(cloud_box: Box) -> None:
    admin, creator = cloud_box.admin, cloud_box.as_("creator")
    server = f"/servers/{admin.server_id()}"
    assert act(creator, server, {"lock": None}).status_code == 202
    assert admin.get(server, version="2.9").json()["server"]["locked"] is True
    assert "is locked" in refused(act(creator, server, {"os-stop": None}), 409)
    assert refused(creator.delete(server), 409)
    assert refused(creator.post(f"{server}/metadata", {"metadata": {"a": "b"}}), 409)
    # Snapshots are not held up.
    assert act(creator, server, {"createImage": {"name": "x"}}).status_code == 202
    assert act(creator, server, {"unlock": None}).status_code == 202
    assert creator.delete(server).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"dance": {}},
        {"os-stop": None, "os-start": None},
        {"createImage": None},
        {"createImage": {}},
        {"createImage": {"name": ""}},
        {"createImage": {"name": "x" * 256}},
        {"createImage": {"name": "x", "metadata": {"a/b": "c"}}},
        {"createImage": {"name": "x", "metadata": {"a": None}}},
        {"createImage": {"name": "x", "when": "now"}},
        {"createBackup": {"name": "x", "backup_type": "daily"}},
        {"createBackup": {"name": "x", "backup_type": 1, "rotation": 1}},
        {"createBackup": {"name": "x", "backup_type": "d", "rotation": -1}},
        {"createBackup": {"name": "x", "backup_type": "d", "rotation": "many"}},
        {"reboot": {"type": "KICK"}},
    ],
)
def test_actions_refuse(admin: Caller, server: str, body: Any) -> None:
    assert refused(act(admin, server, body), 400)
    assert admin.get(server).json()["server"]["OS-EXT-STS:task_state"] is None


def test_actions_on_nothing(admin: Caller) -> None:
    message = refused(act(admin, "/servers/none", {"os-stop": None}), 404)
    assert message == "Instance none could not be found."


def test_history(cloud_box: Box) -> None:
    admin = cloud_box.admin
    server_id = admin.server_id()
    admin.snapshot(server_id, "one")
    path = f"/servers/{server_id}/os-instance-actions"
    newest, first = admin.get(path).json()["instanceActions"]
    assert (newest["action"], first["action"]) == ("createImage", "create")
    assert "updated_at" not in newest
    shown = admin.get(f"{path}/{newest['request_id']}", version="2.58").json()
    assert shown["instanceAction"]["events"][0]["result"] is None
    cloud_box.sandbox.advance("10m")
    shown = admin.get(f"{path}/{newest['request_id']}", version="2.84").json()
    assert shown["instanceAction"]["events"][0]["result"] == "Success"
    assert refused(admin.get(f"{path}/req-none"), 404)
    admin.delete(f"/servers/{server_id}")
    assert refused(admin.get(path), 404)
    assert admin.get(path, version="2.21").status_code == 200


# -- the rest


def test_flavors_and_limits(admin: Caller) -> None:
    flavors = admin.get("/flavors").json()["flavors"]
    assert set(flavors[0]) == {"id", "name", "links"}
    detail = admin.get("/flavors/detail").json()["flavors"]
    assert [flavor["id"] for flavor in detail] == [flavor["id"] for flavor in flavors]
    one = admin.get(f"/flavors/{flavors[0]['id']}", version="2.61").json()["flavor"]
    assert (one["extra_specs"], one["description"]) == ({}, None)
    assert refused(admin.get("/flavors/none"), 404)
    page = admin.get(f"/flavors?limit=1&marker={flavors[0]['id']}").json()["flavors"]
    assert page == flavors[1:2]
    assert admin.get("/limits").json()["limits"]["absolute"]["maxTotalInstances"]


def test_every_answer_has_its_request_id(admin: Caller) -> None:
    seen = set()
    for path in ("/servers", "/servers/none", "/nothing", ""):
        headers = admin.get(path).headers
        assert headers["X-Compute-Request-Id"].startswith("req-")
        assert headers["X-Compute-Request-Id"] == headers["x-openstack-request-id"]
        seen.add(headers["X-Compute-Request-Id"])
    assert len(seen) == 4


def test_paths_and_methods_that_are_not_there(admin: Caller, server: str) -> None:
    for method, path in (
        ("GET", "/nothing"),
        ("GET", f"{server}/nothing"),
        ("PATCH", server),
        ("DELETE", "/servers"),
        ("PUT", f"{server}/rax-si-image-schedule"),
    ):
        answer = admin(method, path, headers={"Accept": "*/*"})
        assert (answer.status_code, answer.headers["Content-Type"][:9]) == (
            404,
            "text/html",
        )
        assert admin(method, path).json()["code"] == "404 Not Found"
        without = admin(method, path, headers={"X-Auth-Token": "bad"})
        assert without.status_code == 401
    assert requests.get(f"{admin.sandbox.url}/other", timeout=60).status_code == 404


def test_other_content_types(admin: Caller) -> None:
    headers = {"Content-Type": "application/xml"}
    answer = admin("POST", "/servers", data="<server/>", headers=headers)
    assert refused(answer, 415) == "Unsupported Content-Type"


# -- the proxy to the images


def test_the_proxy_ends_with_its_versions(admin: Caller) -> None:
    image = f"/images/{admin.base_image()}"
    for path, last in (
        ("/images", 35),
        ("/images/detail", 35),
        (image, 35),
        (f"{image}/metadata", 38),
    ):
        assert admin.get(path, version=f"2.{last}").status_code == 200
        assert refused(admin.get(path, version=f"2.{last + 1}"), 404)


def test_what_the_proxy_shows(cloud_box: Box) -> None:
    admin = cloud_box.admin
    server_id = admin.server_id()
    image_id = admin.snapshot(server_id, "one")
    shown = admin.get(f"/images/{image_id}").json()["image"]
    assert (shown["status"], shown["progress"]) == ("SAVING", 25)
    cloud_box.sandbox.advance("10m")
    shown = admin.get(f"/images/{image_id}").json()["image"]
    assert (shown["status"], shown["progress"]) == ("ACTIVE", 100)
    assert shown["server"]["id"] == server_id
    assert shown["metadata"]["image_type"] == "snapshot"
    assert set(shown) == {
        "id",
        "name",
        "status",
        "progress",
        "created",
        "updated",
        "minDisk",
        "minRam",
        "metadata",
        "OS-EXT-IMG-SIZE:size",
        "server",
        "links",
    }
    assert set(admin.get("/images").json()["images"][0]) == {"id", "name", "links"}


def image_names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [image["name"] for image in answer.json()["images"]]


def test_filters_of_the_proxy(cloud_box: Box) -> None:
    admin = cloud_box.admin
    mine = admin.server_id()
    marker = "org.openstack__1__created_by"
    admin.snapshot(mine, "one", **{marker: "scheduled_images_service"})
    cloud_box.sandbox.advance("1h")
    admin.snapshot(admin.server_id("web1"), "two")
    base = "Debian 12 (Bookworm)"
    later = admin.get("/images/detail?name=two").json()["images"][0]["created"]
    for query, wanted in (
        ("", ["two", "one", base]),
        (f"server={mine}", ["one"]),
        (f"server={quote(admin.root + '/servers/' + mine, safe='')}", ["one"]),
        ("type=snapshot", ["two", "one"]),
        ("status=active", ["one", base]),
        ("status=ACTIVE", ["one", base]),
        ("name=two", ["two"]),
        (f"property-instance_uuid={mine}", ["one"]),
        ("property-image_type=snapshot&name=one", ["one"]),
        (f"changes-since={later}", ["two"]),
        ("limit=1", ["two"]),
        ("minDisk=1", [base]),
        ("unknown=1", ["two", "one", base]),
        # As Nova does: the key is mutilated, and so nothing matches.
        (f"property-{marker}=scheduled_images_service", []),
    ):
        assert image_names(admin.get(f"/images?{query}")) == wanted, query
    page = admin.get("/images?limit=1").json()
    second = admin.get(page["images_links"][0]["href"])
    assert image_names(second) == ["one"]
    for wrong in ("limit=x", "marker=none", "changes-since=never"):
        assert refused(admin.get(f"/images?{wrong}"), 400)


def test_only_rackspace_limits_the_proxys_pages() -> None:
    for like, whole in (("openstack", 11), ("rackspace", 3)):
        with box(like, servers=5, images_per_server=2, max_limit=3) as made:
            admin = made.admin
            assert len(image_names(admin.get("/images"))) == whole
            assert len(image_names(admin.get("/images?limit=0"))) == whole
            assert len(image_names(admin.get("/images?limit=5"))) == min(5, whole)
            assert len(image_names(admin.get("/images?limit=2"))) == 2


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_image_metadata_through_the_proxy(like: str) -> None:
    with box(like) as made:
        admin = made.admin
        image_id = admin.snapshot(admin.server_id(), "one")
        path = f"/images/{image_id}/metadata"
        before = admin.get(path).json()["metadata"]
        assert before["instance_uuid"] == admin.server_id()
        added = admin.post(path, {"metadata": {"a": "1"}}).json()["metadata"]
        assert added == {**before, "a": "1"}
        assert admin.put(f"{path}/a", {"meta": {"a": "2"}}).json() == {
            "meta": {"a": "2"}
        }
        assert admin.get(f"{path}/a").json() == {"meta": {"a": "2"}}
        assert refused(admin.put(f"{path}/a", {"meta": {"b": "2"}}), 400)
        assert refused(admin.post(path, {"metadata": {"ä": "2"}}), 400)
        assert admin.delete(f"{path}/a").status_code == 204
        assert refused(admin.delete(f"{path}/a"), 404) == "Invalid metadata key"
        assert admin.put(path, {"metadata": {"z": "9"}}).json()["metadata"] == {
            "z": "9"
        }
        assert admin.image("GET", f"/images/{image_id}").json()["z"] == "9"
        assert admin.delete(f"/images/{image_id}").status_code == 204
        assert refused(admin.delete(f"/images/{image_id}"), 404)


def test_the_proxy_keeps_others_images(cloud_box: Box) -> None:
    admin = cloud_box.admin
    assert refused(admin.delete(f"/images/{admin.base_image()}"), 403)
    protected = admin.snapshot(admin.server_id(), "one")
    admin.patch(protected, {"op": "replace", "path": "/protected", "value": True})
    assert refused(admin.delete(f"/images/{protected}"), 403)
    stranger = cloud_box.as_("stranger")
    assert refused(stranger.get(f"/images/{protected}"), 404)
