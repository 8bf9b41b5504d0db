"""What a login is for, through real clients: projects, regions, the domain, roles."""

from __future__ import annotations

import json
from typing import Any

import pytest
from keystoneauth1 import session
from keystoneauth1.exceptions import Forbidden, Unauthorized
from keystoneauth1.identity import v3

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7

DEMO = {"myserver", "check-my-task-state", "web1", "db1"}
IMAGE = "Debian 12 (Bookworm)"
# A login for something else than the usual project.
NO_PROJECT = {"OS_PROJECT_NAME": None, "OS_PROJECT_DOMAIN_NAME": None}
OPERATOR: dict[str, Any] = {"user": "operator"}
TWO_REGIONS = pytest.mark.parametrize("cloud", [{"regions": 2}], indirect=True)
REGION_TWO = {"OS_REGION_NAME": "RegionTwo"}


def names(rows: list[dict[str, Any]]) -> set[str]:
    return {row["Name"] for row in rows}


def session_of(cloud: Sandbox, user: str, **scope: Any) -> session.Session:
    env = cloud.env(user)
    auth = v3.Password(
        auth_url=env["OS_AUTH_URL"],
        username=user,
        password=env["OS_PASSWORD"],
        user_domain_name="Default",
        **scope,
    )
    return session.Session(auth)


def token_of(asked: session.Session, cloud: Sandbox) -> dict[str, Any]:
    """Return what Keystone says of a session's own token."""
    headers = {"X-Subject-Token": str(asked.get_token())}
    url = f"{cloud.url}/identity/v3/auth/tokens"
    body: dict[str, Any] = asked.get(url, headers=headers).json()["token"]
    return body


def roles(token: dict[str, Any]) -> set[str]:
    return {role["name"] for role in token["roles"]}


# -- the operator


@not_beside_novaclient_7
def test_the_operator_sees_all_projects(openstack: OpenStack) -> None:
    listed = ("server", "list", "--all-projects")
    other = {"OS_PROJECT_NAME": "other"}
    assert names(openstack.json("project", "list", **OPERATOR)) == {"demo", "other"}
    assert names(openstack.json("server", "list", **OPERATOR)) == DEMO
    assert openstack.json("server", "list", env=other, **OPERATOR) == []
    create = ("server", "create", "--flavor", "1", "--image", IMAGE, "theirs")
    made = openstack.json(*create, env=other, **OPERATOR)
    assert names(openstack.json(*listed, **OPERATOR)) == {*DEMO, "theirs"}
    theirs = openstack.json(*listed, "--project", "other", **OPERATOR)
    assert names(theirs) == {"theirs"}
    assert names(openstack.json("server", "list", user="stranger")) == {"theirs"}
    # Its images and those of its server, from whatever project.
    openstack.json("server", "image", "create", "theirs", env=other, **OPERATOR)
    assert names(openstack.json("image", "list", **OPERATOR)) == {IMAGE, "theirs"}
    assert names(openstack.json("image", "list")) == {IMAGE}
    shown = openstack.json("server", "show", made["id"], **OPERATOR)
    assert shown["name"] == "theirs"
    openstack.ok("server", "delete", made["id"], **OPERATOR)
    assert names(openstack.json(*listed, **OPERATOR)) == DEMO


@not_beside_novaclient_7
def test_volumes_of_all_projects(openstack: OpenStack) -> None:
    volume = ("volume", "create", "--size", "1")
    openstack.json(*volume, "of-other", user="stranger")
    openstack.json(*volume, "of-demo")
    assert names(openstack.json("volume", "list", **OPERATOR)) == {"of-demo"}
    all_ = ("volume", "list", "--all-projects")
    assert names(openstack.json(*all_, **OPERATOR)) == {"of-demo", "of-other"}


@not_beside_novaclient_7
def test_users_and_services_are_the_operators(openstack: OpenStack) -> None:
    users = names(openstack.json("user", "list", **OPERATOR))
    assert {"admin", "stranger", "operator"} <= users
    assert openstack.json("compute", "service", "list", **OPERATOR) == []
    stranger = openstack.json("user", "show", "stranger", **OPERATOR)
    assert stranger["name"] == "stranger"
    for words in (["user", "list"], ["compute", "service", "list"]):
        # Not for the admin of a project.
        result = openstack(*words)
        assert (result.status, result.out) == (1, "")


