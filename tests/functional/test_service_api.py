"""The extension's API before a plain OpenStack: what its clients and others see."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox

from .. import novashell
from ..novashell import Nova
from ..serviceshell import Service
from .clouds import PROXIED, PROXIED_ROLES
from .fleet import MYSERVER, NOBODY, id_of
from .raw import Box, Caller
from .runners import advance_to_slot, made

OLD = "rax_scheduled_images_python_novaclient_ext"
OLD_CLIENT = Path(os.environ.get("OLD_CLIENT_PATH", "/nonexistent"))
SERVER = f"/servers/{MYSERVER}"
SCHEDULE = f"{SERVER}/rax-si-image-schedule"
ATTRIBUTE = "RAX-SI:image_schedule"
FILTER = "RAX-SI%3Aimage_schedule"
MARKER = "scheduled-images"
# Around each version in which servers or their filters have changed, up to tags.
OLDER = ("2.1", "2.2", "2.3", "2.5", "2.8", "2.9", "2.16", "2.18", "2.19", "2.25")
NEWER = ("2.26", "2.52", "2.74", "2.75", "2.96", "latest")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cloud" in metafunc.fixturenames:
        wanted = PROXIED_ROLES if metafunc.cls is TestRackspaceRoles else PROXIED
        metafunc.parametrize("cloud", [wanted], indirect=True)


@pytest.fixture
def direct(cloud: Sandbox, admin: Caller) -> Iterator[Caller]:
    """The same user, without the API."""
    with requests.Session() as session:
        caller = Caller(cloud, "admin", session)
        caller.root = f"{cloud.url}/compute/v2.1"
        yield caller


def enable(
    caller: Caller, retention: int = 7, server: str = SERVER, **more: Any
) -> None:
    wanted = {"image_schedule": {"retention": retention, **more}}
    answer = caller.post(f"{server}/rax-si-image-schedule", wanted)
    assert (answer.status_code, answer.json()) == (200, wanted)


def tags(cloud: Sandbox, server: str = MYSERVER) -> list[str]:
    """The tags that a server has."""
    with cloud.region() as region:
        return sorted(region.servers.get(server).tags)


def set_tags(cloud: Sandbox, *names: str) -> None:
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, names)


# -- clients


def test_this_packages_commands(nova: Nova, cloud: Sandbox) -> None:
    assert nova.ok("scheduled-images-enable", "myserver", "7") == ""
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:7"]
    changed = nova("scheduled-images-update", "--day-of-week", "sat", "myserver")
    assert (changed.status, changed.out) == (0, "")
    shown = "Schedule type: Weekly on: SATURDAY\nRetention: 7\n"
    assert nova.ok("scheduled-images-show", "myserver") == shown
    listed = json.loads(nova.ok("scheduled-images-list", "--format", "json"))
    kinds = {row["server"]: row["schedule"] for row in listed}
    assert kinds.pop("myserver") == "weekly"
    assert set(kinds.values()) == {None}
    (row,) = json.loads(
        nova.ok("scheduled-images-list", "--enabled", "--format", "json")
    )
    assert (row["server"], row["retention"]) == ("myserver", 7)
    nova.ok("scheduled-images-disable", "--all")
    assert tags(cloud) == [f"{MARKER}:off"]
    off = nova("scheduled-images-show", "myserver")
    line = f"Scheduled images not enabled for server {MYSERVER} (HTTP 404)"
    assert (off.status, off.err) == (1, f"ERROR (NotFound): {line}\n")


@pytest.fixture
def old_nova(nova: Nova, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nova]:
    """A ``nova`` that has the old client for its only extension."""
    if not (OLD_CLIENT / OLD).is_dir():
        pytest.skip("OLD_CLIENT_PATH names no directory with the old client")
    monkeypatch.syspath_prepend(str(OLD_CLIENT))
    found = [(OLD, importlib.import_module(OLD))]
    for name, extensions in (
        ("_discover_via_python_path", []),
        ("_discover_via_entry_points", found),
    ):
        monkeypatch.setitem(novashell.FINDING, name, lambda each=extensions: each)
    yield nova
    # Ours would tell every later `nova` of this process that it is there.
    for name in [each for each in sys.modules if each.partition(".")[0] == OLD]:
        del sys.modules[name]


def test_the_old_client(old_nova: Nova, cloud: Sandbox) -> None:
    def run(*argv: str) -> str:
        return old_nova.ok(*argv)

    assert run("scheduled-images-enable", "myserver", "7") == ""
    assert run("scheduled-images-show", "myserver") == (
        "Schedule type: Daily\nRetention: 7\n"
    )
    run("scheduled-images-enable", "myserver", "4", "--day-of-week", "saturday")
    assert run("scheduled-images-show", "myserver") == (
        "Schedule type: Weekly on: SATURDAY\nRetention: 4\n"
    )
    assert tags(cloud) == [MARKER, f"{MARKER}:weekly-saturday:4"]
    assert run("scheduled-images-disable", "myserver") == ""
    assert tags(cloud) == [f"{MARKER}:off"]
    off = old_nova("scheduled-images-show", "myserver")
    assert (off.status, off.out) == (1, "")
    assert f"Scheduled images not enabled for server {MYSERVER}" in off.err


def test_the_service_makes_what_the_api_was_asked_for(
    admin: Caller, cloud: Sandbox
) -> None:
    enable(admin, 1)
    service = Service(cloud)
    (row,) = json.loads(service.ok("plan", "--all", "--format", "json"))
    assert (row["id"], row["action"]) == (MYSERVER, "nothing")
    advance_to_slot(cloud)
    assert " INFO image started " in service("tick").err
    cloud.advance("5m")
    assert " INFO retention applied " in service("tick").err
    assert len(made(cloud)) == 1


def test_the_service_reports_malformed_schedules(cloud: Sandbox) -> None:
    set_tags(cloud, MARKER, f"{MARKER}:daily:0")
    status = Service(cloud)("status", "--format", "json")
    (row,) = json.loads(status.out)
    assert (status.status, row["state"]) == (3, "invalid")


# -- versions


# What may be asked for of servers, and of other things.
PATHS = (
    "/servers",
    "/servers/detail",
    "/servers/detail?limit=2",
    "/servers/detail?name=web&status=ACTIVE",
    "/servers/detail?tags=none",
    "/servers/detail?not-tags=none&limit=1",
    "/servers/detail?ip6=1::1",
    "/servers/detail?colour=red",
    "/servers/detail?limit=-1",
    "/servers/detail?marker=nothing",
    SERVER,
    f"/servers/{NOBODY}",
    f"{SERVER}/tags",
    f"{SERVER}/metadata",
    "/flavors/detail",
    "/limits",
    "",
)


@pytest.mark.parametrize("version", [None, *OLDER, *NEWER])
def test_without_a_schedule_nothing_changes(
    admin: Caller, direct: Caller, version: str | None
) -> None:
    """The answers, in any version, are those without the API."""
    for path in PATHS:
        ours, novas = (caller.get(path, version=version) for caller in (admin, direct))
        assert ours.status_code == novas.status_code
        assert body(ours, admin) == body(novas, direct)
        assert about(ours) == about(novas)


def body(answer: requests.Response, caller: Caller) -> Any:
    """The JSON of an answer, without the address that it was got at."""
    root = caller.root.removesuffix("/v2.1")
    found = json.loads(answer.text.replace(root, "http://nova"))
    for link in found.get("servers_links", ()):
        # In the order of the words of the caller's own query.
        path, _, query = link["href"].partition("?")
        link["href"] = [path, *sorted(query.split("&"))]
    return found


def about(answer: requests.Response) -> dict[str, str]:
    """The headers that say what an answer is, by small names."""
    names = (
        "content-type",
        "vary",
        "openstack-api-version",
        "x-openstack-nova-api-version",
        "location",
        "www-authenticate",
    )
    found = {k.lower(): v for k, v in answer.headers.items()}
    return {k: v for k, v in found.items() if k in names}


@pytest.mark.parametrize("version", [None, *OLDER, *NEWER])
def test_the_attribute_is_all_that_a_schedule_adds(
    admin: Caller, direct: Caller, version: str | None
) -> None:
    before = direct.get(SERVER, version=version).json()["server"]
    enable(admin, 3, day_of_week="SUNDAY")
    wanted = {"day_of_week": "SUNDAY", "retention": 3}
    shown = admin.get(SERVER, version=version).json()["server"]
    listed = admin.get("/servers/detail?name=myserver", version=version)
    changed = admin.put(SERVER, {"server": {"name": "myserver"}}, version=version)
    (in_list,) = listed.json()["servers"]
    for server in (shown, in_list, changed.json()["server"]):
        assert server[ATTRIBUTE] == wanted
        assert server.get("tags", []) == []
    assert shown.keys() - before.keys() == {ATTRIBUTE}
    assert before.keys() <= shown.keys()
    (plain,) = direct.get("/servers/detail?name=myserver", version=version).json()[
        "servers"
    ]
    assert in_list.keys() - plain.keys() == {ATTRIBUTE}


@pytest.mark.parametrize("version", [None, "2.1", "2.26", "2.75", "latest"])
@pytest.mark.parametrize("path", ["/servers", "/servers/detail"])
def test_the_filter_in_any_version(
    admin: Caller, cloud: Sandbox, path: str, version: str | None
) -> None:
    names = [f"s{number}" for number in range(7)]
    for name in names:
        enable(admin, 2, server=f"/servers/{cloud.boot(name).id}")
    for value, wanted in (
        ("True", set(names)),
        ("False", {"myserver", "web1", "db1", "check-my-task-state"}),
    ):
        pages, url = [], f"{path}?limit=3&{FILTER}={value}"
        while url:
            answer = admin.get(url, version=version)
            pages.append(answer.json()["servers"])
            links = answer.json().get("servers_links", [{"href": ""}])
            url = links[0]["href"]
            assert "tags" not in url
        found = [server["name"] for page in pages for server in page]
        assert (len(found), set(found)) == (len(wanted), wanted)
        # Nova's own sizes: full pages, and the rest.
        sizes = [len(page) for page in pages]
        assert sizes[:-1] == [3] * (len(sizes) - 1)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (f"{FILTER}=True&tags=a", {"both"}),
        (f"{FILTER}=True&tags=a,b", set()),
        (f"{FILTER}=False&tags=a", {"tag"}),
        (f"{FILTER}=False&not-tags=a", {"none"}),
        (f"{FILTER}=False&not-tags-any=a,b", {"none"}),
        (f"{FILTER}=True&not-tags-any=a", {"schedule"}),
        (f"{FILTER}=True&tags-any=a,b", {"both"}),
        (f"tags={MARKER}", {"both", "schedule"}),
    ],
)
def test_the_filter_beside_those_by_tags(
    admin: Caller, cloud: Sandbox, query: str, wanted: set[str]
) -> None:
    for name in ("both", "tag", "schedule", "none"):
        server = f"/servers/{cloud.boot(f'x-{name}').id}"
        if name in ("both", "tag"):
            assert admin.put(f"{server}/tags/a", version="2.26").status_code == 201
        if name in ("both", "schedule"):
            enable(admin, 2, server=server)
    listed = admin.get(f"/servers/detail?name=^x-&{query}", version="2.60")
    names = {server["name"].removeprefix("x-") for server in listed.json()["servers"]}
    assert names == wanted


@pytest.mark.parametrize("version", ["2.999", "1.1", "two", "3.0"])
@pytest.mark.parametrize("path", [SCHEDULE, SERVER, f"/servers?{FILTER}=True"])
def test_versions_that_there_are_not(
    admin: Caller, direct: Caller, path: str, version: str
) -> None:
    refused = admin.get(path, version=version)
    novas = direct.get(SERVER, version=version)
    assert refused.status_code == novas.status_code
    assert refused.text == novas.text


def test_the_api_without_versions(admin: Caller) -> None:
    """What /v2 answers is as ever; that tags are newer is not seen."""
    root = admin.root.replace("/v2.1", "/v2")
    enable(admin)
    old = [admin.get(f"{root}{path}") for path in (SCHEDULE, SERVER, "/servers/detail")]
    listed = admin.get(f"{root}/servers/detail?{FILTER}=True&limit=1")
    for answer in (*old, listed):
        assert answer.status_code == 200
        assert "/v2.1" not in answer.text
        assert not {"Vary", "OpenStack-API-Version"} & answer.headers.keys()
    assert admin.delete(f"{root}{SCHEDULE}").status_code == 202
    assert admin.get(SCHEDULE).status_code == 404


# -- tags


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}"])
def test_what_is_refused_shows_its_version_as_the_rest_does(
    admin: Caller, body: bytes
) -> None:
    shown = admin.get(SERVER).headers
    kind = {"Content-Type": "application/json"}
    refused = admin("POST", SCHEDULE, data=body, headers=kind)
    assert refused.status_code == 400
    for name in ("Vary", "OpenStack-API-Version", "X-OpenStack-Nova-API-Version"):
        assert refused.headers[name] == shown[name]


def test_tags_are_those_of_others(admin: Caller, cloud: Sandbox) -> None:
    set_tags(cloud, "web")
    enable(admin)
    assert admin.get(f"{SERVER}/tags", version="2.26").json() == {"tags": ["web"]}
    for server in (
        admin.get(SERVER, version="2.90").json()["server"],
        admin.put(SERVER, {"server": {"name": "x"}}, version="2.90").json()["server"],
        *admin.get("/servers/detail?name=x", version="2.90").json()["servers"],
    ):
        assert server["tags"] == ["web"]


def test_changes_of_all_tags_leave_the_schedule(admin: Caller, cloud: Sandbox) -> None:
    def put(*names: str) -> requests.Response:
        return admin.put(f"{SERVER}/tags", {"tags": names}, version="2.26")

    assert put("web").json() == {"tags": ["web"]}
    enable(admin)
    answer = put("db", "blue")
    assert (answer.status_code, sorted(answer.json()["tags"])) == (200, ["blue", "db"])
    assert tags(cloud) == ["blue", "db", MARKER, f"{MARKER}:daily:7"]
    gone = admin.delete(f"{SERVER}/tags", version="2.26")
    assert (gone.status_code, gone.content) == (204, b"")
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:7"]
    assert admin.delete(SCHEDULE).status_code == 202
    put("web")
    assert admin.delete(f"{SERVER}/tags", version="2.26").status_code == 204
    # Nor do tools take away that somebody wants none, half a schedule, or a policy's.
    assert tags(cloud) == [f"{MARKER}:off"]
    for kept in (
        [f"{MARKER}:daily:7"],
        [MARKER],
        [MARKER, f"{MARKER}-policy:ops-a:1:0a1b2c", f"{MARKER}:daily:7"],
    ):
        set_tags(cloud, "web", *kept)
        assert put("db").status_code == 200
        assert tags(cloud) == sorted(["db", *kept])
        assert admin.delete(f"{SERVER}/tags", version="2.26").status_code == 204
        assert tags(cloud) == sorted(kept)


def test_whatever_sets_schedules_as_tags_can_do_so(
    admin: Caller, cloud: Sandbox
) -> None:
    value = f"{MARKER}:weekly-monday:2"
    for name in (value, MARKER):
        answer = admin.put(f"{SERVER}/tags/{name}", version="2.26")
        assert answer.status_code == 201
    wanted = {"image_schedule": {"retention": 2, "day_of_week": "MONDAY"}}
    assert admin.get(SCHEDULE).json() == wanted
    whole = {"tags": [MARKER, f"{MARKER}:daily:5"]}
    assert admin.put(f"{SERVER}/tags", whole, version="2.26").json() == {"tags": []}
    assert admin.get(SCHEDULE).json() == {"image_schedule": {"retention": 5}}
    answer = admin.delete(f"{SERVER}/tags/{MARKER}", version="2.26")
    assert answer.status_code == 204
    assert admin.get(SCHEDULE).status_code == 404


@pytest.mark.parametrize("broken", [[MARKER], [MARKER, f"{MARKER}:daily:0"]])
def test_a_malformed_schedule_is_shown_and_can_be_replaced(
    admin: Caller, cloud: Sandbox, broken: list[str]
) -> None:
    set_tags(cloud, *broken)
    answer = admin.get(SCHEDULE)
    assert answer.status_code == 409
    message = answer.json()["conflictingRequest"]["message"]
    assert f"has the tag '{broken[-1]}', which is not a schedule" in message
    shown = admin.get(SERVER, version="2.26").json()["server"]
    assert (sorted(shown["tags"]), ATTRIBUTE in shown) == (broken, False)
    assert sorted(admin.get(f"{SERVER}/tags", version="2.26").json()["tags"]) == broken
    enable(admin, 3)
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:3"]
    set_tags(cloud, *broken)
    assert admin.delete(SCHEDULE).status_code == 202
    assert tags(cloud) == [f"{MARKER}:off"]


def test_two_schedules_are_the_one_that_deletes_less(
    admin: Caller, cloud: Sandbox
) -> None:
    set_tags(cloud, MARKER, f"{MARKER}:daily:3", f"{MARKER}:daily:10")
    assert admin.get(SCHEDULE).json() == {"image_schedule": {"retention": 10}}
    assert admin.get(SERVER).json()["server"][ATTRIBUTE] == {"retention": 10}


# -- refusals


@pytest.mark.parametrize("status", [503, 429, 500])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_nova_refuses_is_reported_in_its_words(
    admin: Caller, cloud: Sandbox, method: str, status: int
) -> None:
    enable(admin, 3)
    cloud.fault(f"/tags {status} retry-after=7 x1")
    body = {"image_schedule": {"retention": 5}} if method == "POST" else None
    answer = admin(method, SCHEDULE, json=body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert admin.get(SCHEDULE).json() == {"image_schedule": {"retention": 3}}


def test_a_change_that_breaks_off_loses_no_schedule(
    admin: Caller, cloud: Sandbox
) -> None:
    enable(admin, 3)
    cloud.fault("DELETE /tags/ 503 x1")
    body = {"image_schedule": {"retention": 5}}
    assert admin.post(SCHEDULE, body).status_code == 503
    assert admin.get(SCHEDULE).json() == body
    assert admin.post(SCHEDULE, body).status_code == 200
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:5"]


def test_unknown_is_not_without_a_schedule(admin: Caller, cloud: Sandbox) -> None:
    enable(admin, 3)
    cloud.fault("GET /tags$ 503 x3")
    assert admin.get(SERVER).status_code == 503
    # A change that was made is not reported as a failure.
    changed = admin.put(SERVER, {"server": {"name": "new"}})
    assert (changed.status_code, changed.json()["server"]["name"]) == (200, "new")
    replaced = admin.put(f"{SERVER}/tags", {"tags": ["x"]}, version="2.26")
    assert replaced.status_code == 503
    assert admin.get(SCHEDULE).json() == {"image_schedule": {"retention": 3}}


@pytest.mark.parametrize("state", ["error", "shelved_offloaded", "resized"])
def test_nova_changes_no_tags_in_some_states(
    admin: Caller, cloud: Sandbox, state: str
) -> None:
    with cloud.region() as region:
        region.servers.reset_state(MYSERVER, state)
    answer = admin.post(SCHEDULE, {"image_schedule": {"retention": 5}})
    assert answer.status_code == 409
    assert f"vm_state {state}" in answer.json()["conflictingRequest"]["message"]
    assert admin.get(SCHEDULE).status_code == 404


def test_a_locked_server_can_get_a_schedule(cloud_box: Box) -> None:
    admin, creator = cloud_box.admin, cloud_box.as_("creator")
    assert admin.post(f"{SERVER}/action", {"lock": None}).status_code == 202
    enable(creator, 4)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_rights_are_novas_for_tags(cloud_box: Box, method: str) -> None:
    body = {"image_schedule": {"retention": 3}}
    enable(cloud_box.admin, 3)
    observer = cloud_box.as_("observer")
    assert observer.get(SCHEDULE).json() == body
    # Also where nothing would change.
    refused = observer(method, SCHEDULE, json=body)
    assert refused.status_code == 403
    assert "os-server-tags:" in refused.json()["forbidden"]["message"]
    stranger = cloud_box.as_("stranger")
    for each in ("GET", method):
        assert stranger(each, SCHEDULE, json=body).status_code == 404
    assert cloud_box.admin.get(SCHEDULE).json() == body
    creator = cloud_box.as_("creator")
    assert creator.post(SCHEDULE, body).status_code == 200
    assert creator.delete(SCHEDULE).status_code == 202


@pytest.mark.parametrize("path", ["/extensions", "/extensions/rax-si-image-schedule"])
def test_extensions_are_for_those_who_are_logged_in(admin: Caller, path: str) -> None:
    answer = requests.get(admin.root + path, timeout=60)
    assert answer.status_code == 401


@pytest.mark.parametrize("value", ["True", "perhaps"])
def test_the_filter_is_for_those_who_are_logged_in(admin: Caller, value: str) -> None:
    url = f"{admin.root}/servers?{FILTER}={value}"
    assert requests.get(url, timeout=60).status_code == 401


# -- the rights of Rackspace's roles


class TestRackspaceRoles:
    def test_schedules_are_not_removed_as_tags(
        self, cloud_box: Box, cloud: Sandbox
    ) -> None:
        creator = cloud_box.as_("creator")
        enable(creator, 4)
        before = tags(cloud)
        for name in before:
            gone = creator.delete(f"{SERVER}/tags/{name}", version="2.26")
            assert gone.status_code == 403
            assert gone.json()["forbidden"]["message"]
        # Nova passes over a slash too many, and some databases over case and accents.
        for root in (f"/{SERVER}/tags", f"{SERVER}//tags", f"{SERVER}/tags/"):
            gone = creator.delete(f"{root}/{MARKER}", version="2.26")
            assert gone.status_code == 403
        for name in (MARKER.upper(), f"{MARKER}%20", "sch%C3%A9duled-images"):
            gone = creator.delete(f"{SERVER}/tags/{name}", version="2.26")
            assert gone.status_code == 403
        other = {"tags": [f"{MARKER}:daily:1"]}
        refused = creator.put(f"{SERVER}/tags", other, version="2.26")
        assert refused.status_code == 403
        # Of others' tags there is nothing to be said.
        answer = creator.put(f"{SERVER}/tags", {"tags": ["web"]}, version="2.26")
        assert answer.json() == {"tags": ["web"]}
        assert creator.delete(f"{SERVER}/tags/web", version="2.26").status_code == 204
        assert creator.delete(f"{SERVER}/tags", version="2.26").status_code == 204
        assert tags(cloud) == before
        name = f"{SERVER}/tags/{MARKER}"
        assert cloud_box.admin.delete(name, version="2.26").status_code == 204

    def test_roles_that_are_unknown_change_nothing(
        self, admin: Caller, cloud: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        enable(admin, 4)
        for fault in ("503", "drop"):
            cloud.fault(f"GET /auth/tokens {fault}")
            for method in ("POST", "DELETE"):
                body = {"image_schedule": {"retention": 9}}
                answer = admin(method, SCHEDULE, json=body)
                assert answer.status_code == 503
                assert answer.json()["serviceUnavailable"]["message"]
            cloud.clear_faults()
        assert admin.get(SCHEDULE).json() == {"image_schedule": {"retention": 4}}

    def test_headers_of_callers_give_no_roles(self, cloud_box: Box) -> None:
        enable(cloud_box.admin, 4)
        claimed = {"X-Roles": "admin", "X-Identity-Status": "Confirmed"}
        answer = cloud_box.as_("creator").delete(SCHEDULE, headers=claimed)
        assert answer.status_code == 403

    def test_all_refusals_are_novas_in_form(self, cloud_box: Box) -> None:
        """Of tags and new servers too: they show their version, and know nobody."""
        admin, creator = cloud_box.admin, cloud_box.as_("creator")
        own = {"tags": [MARKER]}
        for caller, method, path, body in (
            (admin, "PUT", f"{SERVER}/tags", {"tags": "no list"}),
            (admin, "PUT", f"{SERVER}/tags", "no object"),
            (creator, "PUT", f"{SERVER}/tags", own),
            (creator, "PUT", f"{SERVER}/tags/{MARKER}", None),
            (creator, "DELETE", f"{SERVER}/tags/{MARKER}", None),
            (creator, "POST", "/servers", {"server": own}),
            (admin, "POST", "/servers", {"server": {"tags": "no list"}}),
        ):
            for version in ("2.26", "2.60", "latest"):
                if path == "/servers" and version == "2.26":
                    continue
                refused = caller(method, path, json=body, version=version)
                assert refused.status_code in (400, 403), (method, path, version)
                novas = caller.get("/servers", version=version)
                names = (
                    "Vary",
                    "OpenStack-API-Version",
                    "X-OpenStack-Nova-API-Version",
                )
                for name in names:
                    assert refused.headers[name] == novas.headers[name]
            nobody = {"X-Auth-Token": "nonsense"}
            assert caller(method, path, json=body, headers=nobody).status_code in (
                401,
                503,
            )

    def test_a_wrong_token(self, admin: Caller) -> None:
        answer = admin.delete(SCHEDULE, headers={"X-Auth-Token": "nonsense"})
        assert answer.status_code == 401


def test_server_ids_of_any_form(admin: Caller, direct: Caller) -> None:
    for server in ("%00", "a%2Fb", "%C3%A9", "a%20b", "%3F", ".", "a" * 300):
        path = f"/servers/{server}/rax-si-image-schedule"
        assert admin.get(path).status_code in (400, 404)
    assert id_of(admin.sandbox, "web1")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/compute/v2\.1", admin.root)


# -- schedules beyond daily, weekly and a number

ALL_RULES = ("last", "hourly", "daily", "weekly", "monthly", "yearly", "within_days")
KEEP = {"last": 8, "daily": 7, "within_days": 9}
RULES = {"every": "6h", "at": "02:30", "keep": KEEP}
RULES_TAG = f"{MARKER}:6h@02:30:8l+7d+in9d"
SHOWN = {**RULES, "most": 36, "retention": 65535}


def test_older_clients_see_the_greatest_number(admin: Caller, cloud: Sandbox) -> None:
    answer = admin.post(SCHEDULE, {"image_schedule": RULES})
    assert (answer.status_code, answer.json()) == (200, {"image_schedule": SHOWN})
    assert tags(cloud) == [MARKER, RULES_TAG]
    assert admin.get(SCHEDULE).json() == {"image_schedule": SHOWN}
    assert admin.get(SERVER).json()["server"][ATTRIBUTE] == SHOWN
    (listed,) = admin.get(f"/servers/detail?{FILTER}=True").json()["servers"]
    assert listed[ATTRIBUTE] == SHOWN
    # What GET shows changes nothing, all of it or what older clients know.
    for same in (SHOWN, {"retention": 65535}):
        answer = admin.post(SCHEDULE, {"image_schedule": same})
        assert (answer.status_code, answer.json()) == (200, {"image_schedule": SHOWN})
        assert tags(cloud) == [MARKER, RULES_TAG]


@pytest.mark.parametrize(
    "wanted",
    [
        {"retention": 7},
        {"retention": 65534},
        {"retention": 65535, "day_of_week": "SATURDAY"},
    ],
)
def test_a_number_does_not_replace_rules(
    admin: Caller, cloud: Sandbox, wanted: dict[str, Any]
) -> None:
    set_tags(cloud, MARKER, RULES_TAG)
    answer = admin.post(SCHEDULE, {"image_schedule": wanted})
    assert answer.status_code == 409
    assert "has rules" in answer.json()["conflictingRequest"]["message"]
    assert tags(cloud) == [MARKER, RULES_TAG]
    # To end it, or to say all of another one, is no mistake.
    assert admin.delete(SCHEDULE).status_code == 202
    set_tags(cloud, MARKER, RULES_TAG)
    daily = {"every": "daily", "keep": {"last": 7}}
    assert admin.post(SCHEDULE, {"image_schedule": daily}).json() == {
        "image_schedule": {"retention": 7}
    }
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:7"]


def test_a_weekly_schedule_with_rules_has_its_day(
    admin: Caller, cloud: Sandbox
) -> None:
    set_tags(cloud, MARKER, f"{MARKER}:weekly-sunday:4w+2y")
    shown = admin.get(SCHEDULE).json()["image_schedule"]
    assert (shown["day_of_week"], shown["retention"]) == ("SUNDAY", 65535)
    old = {"retention": 65535, "day_of_week": "SUNDAY"}
    assert admin.post(SCHEDULE, {"image_schedule": old}).status_code == 200
    assert admin.post(SCHEDULE, {"image_schedule": {"retention": 9}}).status_code == 409
    assert tags(cloud) == [MARKER, f"{MARKER}:weekly-sunday:4w+2y"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": "5h", "keep": {"last": 7}},
        {"every": "6h"},
        {"every": "6h", "keep": {}},
        {"every": "6h", "keep": {"last": 0}},
        {"every": "6h", "keep": {"last": 7, "lots": 7}},
        {"every": "6h", "keep": {"within_days": 7}},
        {"every": "6h", "at": "07:00", "keep": {"last": 7}},
        {"every": "weekly", "keep": {"last": 7}},
        {"every": "daily", "day_of_week": "SUNDAY", "keep": {"last": 7}},
        {"keep": {"last": 7}},
        {"retention": 7, "at": "02:30"},
        {"every": "daily", "keep": dict.fromkeys(ALL_RULES, 65535)},
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    admin: Caller, cloud: Sandbox, wrong: dict[str, Any]
) -> None:
    answer = admin.post(SCHEDULE, {"image_schedule": wrong})
    assert answer.status_code == 400, answer.text
    assert "\n" not in answer.json()["badRequest"]["message"]
    assert tags(cloud) == []


@pytest.mark.parametrize(
    "value", ["daily:7", "6h@02:30:8l+7d+in9d", "weekly-sunday:4w+2y", "12h:14"]
)
def test_replacing_all_tags_keeps_schedules_of_every_form(
    admin: Caller, cloud: Sandbox, value: str
) -> None:
    set_tags(cloud, MARKER, f"{MARKER}:{value}", "web")
    answer = admin.put(f"{SERVER}/tags", {"tags": ["db"]}, version="2.26")
    assert (answer.status_code, answer.json()) == (200, {"tags": ["db"]})
    assert tags(cloud) == sorted(["db", MARKER, f"{MARKER}:{value}"])
    assert admin.delete(f"{SERVER}/tags", version="2.26").status_code == 204
    assert tags(cloud) == [MARKER, f"{MARKER}:{value}"]
