"""The sandbox's APIs without any client: plain HTTP as one of its users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from rax_scheduled_images_ext.sandbox import Sandbox

from .clouds import open_cloud

# A Monday, 12:00 UTC: what a test sees does not hang on when it is run.
START = 1767614400.0

PATCH_TYPE = "application/openstack-images-v2.1-json-patch"


class Caller:
    """One user with a token; ``get("/servers")`` and so on ask the compute API."""

    def __init__(self, sandbox: Sandbox, user: str, session: requests.Session) -> None:
        self.sandbox = sandbox
        self._session = session
        self.env = sandbox.env(user)
        self.token, self.project_id, compute = self._authenticate()
        if sandbox.like == "rackspace":
            self.root = f"{sandbox.url}/DFW/compute/v2/{self.project_id}"
            self.image_root = f"{sandbox.url}/DFW/image"
        else:
            self.root = compute
            self.image_root = f"{sandbox.url}/image"

    def __call__(
        self,
        method: str,
        path: str,
        *,
        version: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> requests.Response:
        """Ask the compute API, or any URL, as this user."""
        sent = {"X-Auth-Token": self.token, "Accept": "application/json"}
        if version:
            sent["OpenStack-API-Version"] = f"compute {version}"
        url = path if path.startswith("http") else self.root + path
        return self._session.request(
            method, url, headers=sent | (headers or {}), timeout=60, **options
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self("POST", path, json=body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self("PUT", path, json=body, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self("DELETE", path, **options)

    def image(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask the image API."""
        return self(method, f"{self.image_root}/v2{path}", **options)

    def patch(self, image_id: str, *operations: Any, **more: Any) -> requests.Response:
        """Change an image with these operations."""
        return self.image(
            "PATCH",
            f"/images/{image_id}",
            json=list(operations),
            headers={"Content-Type": PATCH_TYPE},
            **more,
        )

    def server_id(self, name: str = "myserver") -> str:
        """Return the id of the server of this name."""
        servers = self.get("/servers").json()["servers"]
        return next(str(s["id"]) for s in servers if s["name"] == name)

    def base_image(self) -> str:
        """Return the id of the image that the first servers were booted from."""
        images = self.image("GET", "/images?visibility=public").json()["images"]
        return str(images[0]["id"])

    def boot(self, name: str, **more: Any) -> str:
        """Boot a server; its id."""
        server = {"name": name, "imageRef": self.base_image(), "flavorRef": "1", **more}
        return str(self.post("/servers", {"server": server}).json()["server"]["id"])

    def snapshot(self, server_id: str, name: str, **metadata: str) -> str:
        """Begin a snapshot; its image's id."""
        action = {"createImage": {"name": name, "metadata": metadata}}
        answer = self.post(f"/servers/{server_id}/action", action)
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def _authenticate(self) -> tuple[str, str, str]:
        """Return a token, the ID of its project, and where the compute API is."""
        env = self.env
        if self.sandbox.like == "rackspace":
            given = {"username": env["OS_USERNAME"], "password": env["OS_PASSWORD"]}
            access = self._session.post(
                f"{env['OS_AUTH_URL']}tokens",
                json={"auth": {"passwordCredentials": given}},
            ).json()["access"]
            return access["token"]["id"], access["token"]["tenant"]["id"], ""
        answer = self._session.post(
            f"{env['OS_AUTH_URL']}/auth/tokens", json=password_login(env)
        )
        token = answer.json()["token"]
        (compute,) = (
            endpoint["url"]
            for service in token["catalog"]
            for endpoint in service["endpoints"]
            if (service["type"], endpoint["interface"]) == ("compute", "public")
        )
        return answer.headers["X-Subject-Token"], token["project"]["id"], compute


def password_login(env: dict[str, str], scope: Any = "own") -> dict[str, Any]:
    """Return what is sent to Keystone's v3 for a token, for the user's own project.

    ``scope`` is another scope to ask for, or None to ask for none.
    """
    user = {
        "name": env["OS_USERNAME"],
        "domain": {"id": "default"},
        "password": env["OS_PASSWORD"],
    }
    identity = {"methods": ["password"], "password": {"user": user}}
    if scope == "own":
        project = {"name": env["OS_PROJECT_NAME"], "domain": {"id": "default"}}
        scope = {"project": project}
    return {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}


class Box:
    """A sandbox, and its users as callers."""

    def __init__(self, sandbox: Sandbox, session: requests.Session) -> None:
        self.sandbox = sandbox
        self.session = session
        self._callers: dict[str, Caller] = {}

    def as_(self, user: str) -> Caller:
        """Return the user, logged in."""
        if user not in self._callers:
            self._callers[user] = Caller(self.sandbox, user, self.session)
        return self._callers[user]

    @property
    def admin(self) -> Caller:
        return self.as_("admin")


@contextmanager
def box(like: Any, **options: Any) -> Iterator[Box]:
    """A fresh sandbox whose clock stands still."""
    with (
        open_cloud(like, **{"speed": 0, "start": START, **options}) as sandbox,
        requests.Session() as session,
    ):
        yield Box(sandbox, session)