def test_nova_lists_all_tenants(nova: Nova, cloud: Sandbox) -> None:
    listed = nova.ok("list", "--all-tenants", user="operator")
    assert "Tenant ID" in listed
    assert all(name in listed for name in DEMO)
    refused = nova("list", "--all-tenants")
    assert refused.status == 1
    assert "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants" in (
        refused.err
    )
    empty = nova.ok("list", user="operator", env={"OS_PROJECT_NAME": "other"})
    assert not any(name in empty for name in DEMO)


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_service_plans_for_all_projects(cloud: Sandbox) -> None:
    from ..serviceshell import Service

    for user, project in (("admin", "demo"), ("stranger", "other")):
        nova = Nova(cloud)
        if user == "stranger":
            nova.ok("boot", "--flavor", "1", "--image", IMAGE, "theirs", user=user)
        name = "theirs" if user == "stranger" else "myserver"
        result = nova("scheduled-images-enable", name, "3", user=user)
        assert result.status == 0, (project, result)
    cloud.advance("2d")
    plan = Service(cloud).ok(
        *("plan", "--all", "--all-projects", "--format", "json"), user="operator"
    )
    assert {row["server"] for row in json.loads(plan)} == {"myserver", "theirs"}


# -- tokens of the domain and of the system


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ({"domain_name": "Default"}, ("domain", {"id": "default", "name": "Default"})),
        ({"domain_id": "default"}, ("domain", {"id": "default", "name": "Default"})),
        ({"system_scope": "all"}, ("system", {"all": True})),
    ],
)
def test_the_operator_has_tokens_of_no_project(
    cloud: Sandbox, scope: Any, said: tuple[str, Any]
) -> None:
    asked = session_of(cloud, "operator", **scope)
    token = token_of(asked, cloud)
    assert token[said[0]] == said[1]
    assert {"domain", "system", "project", "is_domain"} & set(token) == {said[0]}
    assert roles(token) >= {"admin", "member", "reader"}
    assert token["catalog"]
    users = asked.get(f"{cloud.url}/identity/v3/users").json()["users"]
    assert "admin" in {user["name"] for user in users}
    with pytest.raises(Forbidden):
        asked.get("/servers", endpoint_filter={"service_type": "compute"})
    # With it the user may choose a project.
    text = str(asked.get_token())
    further = v3.Token(
        cloud.env()["OS_AUTH_URL"],
        token=text,
        project_name="other",
        project_domain_name="Default",
    )
    assert token_of(session.Session(further), cloud)["project"]["name"] == "other"


@pytest.mark.parametrize(
    "scope",
    [
        {"domain_name": "Default"},
        {"domain_id": "default"},
        {"system_scope": "all"},
        {"project_name": "other", "project_domain_name": "Default"},
    ],
)
def test_without_a_role_there_is_no_token(cloud: Sandbox, scope: Any) -> None:
    with pytest.raises(Unauthorized, match="The request you have made requires"):
        session_of(cloud, "admin", **scope).get_token()


def test_another_domain_there_is_not(cloud: Sandbox) -> None:
    with pytest.raises(Unauthorized):
        session_of(cloud, "operator", domain_name="elsewhere").get_token()


@not_beside_novaclient_7
def test_openstack_has_tokens_of_no_project(openstack: OpenStack) -> None:
    issue = ("token", "issue")
    options = {**OPERATOR, "env": {**NO_PROJECT, "OS_DOMAIN_NAME": "Default"}}
    assert openstack.json(*issue, **options)["domain_id"] == "default"
    system = {**NO_PROJECT, "OS_SYSTEM_SCOPE": "all"}
    assert openstack.json(*issue, env=system, **OPERATOR)["system"] == "all"
    refused = openstack(*issue, env=system)
    assert refused.status == 1
    assert "HTTP 401" in refused.err


# -- roles of application credentials


