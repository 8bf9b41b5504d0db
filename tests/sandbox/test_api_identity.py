"""Logging in: Keystone's v3, and Rackspace's v2.0."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from ..functional.raw import Box, Caller, box, password_login

ROLES = {
    "admin": {"admin", "member", "reader"},
    "creator": {"member", "reader"},
    "observer": {"reader"},
    "global-admin": {"admin", "member", "reader", "global"},
    "global-observer": {"reader", "global"},
    "admin2": {"admin", "member", "reader"},
    "creator2": {"member", "reader"},
    "observer2": {"reader"},
    "stranger": {"admin", "member", "reader"},
}


@pytest.fixture(scope="module")
def v3() -> Iterator[Box]:
    with box("openstack") as made:
        yield made


@pytest.fixture(scope="module")
def v2() -> Iterator[Box]:
    with box("rackspace") as made:
        yield made


def login(v3: Box, user: str = "admin", **more: Any) -> requests.Response:
    env = v3.sandbox.env(user)
    body = password_login(env, **more)
    return v3.session.post(f"{env['OS_AUTH_URL']}/auth/tokens", json=body)


# -- v3


def test_v3_versions(v3: Box) -> None:
    root = f"{v3.sandbox.url}/identity"
    listed = v3.session.get(f"{root}/")
    assert listed.status_code == 300
    assert listed.headers["Location"] == f"{root}/v3/"
    (version,) = listed.json()["versions"]["values"]
    assert version["links"] == [{"rel": "self", "href": f"{root}/v3/"}]
    for path in ("/v3", "/v3/"):
        shown = v3.session.get(root + path).json()["version"]
        assert (shown["id"], shown["status"]) == (version["id"], "stable")


@pytest.mark.parametrize("user", ROLES)
def test_v3_roles(v3: Box, user: str) -> None:
    token = login(v3, user).json()["token"]
    assert {role["name"] for role in token["roles"]} == ROLES[user]
    project = "other" if user == "stranger" else "demo"
    assert token["project"]["name"] == project
    assert token["user"]["name"] == user


def test_v3_token(v3: Box) -> None:
    answer = login(v3)
    assert answer.status_code == 201
    token, text = answer.json()["token"], answer.headers["X-Subject-Token"]
    assert token["methods"] == ["password"]
    expires = datetime.fromisoformat(token["expires_at"].replace("Z", "+00:00"))
    assert timedelta(hours=23) < expires - datetime.now(timezone.utc)
    services = {service["type"]: service for service in token["catalog"]}
    wanted = {"identity", "compute", "image", "block-storage", "network"}
    assert set(services) == wanted
    urls = {e["interface"]: e["url"] for e in services["compute"]["endpoints"]}
    assert urls["public"] == f"{v3.sandbox.url}/compute/v2.1"
    assert {e["region"] for e in services["image"]["endpoints"]} == {"RegionOne"}
    admin = v3.admin
    again = admin.get(
        f"{v3.sandbox.url}/identity/v3/auth/tokens", headers={"X-Subject-Token": text}
    )
    assert (again.status_code, again.json()["token"]) == (200, token)
    catalog = admin.get(f"{v3.sandbox.url}/identity/v3/auth/catalog").json()
    assert catalog["catalog"] == token["catalog"]


def test_v3_scopes(v3: Box) -> None:
    demo = login(v3).json()["token"]["project"]
    domain = {"domain": {"name": "Default"}}
    for scope in ({"id": demo["id"]}, {"name": "demo", **domain}):
        token = login(v3, scope={"project": scope}).json()["token"]
        assert token["project"] == demo
    for scope in (
        {"id": "none"},
        {"name": "none", **domain},
        {"name": "other", **domain},
        {"name": "demo", "domain": {"id": "elsewhere"}},
    ):
        assert login(v3, scope={"project": scope}).status_code == 401
    wanted: Any
    for wanted in ("unscoped", {"unscoped": {}}, None):
        unscoped = login(v3, scope=wanted)
        assert {"project", "roles", "catalog"}.isdisjoint(unscoped.json()["token"])
    headers = {"X-Auth-Token": unscoped.headers["X-Subject-Token"]}
    assert v3.admin.get("/servers", headers=headers).status_code == 401
    projects = v3.admin.get(
        f"{v3.sandbox.url}/identity/v3/auth/projects", headers=headers
    )
    assert [project["name"] for project in projects.json()["projects"]] == ["demo"]


def test_v3_by_id_and_by_token(v3: Box) -> None:
    user_id = login(v3).json()["token"]["user"]["id"]
    url = f"{v3.sandbox.url}/identity/v3/auth/tokens"
    user = {"id": user_id, "password": v3.sandbox.env()["OS_PASSWORD"]}
    identity: Any = {"methods": ["password"], "password": {"user": user}}
    by_id = v3.session.post(url, json={"auth": {"identity": identity}})
    assert by_id.json()["token"]["user"]["name"] == "admin"
    text = by_id.headers["X-Subject-Token"]
    identity = {"methods": ["token"], "token": {"id": text}}
    again = v3.session.post(url, json={"auth": {"identity": identity}}).json()["token"]
    assert again["user"]["name"] == "admin"
    assert again["methods"] == ["password", "token"]


def test_v3_application_credentials(v3: Box) -> None:
    root, admin = f"{v3.sandbox.url}/identity/v3", v3.admin
    user_id = login(v3).json()["token"]["user"]["id"]
    path = f"{root}/users/{user_id}/application_credentials"
    wanted = {"application_credential": {"name": "for-cron"}}
    answer = admin.post(path, wanted)
    assert answer.status_code == 201
    made = answer.json()["application_credential"]
    assert admin.post(path, wanted).status_code == 409
    shown = {key: value for key, value in made.items() if key != "secret"}
    listed = admin.get(path).json()["application_credentials"]
    assert [each["id"] for each in listed] == [made["id"]]
    one = admin.get(f"{path}/{made['id']}").json()["application_credential"]
    assert one.keys() == shown.keys()

    def log_in(credential: dict[str, Any], **auth: Any) -> Any:
        method = "application_credential"
        identity = {"methods": [method], method: credential}
        body = {"auth": {"identity": identity, **auth}}
        return v3.session.post(f"{root}/auth/tokens", json=body)

    by_id = {"id": made["id"], "secret": made["secret"]}
    user = {"name": "admin", "domain": {"id": "default"}}
    by_name = {"name": "for-cron", "user": user, "secret": made["secret"]}
    for login_ in (by_id, by_name):
        answer = log_in(login_)
        token = answer.json()["token"]
        assert (answer.status_code, token["project"]["name"]) == (201, "demo")
        assert token["methods"] == ["application_credential"]
    # A program with it makes no more of them.
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    other = {"application_credential": {"name": "another"}}
    assert v3.session.post(path, json=other, headers=headers).status_code == 403
    one_path = f"{path}/{made['id']}"
    assert v3.session.delete(one_path, headers=headers).status_code == 403
    assert log_in({**by_id, "secret": "wrong"}).status_code == 401
    assert log_in(by_id, scope={"project": {"id": "x"}}).status_code == 401
    for body in ({"name": ""}, {"name": 1}, {"name": "x", "secret": 1}):
        refused = admin.post(path, {"application_credential": body})
        assert refused.status_code == 400
    assert admin.get(f"{path}/nothing").status_code == 404
    assert admin.get(path.replace(user_id, "other")).status_code == 403
    assert admin.delete(one_path).status_code == 204
    assert log_in(by_id).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"password": ""},
        {"password": "pässword"},
        {"name": "nobody"},
        {"domain": {"id": "elsewhere"}},
    ],
)
def test_v3_refuses(v3: Box, change: dict[str, Any]) -> None:
    body = password_login(v3.sandbox.env())
    body["auth"]["identity"]["password"]["user"].update(change)
    url = f"{v3.sandbox.url}/identity/v3/auth/tokens"
    answer = v3.session.post(url, json=body)
    assert answer.status_code == 401
    assert answer.json() == {
        "error": {
            "code": 401,
            "message": "The request you have made requires authentication.",
            "title": "Unauthorized",
        }
    }
    assert answer.headers["WWW-Authenticate"] == (
        f'Keystone uri="{v3.sandbox.url}/identity/v3"'
    )
    assert "X-Subject-Token" not in answer.headers


def login_with(user: dict[str, Any]) -> dict[str, Any]:
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity}}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"auth": None},
        {"auth": {"identity": []}},
        {"auth": {"identity": {"methods": ["password"]}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": "x"}}}},
        login_with({"name": "admin", "domain": {"id": "default"}, "password": None}),
        login_with({"name": "admin", "domain": {"id": "default"}, "password": 1}),
        login_with({"name": None, "domain": {"id": "default"}, "password": "x"}),
        login_with({"id": 1, "password": "x"}),
    ],
)
def test_v3_bodies_that_are_none(v3: Box, body: Any) -> None:
    url = f"{v3.sandbox.url}/identity/v3/auth/tokens"
    assert v3.session.post(url, json=body).status_code == 400


def test_v3_ways_to_log_in(v3: Box) -> None:
    url = f"{v3.sandbox.url}/identity/v3/auth/tokens"
    body: Any = {"auth": {"identity": {"methods": ["magic"], "magic": {}}}}
    answer = v3.session.post(url, json=body)
    assert answer.status_code == 401
    known = ["password", "token", "application_credential"]
    assert answer.json()["error"]["identity"] == {"methods": known}
    body = {"auth": {"identity": {"methods": ["token"], "token": {"id": "wrong"}}}}
    assert v3.session.post(url, json=body).status_code == 404
    body = password_login(v3.sandbox.env())
    short = v3.session.post(f"{url}?nocatalog", json=body).json()["token"]
    assert "catalog" not in short
    assert short["project"]["name"] == "demo"


def test_v3_answers_vary_by_token(v3: Box) -> None:
    root = f"{v3.sandbox.url}/identity"
    for path in ("/", "/v3/", "/v3/nothing", "/v3/auth/tokens"):
        assert v3.session.get(root + path).headers["Vary"] == "X-Auth-Token"
    wrong = v3.session.put(f"{root}/v3/auth/tokens")
    assert wrong.status_code == 405
    assert {"GET", "POST", "DELETE"} <= set(wrong.headers["Allow"].split(", "))


def test_v3_revocation(v3: Box) -> None:
    text = login(v3).headers["X-Subject-Token"]
    url = f"{v3.sandbox.url}/identity/v3/auth/tokens"
    subject = {"X-Subject-Token": text}
    assert v3.admin.get("/servers", headers={"X-Auth-Token": text}).ok
    assert v3.admin.delete(url, headers=subject).status_code == 204
    assert v3.admin.get("/servers", headers={"X-Auth-Token": text}).status_code == 401
    assert v3.admin.get(url, headers=subject).status_code == 404
    assert v3.admin.get(url, headers={"X-Auth-Token": "bad"}).status_code == 401
    for method in ("GET", "DELETE"):
        assert v3.admin(method, url).status_code == 403


def test_v3_users_look_at_themselves(v3: Box) -> None:
    token = login(v3).json()["token"]
    root = f"{v3.sandbox.url}/identity/v3"
    mine = v3.admin.get(f"{root}/users/{token['user']['id']}").json()["user"]
    assert mine["name"] == "admin"
    projects = v3.admin.get(f"{root}/users/{mine['id']}/projects").json()["projects"]
    assert [project["id"] for project in projects] == [token["project"]["id"]]
    project = v3.admin.get(f"{root}/projects/{projects[0]['id']}").json()["project"]
    assert project["name"] == "demo"
    for path in (
        *("/users", "/users/other", "/users/other/projects"),
        *("/projects", "/projects/other"),
    ):
        assert v3.admin.get(root + path).status_code == 403
    assert v3.admin.get(f"{root}/nothing").status_code == 404


# -- v2.0


def v2_login(v2: Box, **auth: Any) -> requests.Response:
    url = f"{v2.sandbox.env()['OS_AUTH_URL']}tokens"
    return v2.session.post(url, json={"auth": auth})


def by_password(v2: Box, user: str = "admin") -> dict[str, Any]:
    given = {"username": user, "password": v2.sandbox.env()["OS_PASSWORD"]}
    return {"passwordCredentials": given}


def by_api_key(v2: Box, user: str = "admin") -> dict[str, Any]:
    given = {"username": user, "apiKey": v2.sandbox.env()["OS_API_KEY"]}
    return {"RAX-KSKEY:apiKeyCredentials": given}


@pytest.mark.parametrize("user", ROLES)
@pytest.mark.parametrize("credentials", [by_password, by_api_key])
def test_v2_login(v2: Box, user: str, credentials: Any) -> None:
    answer = v2_login(v2, **credentials(v2, user))
    assert answer.status_code == 200
    access = answer.json()["access"]
    assert access["user"]["name"] == user
    assert {role["name"] for role in access["user"]["roles"]} == ROLES[user]
    tenant = access["token"]["tenant"]["id"]
    assert tenant == v2.sandbox.env(user)["OS_TENANT_NAME"]
    catalog = {service["name"]: service for service in access["serviceCatalog"]}
    servers = catalog["cloudServersOpenStack"]
    assert servers["type"] == "compute"
    assert [
        (e["region"], e["tenantId"], e["publicURL"]) for e in servers["endpoints"]
    ] == [
        (region, tenant, f"{v2.sandbox.url}/{region}/compute/v2/{tenant}")
        for region in ("DFW", "ORD")
    ]
    images = catalog["cloudImages"]
    assert images["type"] == "image"
    assert images["endpoints"][1]["publicURL"] == f"{v2.sandbox.url}/ORD/image/v2"
    for kind, service in (("compute", servers), ("image", images)):
        endpoint, root = service["endpoints"][0], f"{v2.sandbox.url}/DFW/{kind}/"
        assert endpoint["versionId"] == "2"
        assert endpoint["versionInfo"] == f"{root}v2"
        assert endpoint["versionList"] == root


def test_v2_tokens_expire_at_a_millisecond(v2: Box) -> None:
    token = v2_login(v2, **by_password(v2)).json()["access"]["token"]
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(form, token["expires"])
    # As clients that nobody here wrote read it.
    assert datetime.strptime(token["expires"], "%Y-%m-%dT%H:%M:%S.%fZ").year > 2000


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_json_is_written_with_spaces(like: Any) -> None:
    with box(like) as made:
        for url in (
            f"{made.admin.root}/servers/detail",
            f"{made.admin.root}/servers/nothing",
            f"{made.admin.image_root}/v2/images",
            made.sandbox.env()["OS_AUTH_URL"],
        ):
            text = made.admin.get(url).text.strip()
            assert text == json.dumps(json.loads(text)), url


def test_v2_tokens(v2: Box) -> None:
    access = v2_login(v2, **by_password(v2)).json()["access"]
    text, tenant = access["token"]["id"], access["token"]["tenant"]["id"]
    again = v2_login(v2, token={"id": text}, tenantId=tenant).json()["access"]
    assert again["user"] == access["user"]
    url = f"{v2.sandbox.url}/identity/v2.0/tokens/{text}"
    shown = v2.admin.get(url).json()["access"]
    assert (shown["token"], shown["user"]) == (access["token"], access["user"])
    assert requests.get(url, timeout=60).status_code == 401
    assert v2.admin.get(f"{url}x").status_code == 404
    tenants = v2.admin.get(f"{v2.sandbox.url}/identity/v2.0/tenants").json()["tenants"]
    assert [each["id"] for each in tenants] == [tenant]
    assert v2.admin.delete(url).status_code == 204
    assert v2.admin.get("/servers", headers={"X-Auth-Token": text}).status_code == 401


@pytest.mark.parametrize(
    ("auth", "status"),
    [
        ({"passwordCredentials": {"username": "admin", "password": "wrong"}}, 401),
        ({"passwordCredentials": {"username": "nobody", "password": "wrong"}}, 401),
        ({"passwordCredentials": {"username": "admin"}}, 401),
        ({"RAX-KSKEY:apiKeyCredentials": {"username": "admin", "apiKey": "x"}}, 401),
        ({"RAX-KSKEY:apiKeyCredentials": {"username": "admin", "apiKey": None}}, 401),
        ({"token": {"id": "bad"}}, 401),
        ({"token": {"id": 5}}, 401),
        ({"passwordCredentials": "x"}, 400),
        ({"token": "x"}, 400),
        ({}, 400),
    ],
)
def test_v2_refuses(v2: Box, auth: dict[str, Any], status: int) -> None:
    answer = v2_login(v2, **auth)
    assert answer.status_code == status
    (error,) = answer.json().values()
    assert error["code"] == status


def test_v2_another_tenant(v2: Box) -> None:
    for more in ({"tenantId": "999"}, {"tenantName": "020202"}):
        assert v2_login(v2, **by_password(v2), **more).status_code == 401
    assert v2_login(v2, **by_password(v2), tenantName="010101").status_code == 200


def test_each_secret_is_for_its_own_use(v2: Box) -> None:
    env = v2.sandbox.env()
    assert env["OS_PASSWORD"] != env["OS_API_KEY"]
    swapped = {"username": "admin", "password": env["OS_API_KEY"]}
    assert v2_login(v2, passwordCredentials=swapped).status_code == 401


def test_v2_version(v2: Box) -> None:
    for path in ("/identity/v2.0", "/identity/v2.0/"):
        shown = v2.session.get(v2.sandbox.url + path).json()["version"]
        assert shown["id"] == "v2.0"
    assert v2.session.get(f"{v2.sandbox.url}/identity/v3").status_code == 404


# -- Rackspace's compute API


def test_rackspace_has_no_microversions(v2: Box) -> None:
    admin = v2.admin
    for version in (None, "2.90", "9.9", "nonsense"):
        answer = admin.get("/servers/detail", version=version)
        assert answer.status_code == 200
        assert "locked" not in answer.json()["servers"][0]
        assert "OpenStack-API-Version" not in answer.headers
        assert "Vary" not in answer.headers
    assert admin.get("/images", version="2.90").status_code == 200


def test_rackspace_hides_its_version_documents(v2: Box) -> None:
    admin = v2.admin
    root = f"{v2.sandbox.url}/DFW/compute"
    for url in (
        admin.root,
        f"{admin.root}/",
        f"{root}/v2/",
        f"{root}/v2",
        f"{root}/",
        root,
    ):
        assert admin.get(url).status_code == 401, url


def test_regions_are_apart(v2: Box) -> None:
    admin = v2.admin
    elsewhere = admin.root.replace("/DFW/", "/ORD/")
    server_id = admin.server_id()
    assert admin.get(f"{elsewhere}/servers/{server_id}").status_code == 404
    (other,) = admin.get(f"{elsewhere}/servers").json()["servers"]
    assert other["links"][0]["href"] == f"{elsewhere}/servers/{other['id']}"
    assert admin.get(f"/servers/{other['id']}").status_code == 404
    assert admin.get(f"{v2.sandbox.url}/LON/compute/v2/x").status_code == 404


def test_deleted_images_are_shown_as_such_on_rackspace(v2: Box) -> None:
    admin = v2.admin
    image_id = admin.snapshot(admin.server_id("web1"), "one")
    assert admin.delete(f"/images/{image_id}").status_code == 204
    shown = admin.get(f"/images/{image_id}")
    assert (shown.status_code, shown.json()["image"]["status"]) == (200, "DELETED")
    assert image_id not in admin.get("/images").text
    assert admin.image("GET", f"/images/{image_id}").status_code == 404


def test_any_property_filters_on_rackspace(v2: Box) -> None:
    admin: Caller = v2.admin
    marker = "org.openstack__1__created_by"
    image_id = admin.snapshot(admin.server_id("db1"), "marked", **{marker: "me"})
    found = admin.get(f"/images?property-{marker}=me").json()["images"]
    assert [image["id"] for image in found] == [image_id]
