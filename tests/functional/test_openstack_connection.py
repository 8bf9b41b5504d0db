"""Whatever tells ``openstack`` which cloud to ask tells our commands as well."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from rax_scheduled_images_ext.sandbox import Sandbox

from ..openstackshell import OpenStack, not_beside_novaclient_7

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

pytestmark = not_beside_novaclient_7

Env = dict[str, str | None]

SET = ("server", "image", "schedule", "set", "--retention", "7")
# These ask the compute service and the image service.
LIST = ("server", "image", "schedule", "list")
BOTH = {"compute", "image"}


@pytest.fixture
def openstack(cloud: Sandbox, openstack: OpenStack) -> OpenStack:
    """The shell; it has set a schedule already."""
    cloud.requests.clear()
    return openstack


def asked(cloud: Sandbox) -> set[str]:
    """The services asked so far, but for the one of identities."""
    services = {seen.path.split("/")[1] for seen in cloud.requests}
    cloud.requests.clear()
    return services - {"identity"}


@dataclass(frozen=True)
class Clouds:
    """A ``clouds.yaml`` in the place of all variables of a cloud."""

    cloud: Sandbox
    path: Path

    def write(self, **clouds: object) -> Env:
        """Write it, and return the variables of a person who has nothing else."""
        # JSON is YAML as well.
        self.path.write_text(json.dumps({"clouds": clouds}))
        nothing: Env = dict.fromkeys(self.cloud.env(), None)
        return {**nothing, "OS_CLIENT_CONFIG_FILE": str(self.path)}


@pytest.fixture
def clouds(cloud: Sandbox, tmp_path: Path) -> Clouds:
    return Clouds(cloud, tmp_path / "clouds.yaml")


def of_password(cloud: Sandbox, **more: object) -> dict[str, Any]:
    """An entry of ``clouds.yaml`` for the admin."""
    env = cloud.env()
    auth = {
        "auth_url": env["OS_AUTH_URL"],
        "username": env["OS_USERNAME"],
        "password": env["OS_PASSWORD"],
        "project_name": env["OS_PROJECT_NAME"],
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    return {"auth": auth, "region_name": env["OS_REGION_NAME"], **more}


# -- clouds.yaml


def test_clouds_yaml(openstack: OpenStack, cloud: Sandbox, clouds: Clouds) -> None:
    env = clouds.write(mine=of_password(cloud))
    openstack.ok(*SET, "myserver", env={**env, "OS_CLOUD": "mine"})
    assert asked(cloud) == {"compute"}
    rows = openstack.json("--os-cloud", "mine", *LIST, env=env)
    assert {row["Server"]: row["Retention"] for row in rows}["myserver"] == 7
    assert asked(cloud) == BOTH
    result = openstack("--os-cloud", "other", *LIST, env=env)
    assert (result.status, result.out) == (1, "")
    assert result.err == "Cloud other was not found.\n"


def test_an_address_of_ones_own(
    openstack: OpenStack, cloud: Sandbox, clouds: Clouds
) -> None:
    own = {"compute_endpoint_override": f"{cloud.url}/compute/v2.1"}
    wrong = {"image_endpoint_override": f"{cloud.url}/nowhere"}
    env = clouds.write(
        right=of_password(cloud, **own),
        wrong=of_password(cloud, **own, **wrong),
    )
    openstack.ok("--os-cloud", "right", *LIST, env=env)
    result = openstack("--os-cloud", "wrong", *LIST, env=env)
    assert (result.status, result.out) == (1, "")
    assert "/v2/images" in [seen.path for seen in cloud.requests][-1]


# -- application credentials


def test_an_application_credential(
    openstack: OpenStack, cloud: Sandbox, clouds: Clouds
) -> None:
    shown = openstack.json("application", "credential", "create", "for-cron")
    made = {key.lower(): value for key, value in shown.items()}
    login: Env = {
        **dict.fromkeys(cloud.env(), None),
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_AUTH_URL": cloud.env()["OS_AUTH_URL"],
        "OS_APPLICATION_CREDENTIAL_ID": made["id"],
        "OS_APPLICATION_CREDENTIAL_SECRET": made["secret"],
    }
    cloud.requests.clear()
    openstack.ok(*SET, "myserver", env=login)
    assert {row["Server"] for row in openstack.json(*LIST, "--enabled", env=login)} == {
        "myserver"
    }
    assert asked(cloud) == BOTH
    wrong = {**login, "OS_APPLICATION_CREDENTIAL_SECRET": "wrong"}
    result = openstack(*LIST, env=wrong)
    assert (result.status, result.out) == (1, "")
    assert "(HTTP 401)" in result.err

    auth = {
        "auth_url": cloud.env()["OS_AUTH_URL"],
        "application_credential_name": "for-cron",
        "username": "admin",
        "user_domain_name": "Default",
        "application_credential_secret": made["secret"],
    }
    entry = {"auth_type": "v3applicationcredential", "auth": auth}
    openstack.ok("--os-cloud", "cron", *LIST, env=clouds.write(cron=entry))
    openstack.ok("application", "credential", "delete", "for-cron")
    assert openstack(*LIST, env=login).status == 1


# -- regions and versions


def test_a_region_that_is_not_there(openstack: OpenStack, cloud: Sandbox) -> None:
    result = openstack("--os-region-name", "nowhere", *LIST)
    assert (result.status, result.out) == (1, "")
    assert "nowhere" in result.err
    assert len(result.err.splitlines()) == 1
    assert asked(cloud) == set()


@contextmanager
def versions(cloud: Sandbox) -> Iterator[set[tuple[str, str | None]]]:
    """The services asked meanwhile, each with the microversion of the request."""
    seen: set[tuple[str, str | None]] = set()

    def look(application: WSGIApplication) -> WSGIApplication:
        def answer(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            service = environ["REQUEST_URI"].split("/")[1]
            seen.add((service, environ.get("HTTP_OPENSTACK_API_VERSION")))
            return application(environ, start_response)

        return answer

    cloud.wrap(look)
    yield seen
    seen.discard(("identity", None))


def test_the_version_of_the_compute_api(
    openstack: OpenStack, cloud: Sandbox, clouds: Clouds
) -> None:
    with versions(cloud) as seen:
        openstack.ok("--os-compute-api-version", "2.79", *LIST)
    assert seen == {("compute", "compute 2.79"), ("image", None)}
    seen.clear()
    openstack.ok(*LIST, env={"OS_COMPUTE_API_VERSION": "2.60"})
    assert ("compute", "compute 2.60") in seen
    seen.clear()
    entry = of_password(cloud, compute_default_microversion="2.50")
    openstack.ok("--os-cloud", "mine", *LIST, env=clouds.write(mine=entry))
    assert ("compute", "compute 2.50") in seen
    result = openstack("--os-compute-api-version", "2.999", *LIST)
    assert (result.status, result.out) == (1, "")
    assert "2.999" in result.err


# -- TLS


@pytest.fixture
def tls(cloud: Sandbox, tmp_path: Path) -> tuple[Env, str]:
    """The test's cloud by https: its variables, and the file of who vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = cloud._server
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )

    def encrypted(application: WSGIApplication) -> WSGIApplication:
        def answer(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            # The addresses of the catalog follow from it.
            environ["wsgi.url_scheme"] = "https"
            return application(environ, start_response)

        return answer

    cloud.wrap(encrypted)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    url = cloud.env()["OS_AUTH_URL"].replace("http:", "https:")
    return {"OS_AUTH_URL": url}, str(bundle)


def test_a_certificate_is_checked(
    openstack: OpenStack, cloud: Sandbox, tls: tuple[Env, str]
) -> None:
    env, bundle = tls
    result = openstack(*LIST, env=env)
    assert (result.status, result.out) == (1, "")
    assert "certificate verify failed" in result.err
    assert asked(cloud) == set()
    openstack.ok("--os-cacert", bundle, *LIST, env=env)
    assert asked(cloud) == BOTH
    openstack.ok(*LIST, env={**env, "OS_CACERT": bundle})
    assert asked(cloud) == BOTH


def test_a_certificate_need_not_be_checked(
    openstack: OpenStack, cloud: Sandbox, tls: tuple[Env, str], clouds: Clouds
) -> None:
    env, bundle = tls
    openstack.ok("--insecure", *LIST, env=env)
    assert asked(cloud) == BOTH
    entry = of_password(cloud)
    auth = {**entry["auth"], "auth_url": env["OS_AUTH_URL"]}
    env = clouds.write(
        unchecked={**entry, "auth": auth, "verify": False},
        checked={**entry, "auth": auth, "cacert": bundle},
        refused={**entry, "auth": auth},
    )
    for name in ("unchecked", "checked"):
        openstack.ok("--os-cloud", name, *LIST, env=env)
        assert asked(cloud) == BOTH
    assert openstack("--os-cloud", "refused", *LIST, env=env).status == 1


# -- Rackspace


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
class TestRackspace:
    """By an API key, with rackspaceauth's plugin. openstackclient's own ``server
    list`` does not work there: it wants version 3 of the identity API."""

    @pytest.fixture
    def login(self) -> Env:
        return {
            "OS_AUTH_TYPE": "rackspace_apikey",
            "OS_PASSWORD": None,
            "OS_TENANT_NAME": None,
            "OS_PROJECT_NAME": None,
        }

    def test_schedules(self, openstack: OpenStack, cloud: Sandbox, login: Env) -> None:
        openstack.ok(*SET, "--weekly", "sat", "myserver", env=login)
        cloud.advance("30d")
        rows = openstack.json(*LIST, "--enabled", env=login)
        assert [(row["Server"], row["Day"]) for row in rows] == [
            ("myserver", "SATURDAY")
        ]
        shown = openstack.json(*LIST[:3], "show", "myserver", env=login)
        assert (shown["counted"], shown["state"]) == (4, "ok")
        images = openstack.json("server", "snapshot", "list", "myserver", env=login)
        assert len(images) == 4
        openstack.ok("server", "snapshot", "protect", images[-1]["ID"], env=login)
        pruned = openstack.json(
            *("server", "snapshot", "prune", "--keep", "1", "--yes", "myserver"),
            env=login,
        )
        assert [row["Action"] for row in pruned] == ["deleted", "deleted"]

    def test_regions(self, openstack: OpenStack, login: Env) -> None:
        rows = openstack.json(*LIST, "--all-regions", env=login)
        regions = [(row["Region"], row["Server"]) for row in rows]
        assert regions[-1] == ("ORD", "backup1")
        assert {region for region, _ in regions} == {"DFW", "ORD"}
        without: Env = {**login, "OS_REGION_NAME": None}
        rows = openstack.json("--os-region-name", "ORD", *LIST, env=without)
        assert [row["Server"] for row in rows] == ["backup1"]

    def test_a_wrong_key(self, openstack: OpenStack, login: Env) -> None:
        result = openstack(*LIST, env={**login, "OS_API_KEY": "secret-key"})
        assert (result.status, result.out) == (1, "")
        assert "HTTP 401" in result.err
        assert "secret-key" not in result.err
