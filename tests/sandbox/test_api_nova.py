"""What the compute API answers as a real Nova was seen to; each once got it wrong."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.sandbox.http.common import isotime

from ..functional.raw import Box, Caller


def names(answer: requests.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {server["name"] for server in answer.json()["servers"]}


EVERYONE = {"myserver", "check-my-task-state", "web1", "db1"}


# -- the path


def test_the_project_may_be_in_the_path(admin: Caller) -> None:
    listed = admin.get(f"/{admin.project_id}/servers/detail")
    assert names(listed) == EVERYONE
    (link, bookmark) = listed.json()["servers"][0]["links"]
    root = admin.root.removesuffix("/v2.1")
    assert link["href"].startswith(f"{admin.root}/{admin.project_id}/servers/")
    assert bookmark["href"].startswith(f"{root}/{admin.project_id}/servers/")


def test_another_project_may_not(admin: Caller) -> None:
    for project in ("f" * 32, "abc", "-"):
        answer = admin.get(f"/{project}/servers")
        assert answer.status_code == 400
        assert project in answer.json()["badRequest"]["message"]
        assert answer.headers["OpenStack-API-Version"] == "compute 2.1"
    # That is neither an ID nor a path.
    assert admin.get("/somewhere/servers").status_code == 404


def test_the_api_before_microversions(admin: Caller) -> None:
    root = admin.root.replace("v2.1", "v2")
    for path in (root, f"{root}/{admin.project_id}"):
        listed = admin.get(f"{path}/servers", version="2.96")
        assert names(listed) == EVERYONE
        assert "OpenStack-API-Version" not in listed.headers


def test_an_unknown_path_has_no_version(admin: Caller, server: str) -> None:
    for answer in (
        admin.get("/nothing", version="2.9999"),
        admin.get(f"{server}/nothing"),
        admin("PATCH", server),
    ):
        assert answer.status_code == 404
        assert "OpenStack-API-Version" not in answer.headers
        assert "X-Compute-Request-Id" in answer.headers


# -- the query


@pytest.mark.parametrize("path", ["/servers", "/servers/detail", "/flavors", "/limits"])
def test_unknown_words_up_to_a_version(admin: Caller, path: str) -> None:
    assert admin.get(f"{path}?unknown=1", version="2.74").ok
    answer = admin.get(f"{path}?unknown=1", version="2.75")
    assert answer.status_code == 400
    assert "unknown" in answer.json()["badRequest"]["message"]


def test_unknown_words_anywhere_else(admin: Caller, server: str) -> None:
    for path in (server, f"{server}/metadata", "/flavors/1", "/extensions"):
        assert admin.get(f"{path}?unknown=1", version="2.101").ok
        assert admin.get(f"{path}?unknown=1", version="2.102").status_code == 400
        assert admin.get(path, version="2.102").ok


def test_known_words_are_known_at_any_version(admin: Caller) -> None:
    query = (
        "name=myserver&status=ACTIVE&limit=5&sort_key=created_at&RAX-SI:image_schedule="
    )
    for version in ("2.1", "2.75", "2.104"):
        assert names(admin.get(f"/servers?{query}False", version=version)) == {
            "myserver"
        }


@pytest.mark.parametrize(
    "query", ["limit=", "all_tenants=nonsense", "name=(", "changes-since="]
)
def test_queries_that_cannot_be_meant(admin: Caller, query: str) -> None:
    assert admin.get(f"/servers?{query}").status_code == 400


def test_the_last_of_several_counts(admin: Caller) -> None:
    assert names(admin.get("/servers?name=web&name=db")) == {"db1"}
    assert len(names(admin.get("/servers?limit=1&limit=2"))) == 2


def test_changes_before(cloud_box: Box, admin: Caller) -> None:
    early = "2000-01-01T00:00:00Z"
    old = admin.get(f"/servers?changes-before={early}", version="2.65")
    assert names(old) == EVERYONE
    new = admin.get(f"/servers?changes-before={early}", version="2.66")
    assert names(new) == set()
    gone = admin.server_id("web1")
    assert admin.delete(f"/servers/{gone}").ok
    moment = isotime(cloud_box.sandbox.advance("1h"))
    cloud_box.sandbox.advance("1h")
    admin.put(f"/servers/{admin.server_id('db1')}", {"server": {"name": "db2"}})
    # As with changes-since, the deleted ones are among them.
    query = f"/servers?changes-before={moment}"
    assert names(admin.get(query, version="2.66")) == EVERYONE - {"db1"}
    wrong = admin.get(f"{query}&changes-since={moment[:-4]}59Z", version="2.66")
    assert wrong.status_code == 400


def test_locked_ones(admin: Caller, server: str) -> None:
    assert admin.post(f"{server}/action", {"lock": None}).status_code == 202
    assert names(admin.get("/servers?locked=true", version="2.73")) == {"myserver"}
    unlocked = admin.get("/servers?locked=0", version="2.73")
    assert names(unlocked) == EVERYONE - {"myserver"}
    assert names(admin.get("/servers?locked=true", version="2.72")) == EVERYONE
    assert admin.get("/servers?locked=maybe", version="2.73").status_code == 400


def test_no_server_has_a_tag_or_an_address_of_ipv6(admin: Caller) -> None:
    assert names(admin.get("/servers?ip6=fe80", version="2.5")) == set()
    assert names(admin.get("/servers?tags=x", version="2.25")) == EVERYONE
    assert names(admin.get("/servers?tags=x", version="2.26")) == set()
    assert names(admin.get("/servers?not-tags=x", version="2.26")) == EVERYONE


def test_sort_keys_come_and_go(admin: Caller) -> None:
    def status(key: str, version: str) -> int:
        return admin.get(f"/servers?sort_key={key}", version=version).status_code

    for key in ("hostname", "user_id", "terminated_at", "power_state", "progress"):
        assert (status(key, "2.1"), status(key, "2.104")) == (200, 200)
    assert (status("memory_mb", "2.74"), status("memory_mb", "2.75")) == (200, 400)
    assert (status("locked", "2.1"), status("locked", "2.75")) == (200, 200)
    assert (status("host", "2.1"), status("name", "2.1")) == (403, 400)


def test_locked_ones_can_be_sorted(admin: Caller, server: str) -> None:
    def first(version: str) -> str:
        query = "/servers?sort_key=locked&sort_key=display_name"
        listed = admin.get(query, version=version).json()["servers"]
        return str(listed[0]["name"])

    assert admin.post(f"{server}/action", {"lock": None}).status_code == 202
    assert first("2.73") == "myserver"
    # Before, that key does nothing.
    assert first("2.72") == "web1"


# -- servers


def test_a_server_holds_128_metadata_keys(admin: Caller, server: str) -> None:
    def metadata(first: int, number: int) -> dict[str, Any]:
        return {"metadata": {f"k{first + n}": "v" for n in range(number)}}

    path = f"{server}/metadata"
    assert admin.post(path, metadata(0, 129)).status_code == 403
    assert admin.get(path).json()["metadata"] == {}
    assert admin.put(path, metadata(0, 128)).ok
    assert admin.post(path, metadata(127, 1)).ok
    answer = admin.post(path, metadata(128, 1))
    assert answer.status_code == 403
    assert "exceeds 128" in answer.json()["forbidden"]["message"]
    assert len(admin.get(path).json()["metadata"]) == 128
    # So does an image.
    form = {"createImage": {"name": "x", **metadata(0, 129)}}
    assert admin.post(f"{server}/action", form).status_code == 403


def test_shares_and_scheduler_hints_of_new_versions(admin: Caller, server: str) -> None:
    assert admin.get(f"{server}/shares", version="2.96").status_code == 404
    assert admin.get(f"{server}/shares", version="2.97").json() == {"shares": []}
    assert admin.get(f"{server}/shares/1", version="2.97").status_code == 404
    for version, properties in (("2.97", None), ("2.98", {"os_distro": "debian"})):
        image = admin.get(server, version=version).json()["server"]["image"]
        assert image.get("properties") == properties
    shown = admin.get("/servers/detail", version="2.104").json()["servers"]
    assert all(each["scheduler_hints"] == {} for each in shown)


def test_flavors_of_new_versions(admin: Caller) -> None:
    gone = {"rxtx_factor", "OS-FLV-DISABLED:disabled"}
    assert gone <= set(admin.get("/flavors/1", version="2.101").json()["flavor"])
    assert not gone & set(admin.get("/flavors/1", version="2.102").json()["flavor"])
    found = admin.get("/flavors?name=small$", version="2.102").json()["flavors"]
    assert [flavor["name"] for flavor in found] == ["m1.small"]
    assert admin.get("/flavors?name=(", version="2.102").status_code == 400


def test_a_server_is_pinned_to_its_zone(admin: Caller, server: str) -> None:
    key = "pinned_availability_zone"

    def pin(zone: Any, version: str = "2.104") -> requests.Response:
        return admin.put(server, {"server": {key: zone}}, version=version)

    assert pin("nova", "2.103").status_code == 400
    assert pin("elsewhere").status_code == 409
    assert pin(1).status_code == 400
    for zone in ("nova", "nova", None):
        assert pin(zone).json()["server"][key] == zone
        assert admin.get(server, version="2.96").json()["server"][key] == zone
    assert pin("nova").ok
    assert pin("elsewhere").status_code == 409
    made = admin.boot("there", availability_zone="nova")
    shown = admin.get(f"/servers/{made}", version="2.96").json()["server"]
    assert shown[key] == "nova"
    form = {"name": "x", "imageRef": admin.base_image(), "flavorRef": "1"}
    body = {"server": {**form, "availability_zone": "elsewhere"}}
    assert admin.post("/servers", body).status_code == 400


def test_a_backup_of_which_none_is_kept(admin: Caller, server: str) -> None:
    form = {"name": "b", "backup_type": "daily", "rotation": 0}
    made = admin.post(f"{server}/action", {"createBackup": form}, version="2.45")
    assert made.status_code == 202
    assert admin.image("GET", f"/images/{made.json()['image_id']}").status_code == 404
    admin.sandbox.advance("1h")
    old = admin.post(f"{server}/action", {"createBackup": form}, version="2.44")
    assert (old.status_code, old.content) == (202, b"")
    assert "Location" not in old.headers


# -- the rest


def test_limits_tell_what_is_used(admin: Caller) -> None:
    def absolute(version: str) -> dict[str, int]:
        found = admin.get("/limits", version=version).json()["limits"]["absolute"]
        assert isinstance(found, dict)
        return found

    before = absolute("2.57")
    admin.boot("one-more")
    after = absolute("2.57")
    used = {key: after[key] - before[key] for key in after if after != before}
    assert {key: number for key, number in used.items() if number} == {
        "totalInstancesUsed": 1,
        "totalCoresUsed": 1,
        "totalRAMUsed": 512,
    }
    assert "maxImageMeta" in absolute("2.38").keys() - absolute("2.39").keys()
    assert "maxPersonality" in absolute("2.56").keys() - after.keys()
    assert "maxTotalFloatingIps" in absolute("2.35").keys() - absolute("2.36").keys()


def test_operators_views_are_for_no_user(admin: Caller) -> None:
    assert admin.get("/os-services").status_code == 403


def test_kinds_of_content(admin: Caller, server: str) -> None:
    def kind(answer: requests.Response, status: int) -> str:
        assert answer.status_code == status
        return answer.headers["Content-Type"]

    plain, charset = "application/json", "application/json; charset=utf-8"
    assert kind(admin.get(server), 200) == plain
    assert kind(admin.get("/servers/none"), 404) == charset
    assert kind(admin.post(f"{server}/action", {"lock": None}), 202) == plain
    assert kind(admin.post(f"{server}/action", {"unlock": None}), 202) == plain
    assert kind(admin.delete(server), 204) == plain


def test_another_projects_image_is_not_there(cloud_box: Box, admin: Caller) -> None:
    made = admin.image("POST", "/images", json={"name": "mine"}).json()
    assert made["visibility"] == "shared"
    path = f"/images/{made['id']}"
    assert admin.get(path).ok
    stranger = cloud_box.as_("stranger")
    for answer in (stranger.get(path), stranger.delete(path)):
        assert answer.status_code == 404
    body = {"server": {"name": "x", "imageRef": made["id"], "flavorRef": "1"}}
    assert stranger.post("/servers", body).status_code == 400
    assert admin.get(path).ok
