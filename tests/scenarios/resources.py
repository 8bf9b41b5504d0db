"""Making servers and images for scenarios, and removing all of them again."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
from keystoneauth1 import loading, session

from rax_scheduled_images_ext.model.extension import ALIAS
from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE

# What a slow cloud may take for a server or a snapshot.
PATIENCE = float(os.environ.get("SCENARIOS_PATIENCE", 300))
PATCH = "application/openstack-images-v2.1-json-patch"
# Anything else is a plain user's; a cloud that has this at all has it by 2.74.
_MICROVERSION = {"OpenStack-API-Version": "compute 2.45"}
_MISSING = requests.codes.not_found


class Api:
    """The services of a cloud as one user, without any client."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Log in as the OS_* variables say, by any plugin that keystoneauth has."""
        loader: Any = loading.get_plugin_loader(environ.get("OS_AUTH_TYPE", "password"))
        names = {option.dest for option in loader.get_options()}
        given = {
            name: environ[f"OS_{name.upper()}"]
            for name in names
            if f"OS_{name.upper()}" in environ
        }
        self._session = session.Session(loader.load_from_options(**given))
        region: dict[str, Any] = {
            "region_name": environ.get("OS_REGION_NAME"),
            "interface": "public",
        }
        compute = self._session.get_endpoint(service_type="compute", **region)
        image = self._session.get_endpoint(service_type="image", **region)
        volume = self._session.get_endpoint(service_type="block-storage", **region)
        network = self._session.get_endpoint(service_type="network", **region)
        self._urls = {
            "compute": str(compute).rstrip("/"),
            "image": str(image).rstrip("/").removesuffix("/v2") + "/v2",
            # Not every cloud has it.
            "block-storage": str(volume).rstrip("/"),
            "network": str(network).rstrip("/").removesuffix("/v2.0") + "/v2.0",
        }
        self.has_microversions = "/v2/" not in self._urls["compute"]
        self.project_id = str(self._session.get_project_id())

    def token(self) -> str:
        """Return a token of the user."""
        return str(self._session.get_token())

    def polling(self, server_id: str) -> dict[str, str]:
        """Return the variables of ``poll.sh`` for a server."""
        endpoint = self._urls["compute"]
        return {
            "API_ENDPOINT": endpoint,
            "API_TOKEN": self.token(),
            "SERVER_ID": server_id,
        }

    def ask(
        self, service: str, method: str, path: str, body: Any = None, kind: str = ""
    ) -> requests.Response:
        """Send a request; refusals are answers, too."""
        headers = dict(_MICROVERSION) if service == "compute" else {}
        if kind:
            headers["Content-Type"] = kind
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        answer: requests.Response = self._session.request(
            self._urls[service] + path,
            method,
            headers=headers,
            raise_exc=False,
            **(content if body is not None else {}),
        )
        return answer

    def do(
        self, service: str, method: str, path: str, body: Any = None, kind: str = ""
    ) -> Any:
        """Send a request that must succeed; its JSON, None where there is none."""
        answer = self.ask(service, method, path, body, kind)
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield all images of a list."""
        while path:
            page = self.do("image", "GET", path)
            yield from page["images"]
            path = page.get("next", "").partition("/v2")[2]


class Workshop:
    """Makes things whose names all begin alike, and removes what is so called.

    :param env: the OS_* variables of whom they belong to.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.api = Api(env)
        self.prefix = f"scenario-{uuid.uuid4().hex[:8]}"
        self._count = 0
        self._strangers = self._others()

    def name(self, what: str) -> str:
        """Return a unique name."""
        self._count += 1
        return f"{self.prefix}-{self._count}-{what}"

    def boot(
        self,
        image: str | None = None,
        volume_id: str | None = None,
        flavor_id: str | None = None,
        network_id: str | None = None,
        group: str = "default",
    ) -> tuple[str, str]:
        """Boot a server, and return its name and ID once it is ACTIVE.

        :param volume_id: a volume to boot from, in place of an image.
        :param flavor_id: None for the smallest.
        :param network_id: a network to be on, in place of what the person has named.
        :param group: the name of a security group, for that network.
        """
        name = self.name("server")
        form: dict[str, Any] = {
            "name": name,
            "imageRef": image or self._smallest_image(),
            "flavorRef": flavor_id or self._smallest_flavor(),
        }
        if volume_id is not None:
            form["imageRef"] = ""
            root = {"source_type": "volume", "uuid": volume_id, "boot_index": 0}
            form["block_device_mapping_v2"] = [{**root, "destination_type": "volume"}]
        if network_id is not None:
            form |= {
                "networks": [{"uuid": network_id}],
                "security_groups": [{"name": group}],
            }
        elif self.api.has_microversions:
            form["networks"] = os.environ.get("SCENARIOS_NETWORKS", "none")
        body = {"server": form}
        server_id = self.api.do("compute", "POST", "/servers", body)["server"]["id"]
        self.until(f"{name} is ACTIVE", lambda: self._is_active(server_id))
        return name, server_id

    def make_volume(self) -> str:
        """Make a volume that can be booted from; its ID once it is available."""
        form = {
            "name": self.name("volume"),
            "imageRef": self._smallest_image(),
            "size": 1,
        }
        body = {"volume": form}
        volume_id: str = self._volumes("POST", "/volumes", body)["volume"]["id"]
        path = f"/volumes/{volume_id}"
        self.until(
            "the volume is available",
            lambda: self._volumes("GET", path)["volume"]["status"] == "available",
        )
        return volume_id

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume that is no longer attached, and its snapshots before it."""
        path = f"/snapshots/detail?volume_id={volume_id}"

        def snapshots() -> list[dict[str, Any]]:
            return list(self._volumes("GET", path)["snapshots"])

        for snapshot in snapshots():
            if snapshot["status"] != "deleting":
                self._volumes("DELETE", f"/snapshots/{snapshot['id']}")
        self.until("the snapshots are gone", lambda: not snapshots())
        self._volumes("DELETE", f"/volumes/{volume_id}")

    def volume_snapshot(self, snapshot_id: str) -> dict[str, Any] | None:
        """Return a volume snapshot, None where there is none."""
        path = f"/snapshots/{snapshot_id}"
        answer = self.api.ask("block-storage", "GET", path)
        if answer.status_code == _MISSING:
            return None
        assert answer.status_code == requests.codes.ok, answer.text
        found: dict[str, Any] = answer.json()["snapshot"]
        return found

    def wait_for_no_snapshot(self, snapshot_id: str) -> None:
        """Wait until a volume snapshot is gone."""
        self.until(
            "the volume snapshot is gone",
            lambda: self.volume_snapshot(snapshot_id) is None,
        )

    def network(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the network service for something that it must do."""
        return self.api.do("network", method, path, body)

    def _volumes(self, method: str, path: str, body: Any = None) -> Any:
        return self.api.do("block-storage", method, path, body)

    def add_snapshot(
        self, server_id: str, name: str = "", *, marked: bool = True, **form: Any
    ) -> str:
        """Add an image that looks like a snapshot of the server; its ID."""
        properties = {"instance_uuid": server_id, "image_type": "snapshot"}
        if marked:
            properties[MARKER_KEY] = MARKER_VALUE
        return self.add_image(name or self.name("snapshot"), **properties, **form)

    def add_image(self, name: str, **form: Any) -> str:
        """Add a small image; its ID."""
        body = {
            "name": name,
            "disk_format": "raw",
            "container_format": "bare",
            **form,
        }
        image_id: str = self.api.do("image", "POST", "/images", body)["id"]
        kind = "application/octet-stream"
        self.api.do("image", "PUT", f"/images/{image_id}/file", b"\x5a" * 512, kind)
        return image_id

    def snapshot(self, server_id: str, **metadata: str) -> str:
        """Begin a snapshot; its image's ID."""
        form = {"name": self.name("snapshot"), "metadata": metadata}
        path = f"/servers/{server_id}/action"
        answer = self.api.ask("compute", "POST", path, {"createImage": form})
        assert answer.status_code == requests.codes.accepted, answer.text
        location = answer.headers.get("Location", "")
        told = answer.json()["image_id"] if answer.content else None
        return str(told or location.rpartition("/")[2])

    def done(self, server_id: str, image_id: str) -> None:
        """Wait until a snapshot is over and its image ACTIVE."""
        self.until("the snapshot is over", lambda: self.task_state(server_id) is None)
        image = self.image(image_id)
        assert image is not None
        assert image["status"] == "active"

    def image(self, image_id: str) -> dict[str, Any] | None:
        """Return an image as the image service has it, None where there is none."""
        answer = self.api.ask("image", "GET", f"/images/{image_id}")
        if answer.status_code == _MISSING:
            return None
        assert answer.status_code == requests.codes.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def images_of(self, server_id: str) -> list[dict[str, Any]]:
        """Return the images of a server, newest first."""
        return list(self.api.pages(f"/images?instance_uuid={server_id}"))

    def server(self, server_id: str) -> dict[str, Any] | None:
        """Return a server as it is now, None where there is none."""
        answer = self.api.ask("compute", "GET", f"/servers/{server_id}")
        if answer.status_code == _MISSING:
            return None
        assert answer.status_code == requests.codes.ok, answer.text
        found: dict[str, Any] = answer.json()["server"]
        return found

    def task_state(self, server_id: str) -> str | None:
        """Return what the server is busy with."""
        server = self.server(server_id)
        assert server is not None
        state: str | None = server["OS-EXT-STS:task_state"]
        return state

    def delete_server(self, server_id: str) -> None:
        """Delete a server, and wait until it is gone."""
        self.api.do("compute", "DELETE", f"/servers/{server_id}")
        self.until("the server is gone", lambda: self.server(server_id) is None)

    def delete_image(self, image_id: str) -> None:
        """Delete an image."""
        self.api.do("image", "DELETE", f"/images/{image_id}")

    def protect(self, image_id: str, protected: bool = True) -> None:
        """Let the image service refuse to delete an image, or not."""
        change = [{"op": "replace", "path": "/protected", "value": protected}]
        self.api.do("image", "PATCH", f"/images/{image_id}", change, PATCH)

    def clear(self) -> None:
        """Remove all that was made, and make sure that nothing else is missing."""
        for server in self._servers():
            if server["name"].startswith(self.prefix):
                self.delete_server(server["id"])
        # Snapshots made of servers by nova are named by scenarios, with the prefix.
        for image in self._images():
            if (image["name"] or "").startswith(self.prefix):
                if image["protected"]:
                    self.protect(image["id"], False)
                self.delete_image(image["id"])
        left = self._others()
        assert left == self._strangers, left ^ self._strangers

    def until(self, what: str, ready: Callable[[], bool]) -> None:
        """Wait for something that a cloud takes its time for."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < deadline, f"not so after {PATIENCE} s: {what}"
            time.sleep(0.1)

    def _is_active(self, server_id: str) -> bool:
        server = self.server(server_id)
        assert server is not None
        assert server["status"] != "ERROR", server.get("fault")
        return bool(server["status"] == "ACTIVE")

    def _servers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            marker = f"?marker={found[-1]['id']}" if found else ""
            page = self.api.do("compute", "GET", f"/servers{marker}")["servers"]
            found += page
            if not page:
                return found

    def _images(self) -> list[dict[str, Any]]:
        return list(self.api.pages(f"/images?owner={self.api.project_id}"))

    def _others(self) -> set[tuple[str, str]]:
        """Return what is not ours: names and IDs, of images also their last change."""
        return {
            (str(thing["name"]), thing["id"] + thing.get("updated_at", ""))
            for thing in (*self._servers(), *self._images())
            if not str(thing["name"]).startswith(self.prefix)
        }

    def _smallest_flavor(self) -> str:
        if "SCENARIOS_FLAVOR" in os.environ:
            return os.environ["SCENARIOS_FLAVOR"]
        flavors = self.api.do("compute", "GET", "/flavors/detail")["flavors"]
        return str(min(flavors, key=lambda flavor: flavor["ram"])["id"])

    def _smallest_image(self) -> str:
        if "SCENARIOS_IMAGE" in os.environ:
            return os.environ["SCENARIOS_IMAGE"]
        public = self.api.pages("/images?visibility=public&status=active")
        return str(min(public, key=lambda image: image["size"])["id"])


def has_extension(environ: Mapping[str, str]) -> bool:
    """Whether a cloud has scheduled images."""
    answer = Api(environ).ask("compute", "GET", f"/extensions/{ALIAS}")
    assert answer.status_code in (200, 404), answer.text
    return bool(answer.status_code == requests.codes.ok)
