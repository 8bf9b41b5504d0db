"""The cloud that the table is run on, and the servers and images made for it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from keystoneauth1 import session
from keystoneauth1.identity import v3

TIMEOUT = 120


class StageError(Exception):
    """The cloud did not let the table's servers and images be made or removed."""


class Person:
    """Somebody who is logged in.

    :param environ: the OS_* variables of a Keystone v3 password login to a project.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._access = v3.Password(
            auth_url=environ["OS_AUTH_URL"],
            username=environ["OS_USERNAME"],
            password=environ["OS_PASSWORD"],
            project_name=environ["OS_PROJECT_NAME"],
            user_domain_name=environ["OS_USER_DOMAIN_NAME"],
            project_domain_name=environ["OS_PROJECT_DOMAIN_NAME"],
        ).get_access(session.Session())
        self.token = self._access.auth_token or ""
        self.user_id = self._access.user_id or ""
        self.project_id = self._access.project_id or ""

    def address(self, service: str) -> str:
        """Where the catalog says that a service is, without a last slash."""
        found = self._access.service_catalog.url_for(
            service_type=service,
            interface="public",
            region_name=self.environ.get("OS_REGION_NAME"),
        )
        return str(found).rstrip("/")


@dataclass
class Stage:
    """Addresses, and the words that cases use for this cloud's own values.

    :param sleep: lets seconds pass; on a cloud whose time stands still, moves it.
    :param compute: where the compute API is, None for where the catalog says.
    """

    people: Mapping[str, Person]
    sleep: Callable[[float], None] = time.sleep
    compute: str | None = None
    words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        user = self.people["user"]
        environ = user.environ
        address = self.compute or user.address("compute")
        compute = re.sub(r"(/v2\.1).*$", r"\1", address)
        image = re.sub(r"/v2$", "", user.address("image"))
        volume = re.sub(r"(/v3).*$", r"\1", user.address("block-storage"))
        identity = environ["OS_AUTH_URL"].rstrip("/")
        self.addresses = {
            "identity": identity,
            "identity root": identity.removesuffix("/v3"),
            "compute": compute,
            "compute root": compute.removesuffix("/v2.1"),
            "image": f"{image}/v2",
            "image root": image,
            "volume": volume,
            "volume root": volume.removesuffix("/v3"),
        }
        self.words |= {
            "run": f"contract-{uuid.uuid4().hex[:8]}",
            "token": user.token,
            "username": environ["OS_USERNAME"],
            "password": environ["OS_PASSWORD"],
            "user_domain": environ["OS_USER_DOMAIN_NAME"],
            "project_domain": environ["OS_PROJECT_DOMAIN_NAME"],
            "project_name": environ["OS_PROJECT_NAME"],
            "project": user.project_id,
            "user": user.user_id,
            "missing": str(uuid.uuid4()),
            "nothing_hex": uuid.uuid4().hex,
        }
        self._http = requests.Session()

    def fill(self, value: Any) -> Any:
        """Put this cloud's values in the place of words in braces."""
        if isinstance(value, str):
            return re.sub(r"\{(\w+)\}", lambda found: self.words[found[1]], value)
        if isinstance(value, Mapping):
            return {self.fill(key): self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        return value

    def normal(self, text: str) -> str:
        """Put words in the place of this cloud's values: the reverse of ``fill``."""
        for name, address in sorted(
            self.addresses.items(), key=lambda item: -len(item[1])
        ):
            text = text.replace(address, f"{{{name}}}")
        for word in ("token", "project", "user", "missing", "nothing_hex", "run"):
            text = text.replace(self.words[word], f"{{{word}}}")
        text = re.sub(r"req-[0-9a-f-]{36}", "{request}", text)
        # How far a snapshot has come by the next request is left to chance.
        text = re.sub(r"task_state image_\w+", "task_state {task}", text)
        for word, value in self.words.items():
            if len(value) == 36:
                text = text.replace(value, f"{{{word}}}")
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{id}", text)

    def send(
        self,
        service: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request, as it is: nothing is followed and nothing is repeated."""
        sent = {"Accept": "application/json", **(headers or {})}
        if token is not None:
            sent["X-Auth-Token"] = token
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        return self._http.request(
            method,
            self.addresses[service] + path,
            headers=sent,
            timeout=60,
            allow_redirects=False,
            **(content if body is not None else {}),
        )

    def wait_until_idle(self) -> None:
        """Wait until no task is under way on the server."""
        task = "OS-EXT-STS:task_state"
        self._wait("the server", lambda: self._server("server")[task] is None)

    @contextmanager
    def set_up(self) -> Iterator[Stage]:
        """Make the servers and images that cases speak of, and remove them after."""
        try:
            self._make_images()
            self._make_servers()
            yield self
        finally:
            self._clear()

    # What is made. The pauses give each image a second of its own to be ordered by.

    def _make_images(self) -> None:
        image = {"disk_format": "raw", "container_format": "bare"}
        self._make_image("base", image, b"\x5a" * 1024)
        colors = {"color": "red", "shade": "dark", "tags": ["contract"]}
        self._make_image("plain", image | colors, b"\x5a" * 1024)
        self._make_image("kept", image | {"protected": True}, b"\x5a" * 1024)
        self._make_image("wide", image | {"min_disk": 100}, b"\x5a")
        self._make_image("hungry", image | {"min_ram": 2**20}, b"\x5a")
        self._make_image("queued", {})
        self._make_image("dead", {})
        self._do("image", "DELETE", "/images/{dead}")

    def _make_image(
        self, word: str, form: Mapping[str, Any], data: bytes = b""
    ) -> None:
        body = {"name": f"{{run}}-{word}", **form}
        self.words[word] = self._do("image", "POST", "/images", body)["id"]
        if data:
            self._do("image", "PUT", f"/images/{{{word}}}/file", data)
        self.sleep(1.1)

    def _make_servers(self) -> None:
        flavors = self._do("compute", "GET", "/flavors/detail")["flavors"]
        self.words["flavor"] = min(flavors, key=lambda flavor: flavor["ram"])["id"]
        self.boot("gone", tags=["contract"])
        self.sleep(1.1)
        self.boot("server")
        self.sleep(1.1)
        self._do("compute", "DELETE", "/servers/{gone}")
        self._wait("a server to go", lambda: self._server("gone") == {})
        form = {"name": "{run}-snapshot", "metadata": {"color": "blue"}}
        made = self._do(
            "compute", "POST", "/servers/{server}/action", {"createImage": form}
        )
        self.words["snapshot"] = made["image_id"]
        self._wait(
            "the snapshot",
            lambda: (
                self._do("image", "GET", "/images/{snapshot}")["status"] == "active"
            ),
        )
        self.wait_until_idle()

    def make_volumes(self) -> None:
        """Make volumes, a snapshot and a server that boots from a volume, once."""
        if "spare" in self.words:
            return
        form: dict[str, Any] = {"name": "{run}-spare", "size": 1}
        made = self._do("volume", "POST", "/volumes", {"volume": form})
        self.words["spare"] = made["volume"]["id"]
        self._wait_for_volume("volume", "/volumes/{spare}")
        form = {"name": "{run}-kept", "volume_id": "{spare}"}
        made = self._do("volume", "POST", "/snapshots", {"snapshot": form})
        self.words["vsnapshot"] = made["snapshot"]["id"]
        self._wait_for_volume("snapshot", "/snapshots/{vsnapshot}")
        root = {"source_type": "image", "uuid": "{base}", "boot_index": 0}
        root |= {"destination_type": "volume", "volume_size": 1}
        self.boot("backed", imageRef="", block_device_mapping_v2=[root])
        (attached,) = self._server("backed")["os-extended-volumes:volumes_attached"]
        self.words["attached"] = attached["id"]
        form = {"name": "{run}-backed", "metadata": {"color": "blue"}}
        path = "/servers/{backed}/action"
        made = self._do("compute", "POST", path, {"createImage": form})
        self.words["backed_image"] = made["image_id"]

    def _wait_for_volume(self, kind: str, path: str) -> None:
        def ready() -> bool:
            return bool(self._do("volume", "GET", path)[kind]["status"] == "available")

        self._wait(f"the {kind}", ready)

    def boot(self, word: str, **more: Any) -> None:
        """Boot a server, and wait until it runs; its ID is the word's."""
        server = {
            "name": f"{{run}}-{word}",
            "imageRef": "{base}",
            "flavorRef": "{flavor}",
            "networks": "none",
            **more,
        }
        made = self._do("compute", "POST", "/servers", {"server": server})
        self.words[word] = made["server"]["id"]
        self._wait(f"{word} to run", lambda: self._server(word)["status"] == "ACTIVE")

    def _server(self, word: str) -> dict[str, Any]:
        """A server as it is now; empty if there is none."""
        answer = self._ask("compute", "GET", f"/servers/{{{word}}}")
        if answer.status_code == 404:
            return {}
        server: dict[str, Any] = answer.json()["server"]
        if server["status"] == "ERROR":
            raise StageError(
                f"server {server['id']} is in error: {server.get('fault')}"
            )
        return server

    def _clear(self) -> None:
        query = "/servers?name=^{run}-"
        for server in self._do("compute", "GET", query)["servers"]:
            self._do("compute", "DELETE", f"/servers/{server['id']}")
        self._wait(
            "servers to go", lambda: not self._do("compute", "GET", query)["servers"]
        )
        self._clear_volumes()
        for image in list(self._our_images()):
            if image["protected"]:
                change = [{"op": "replace", "path": "/protected", "value": False}]
                self._do("image", "PATCH", f"/images/{image['id']}", change)
            self._do("image", "DELETE", f"/images/{image['id']}")

    def _clear_volumes(self) -> None:
        for word in self.words.keys() & {"spare", "attached"}:
            path = f"/snapshots?volume_id={{{word}}}"

            def snapshots(path: str = path) -> list[dict[str, Any]]:
                return list(self._do("volume", "GET", path)["snapshots"])

            for snapshot in snapshots():
                if snapshot["status"] == "available":
                    self._do("volume", "DELETE", f"/snapshots/{snapshot['id']}")
            self._wait("snapshots to go", lambda: not snapshots())
            self._do("volume", "DELETE", f"/volumes/{{{word}}}")

    def _our_images(self) -> Iterator[dict[str, Any]]:
        path = "/images?owner={project}"
        while path:
            page = self._do("image", "GET", path)
            for image in page["images"]:
                if str(image["name"]).startswith(self.words["run"]):
                    yield image
            path = page.get("next", "").removeprefix("/v2")

    def _do(self, service: str, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed, and return what it answers."""
        answer = self._ask(service, method, path, body)
        if answer.status_code >= 400:
            said = f"HTTP {answer.status_code}: {answer.text[:300]}"
            raise StageError(f"{method} {self.fill(path)}: {said}")
        return answer.json() if answer.content else None

    def _ask(
        self, service: str, method: str, path: str, body: Any = None
    ) -> requests.Response:
        headers = {"OpenStack-API-Version": "compute 2.90, volume 3.0"}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        elif method == "PATCH":
            headers["Content-Type"] = "application/openstack-images-v2.1-json-patch"
        token = self.words["token"]
        return self.send(
            service,
            method,
            self.fill(path),
            body=self.fill(body),
            token=token,
            headers=headers,
        )

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not ready():
            if time.monotonic() > deadline:
                raise StageError(f"waited {TIMEOUT} seconds for {what}")
            self.sleep(0.2)