@not_beside_novaclient_7
@pytest.mark.parametrize(
    ("given", "has"),
    [
        (["reader"], {"reader"}),
        (["member"], {"member", "reader"}),
        ([], {"admin", "member", "reader"}),
    ],
)
def test_a_credential_keeps_its_roles(
    cloud: Sandbox, openstack: OpenStack, given: list[str], has: set[str]
) -> None:
    options = [word for role in given for word in ("--role", role)]
    made = openstack.json("application", "credential", "create", *options, "cron")
    own = given or ["admin", "member", "reader"]
    assert [role["name"] for role in made["Roles"]] == own
    auth = v3.ApplicationCredential(
        cloud.env()["OS_AUTH_URL"],
        application_credential_id=made["ID"],
        application_credential_secret=made["Secret"],
    )
    asked = session.Session(auth)
    token = token_of(asked, cloud)
    assert roles(token) == has
    assert token["project"]["name"] == "demo"
    said = {"id": made["ID"], "name": "cron", "restricted": True}
    assert token["application_credential"] == said
    # And so do tokens that are got for its token.
    project: Any
    for project in ({}, {"project_name": "demo", "project_domain_name": "Default"}):
        again = v3.Token(
            cloud.env()["OS_AUTH_URL"], token=str(asked.get_token()), **project
        )
        assert roles(token_of(session.Session(again), cloud)) == has
    compute = {"service_type": "compute", "region_name": "RegionOne"}
    assert asked.get("/servers", endpoint_filter=compute).json()["servers"]
    boots = asked.post(
        "/servers",
        json={"server": {"name": "x", "flavorRef": "1", "imageRef": "none"}},
        endpoint_filter=compute,
        raise_exc=False,
    )
    assert boots.status_code == (403 if has == {"reader"} else 400)


@not_beside_novaclient_7
def test_a_role_that_the_user_has_not(openstack: OpenStack) -> None:
    create = ("application", "credential", "create", "cron", "--role")
    for role, told in (("admin", "Invalid application credential"), ("king", "404")):
        result = openstack(*create, role, user="creator")
        assert result.status == 1
        assert told in result.err
    assert openstack.json("application", "credential", "list", user="creator") == []


@not_beside_novaclient_7
def test_a_credential_is_for_the_project_it_was_made_in(
    cloud: Sandbox, openstack: OpenStack
) -> None:
    other = {"OS_PROJECT_NAME": "other"}
    create = ("application", "credential", "create", "cron")
    made = openstack.json(*create, env=other, **OPERATOR)
    auth = v3.ApplicationCredential(
        cloud.env()["OS_AUTH_URL"],
        application_credential_id=made["ID"],
        application_credential_secret=made["Secret"],
    )
    token = token_of(session.Session(auth), cloud)
    assert token["project"]["name"] == "other"
    assert made["Project ID"] == token["project"]["id"]


# -- regions


@TWO_REGIONS
@not_beside_novaclient_7
def test_openstack_in_each_region(openstack: OpenStack) -> None:
    assert names(openstack.json("server", "list")) == DEMO
    there = ("--os-region-name", "RegionTwo")
    # A region in the variables is the only one that the client knows.
    unsaid = {"OS_REGION_NAME": None}
    listed = openstack.json(*there, "server", "list", env=unsaid)
    assert names(listed) == {"backup1"}
    assert names(openstack.json("server", "list", env=REGION_TWO)) == {"backup1"}
    openstack.json("server", "image", "create", "backup1", env=REGION_TWO)
    images = openstack.json("image", "list", env=REGION_TWO)
    assert names(images) == {IMAGE, "backup1"}
    assert names(openstack.json("image", "list")) == {IMAGE}
    openstack.json("volume", "create", "--size", "1", "there", env=REGION_TWO)
    assert openstack.json("volume", "list") == []
    regions = {
        endpoint["region"]
        for service in openstack.json("catalog", "list")
        for endpoint in service["Endpoints"]
    }
    assert regions == {"RegionOne", "RegionTwo"}


@TWO_REGIONS
def test_nova_in_each_region(nova: Nova) -> None:
    listed = nova.ok("--os-region-name", "RegionTwo", "list")
    assert "backup1" in listed
    assert not any(name in listed for name in DEMO)
    there = ("--os-region-name", "RegionTwo")
    nova.ok(*there, "scheduled-images-enable", "backup1", "2")
    rows = json.loads(
        nova.ok("scheduled-images-list", "--all-regions", "--format", "json")
    )
    assert [(row["region"], row["server"], row["schedule"]) for row in rows] == [
        *(("RegionOne", name, None) for name in sorted(DEMO)),
        ("RegionTwo", "backup1", "daily"),
    ]


@TWO_REGIONS
def test_env_of_a_region(cloud: Sandbox) -> None:
    assert cloud.env(region="RegionTwo")["OS_REGION_NAME"] == "RegionTwo"
    with pytest.raises(ValueError, match="there is no region RegionSix: RegionOne, "):
        cloud.env(region="RegionSix")
