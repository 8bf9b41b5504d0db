"""A small cloud in memory, for restores: servers with a disk that holds a word.

It answers at the adapter, as a real one does over HTTP, and lets a test do something at
every request. Time passes only while somebody waits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from keystoneauth1 import exceptions as keystone

from rax_scheduled_images_ext import Cloud
from rax_scheduled_images_ext.model.image import SERVER_KEY
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
PROJECT = "1" * 32
COPY, UPLOAD, REBUILD, STOP, BOOT = 5.0, 12.0, 9.0, 1.5, 4.0
FLAVORS = {
    "1": {"name": "small", "ram": 2048, "disk": 20, "swap": "", "ephemeral": 0},
    "2": {"name": "scratch", "ram": 2048, "disk": 20, "swap": "", "ephemeral": 10},
    "3": {"name": "tiny", "ram": 512, "disk": 1, "swap": "", "ephemeral": 0},
    "4": {"name": "swapping", "ram": 2048, "disk": 20, "swap": 512, "ephemeral": 0},
}


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class Server:
    id: str
    name: str
    disk: str
    image_id: str
    flavor_id: str = "1"
    status: str = "ACTIVE"
    task: str | None = None
    locked: bool = False
    project: str = PROJECT
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    networks: tuple[str, ...] = ("net-1",)
    base: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass
class Image:
    id: str
    name: str
    data: str
    created: datetime
    status: str = "active"
    size: int | None = 1000
    owner: str = PROJECT
    min_disk: int = 0
    properties: dict[str, str] = field(default_factory=dict)
    updated: datetime | None = None


class Killed(BaseException):
    """The program is gone."""


@dataclass
class Seen:
    """A request, and what was answered."""

    method: str
    url: str
    body: Any
    status: int = 0
    answer: Any = None


class FakeCloud:
    """``hook`` is called before and after each request is done, with its number.

    What it returns is answered instead; what it raises has happened to the program.
    """

    def __init__(self) -> None:
        self.now = START
        self.servers: dict[str, Server] = {}
        self.images: dict[str, Image] = {}
        self.volume_snapshots: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.hook: Callable[[int, str, Seen], Any] = lambda _n, _when, _seen: None
        self.quota: int | None = None
        self.fails: set[str] = set()
        self._numbers = 100
        self._later: list[tuple[datetime, Callable[[], object]]] = []

    # -- what a test uses

    def add_server(self, name: str, disk: str = "now", **more: Any) -> Server:
        server = Server(self._new(), name, disk, more.pop("image_id", uuid_of(1)))
        for key, value in more.items():
            setattr(server, key, value)
        self.servers[server.id] = server
        return server

    def add_image(
        self, server_id: str | None, data: str, days: float, **more: Any
    ) -> Image:
        """Add an image that is so many days old."""
        created = self.now - timedelta(days=days)
        properties = more.pop("properties", {})
        if server_id is not None:
            properties = {
                SERVER_KEY: server_id,
                "image_type": "snapshot",
                **properties,
            }
        image = Image(self._new(), f"of-{data}", data, created, properties=properties)
        for key, value in more.items():
            setattr(image, key, value)
        self.images[image.id] = image
        return image

    def cloud(self) -> Cloud:
        def open_adapter(service: str, **options: Any) -> Any:
            return Adapter(self, service, options)

        return Cloud(open_adapter)

    def poller(self, limit: float = 3600.0) -> Poller:
        fake = self

        class Waiting(SignalCatcher):
            def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
                fake.pass_time(max(seconds, 0.01))

            def call(self, function: Any, *_: Any, **__: Any) -> Any:
                return function()

        return Poller(
            Waiting(catch=False),
            Timeouts(total=limit),
            Listener(),
            clock=lambda: (self.now - START).total_seconds(),
        )

    def pass_time(self, seconds: float) -> None:
        end = self.now + timedelta(seconds=seconds)
        while True:
            due = [each for each in self._later if each[0] <= end]
            if not due:
                break
            first = min(due, key=lambda each: each[0])
            self._later.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = end

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        self._later.append((self.now + timedelta(seconds=seconds), what))

    def changes(self) -> list[Seen]:
        """The requests that change something, as they were sent."""
        return [each for each in self.seen if each.method != "GET"]

    # -- answers

    def handle(self, service: str, seen: Seen) -> tuple[int, Any]:
        url = urlsplit(seen.url)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        paths: tuple[tuple[str, str, Callable[..., tuple[int, Any]]], ...] = (
            ("GET", r"/servers/detail", self._list_servers),
            ("GET", r"/servers/([^/]+)", self._get_server),
            ("GET", r"/servers/([^/]+)/os-interface", self._interfaces),
            ("GET", r"/os-server-groups", self._groups),
            ("GET", r"/flavors/detail", self._flavors),
            ("GET", r"/flavors/([^/]+)", self._flavor),
            ("POST", r"/servers", self._boot),
            ("POST", r"/servers/([^/]+)/action", self._act),
            ("GET", r"/images", self._list_images),
            ("GET", r"/images/([^/]+)", self._get_image),
            ("PATCH", r"/images/([^/]+)", self._patch_image),
            ("GET", r"/snapshots/([^/]+)", self._get_snapshot),
        )
        for method, pattern, do in paths:
            found = re.fullmatch(pattern, url.path)
            if (
                method == seen.method
                and found
                and (pattern != r"/flavors/([^/]+)" or found[1] != "detail")
            ):
                given: Any = {"query": query, "body": seen.body}
                return do(*found.groups(), **given)
        raise AssertionError(f"{seen.method} {seen.url}")

    def _server_view(self, server: Server) -> dict[str, Any]:
        image: Any = "" if not server.image_id else {"id": server.image_id}
        return {
            "id": server.id,
            "name": server.name,
            "status": server.status,
            "tenant_id": server.project,
            "OS-EXT-STS:task_state": server.task,
            "locked": server.locked,
            "image": image,
            "flavor": {"id": server.flavor_id},
            "metadata": server.metadata,
            "tags": server.tags,
            "security_groups": [{"name": "default"}],
            "key_name": None,
            "os-extended-volumes:volumes_attached": [],
        }

    def _list_servers(self, query: Any, **_: Any) -> tuple[int, Any]:
        found = [s for s in self.servers.values() if re.search(query["name"], s.name)]
        return 200, {"servers": [self._server_view(each) for each in found]}

    def _get_server(self, server_id: str, **_: Any) -> tuple[int, Any]:
        server = self.servers.get(server_id)
        if server is None:
            return 404, {"itemNotFound": {"message": "no such server"}}
        return 200, {"server": self._server_view(server)}

    def _interfaces(self, server_id: str, **_: Any) -> tuple[int, Any]:
        if server_id not in self.servers:
            return 404, None
        networks = self.servers[server_id].networks
        return 200, {"interfaceAttachments": [{"net_id": n} for n in networks]}

    def _groups(self, **_: Any) -> tuple[int, Any]:
        return 200, {"server_groups": []}

    def _flavor(self, flavor_id: str, **_: Any) -> tuple[int, Any]:
        if flavor_id not in FLAVORS:
            return 404, {"itemNotFound": {"message": "no such flavor"}}
        return 200, {"flavor": self._flavor_view(flavor_id)}

    def _flavors(self, **_: Any) -> tuple[int, Any]:
        return 200, {"flavors": list(map(self._flavor_view, FLAVORS))}

    def _flavor_view(self, flavor_id: str) -> dict[str, Any]:
        flavor = dict(FLAVORS[flavor_id])
        flavor["OS-FLV-EXT-DATA:ephemeral"] = flavor.pop("ephemeral")
        return {"id": flavor_id, **flavor}

    def _boot(self, body: Any, **_: Any) -> tuple[int, Any]:
        wanted = body["server"]
        image = self.images.get(wanted["imageRef"])
        if image is None or image.status != "active":
            return 400, {"badRequest": {"message": "no such image"}}
        server = self.add_server(
            wanted["name"],
            "",
            image_id="" if "block_device_mapping" in image.properties else image.id,
            flavor_id=wanted["flavorRef"],
            status="BUILD",
            metadata=dict(wanted["metadata"]),
            tags=list(wanted.get("tags", ())),
            body=body,
        )

        def done() -> None:
            bad = "boot" in self.fails
            server.status = "ERROR" if bad else "ACTIVE"
            server.disk = image.data

        self.after(BOOT, done)
        return 202, {"server": {"id": server.id, "adminPass": "secret-word"}}

    def _act(self, server_id: str, body: Any, **_: Any) -> tuple[int, Any]:
        server = self.servers.get(server_id)
        if server is None:
            return 404, {"itemNotFound": {"message": "no such server"}}
        if "createImage" in body:
            return self._create_image(server, body["createImage"])
        return self._rebuild(server, body["rebuild"])

    def _create_image(self, server: Server, wanted: Any) -> tuple[int, Any]:
        if server.task is not None or server.status not in ("ACTIVE", "SHUTOFF"):
            return 409, {"conflictingRequest": {"message": "busy"}}
        if self.quota is not None and len(self.images) >= self.quota:
            return 500, {"computeFault": {"message": "HTTPOverLimit"}}
        properties = {
            **server.base,
            **wanted["metadata"],
            SERVER_KEY: server.id,
            "image_type": "snapshot",
        }
        image = self.add_image(server.id, server.disk, 0, name=wanted["name"])
        image.properties, image.status, image.size = properties, "queued", None
        if "orphan" in self.fails:
            return 500, {"computeFault": {"message": "HTTPConflict"}}
        server.task = "image_snapshot"

        def copied() -> None:
            image.status = "saving"

        def crashed() -> None:
            image.status = "queued"
            server.task = None

        def done() -> None:
            bad = "snapshot" in self.fails
            image.status = "killed" if bad else "active"
            image.size = 0 if bad or "empty" in self.fails else 1000
            image.updated = self.now

        def released() -> None:
            if server.task == "image_snapshot":
                server.task = None

        self.after(COPY, copied)
        if "crash" in self.fails:
            self.after(COPY + 1, crashed)
            return 202, {"image_id": image.id}
        self.after(UPLOAD, done)
        self.after(UPLOAD + 1, released)
        return 202, {"image_id": image.id}

    def _rebuild(self, server: Server, wanted: Any) -> tuple[int, Any]:
        if server.locked or server.task is not None:
            return 409, {"conflictingRequest": {"message": "locked or busy"}}
        if server.status not in ("ACTIVE", "SHUTOFF", "ERROR"):
            return 409, {"conflictingRequest": {"message": "wrong state"}}
        image = self.images.get(wanted["imageRef"])
        if image is None or image.status != "active":
            return 400, {"badRequest": {"message": "no such image"}}
        before = server.status
        server.image_id, server.task = image.id, "rebuilding"
        server.status, server.base = "REBUILD", dict(image.properties)
        # As Nova does: without data the disk is empty.
        data = (
            image.data
            if image.size and "block_device_mapping" not in (image.properties)
            else ""
        )
        server.disk = ""

        def done() -> None:
            server.task, server.status, server.disk = None, "ACTIVE", data
            if "rebuild" in self.fails:
                server.status, server.disk = "ERROR", ""
            elif before == "SHUTOFF" and "stop" not in self.fails:
                # As Nova does, too: it runs for a moment.
                self.after(STOP, stopping)

        def stopping() -> None:
            if server.task is None and server.status == "ACTIVE":
                server.task = "powering-off"
                self.after(STOP, stopped)

        def stopped() -> None:
            server.task, server.status = None, "SHUTOFF"

        self.after(REBUILD, done)
        return 202, {"server": {"id": server.id, "adminPass": "secret-word"}}

    def _image_view(self, image: Image) -> dict[str, Any]:
        return {
            "id": image.id,
            "name": image.name,
            "status": image.status,
            "size": image.size,
            "owner": image.owner,
            "min_disk": image.min_disk,
            "min_ram": 0,
            "created_at": f"{image.created:%Y-%m-%dT%H:%M:%SZ}",
            "updated_at": f"{image.updated or image.created:%Y-%m-%dT%H:%M:%SZ}",
            **image.properties,
        }

    def _list_images(self, query: Any, **_: Any) -> tuple[int, Any]:
        wanted = query.get(SERVER_KEY)
        found = [
            image
            for image in self.images.values()
            if wanted in (None, image.properties.get(SERVER_KEY))
            and query.get("name") in (None, image.name)
        ]
        return 200, {"images": list(map(self._image_view, found))}

    def _get_image(self, image_id: str, **_: Any) -> tuple[int, Any]:
        if image_id not in self.images:
            return 404, None
        return 200, self._image_view(self.images[image_id])

    def _patch_image(self, image_id: str, body: Any, **_: Any) -> tuple[int, Any]:
        if image_id not in self.images:
            return 404, None
        properties = dict(self.images[image_id].properties)
        for change in body:
            key = change["path"][1:]
            if change["op"] == "remove":
                if key not in properties:
                    return 409, None
                del properties[key]
            else:
                properties[key] = change["value"]
        self.images[image_id].properties = properties
        return 200, self._image_view(self.images[image_id])

    def _get_snapshot(self, snapshot_id: str, **_: Any) -> tuple[int, Any]:
        status = self.volume_snapshots.get(snapshot_id)
        if status is None:
            return 404, {"itemNotFound": {"message": "no such snapshot"}}
        return 200, {"snapshot": {"id": snapshot_id, "status": status}}

    def _new(self) -> str:
        self._numbers += 1
        return uuid_of(self._numbers)


class Adapter:
    """What keystoneauth's adapter is to this package."""

    def __init__(self, fake: FakeCloud, service: str, options: dict[str, Any]) -> None:
        self._fake = fake
        self._service = service
        self.default_microversion = options.get("default_microversion")
        self.region_name = "RegionOne"
        self.session = SimpleNamespace(
            session=SimpleNamespace(adapters={}), timeout=None
        )

    def get_endpoint(self) -> str:
        return f"http://{self._service}/v2"

    def get_project_id(self) -> str:
        return PROJECT

    def request(self, url: str, method: str, **options: Any) -> requests.Response:
        fake = self._fake
        seen = Seen(method, url, options.get("json"))
        number = len(fake.seen)
        fake.seen.append(seen)
        said = fake.hook(number, "before", seen)
        if said is None:
            seen.status, seen.answer = fake.handle(self._service, seen)
            said = fake.hook(number, "after", seen)
        if isinstance(said, Exception):
            seen.status = 0
            raise said
        if said is not None:
            seen.status, seen.answer = said, None
        answer = requests.Response()
        answer.status_code = seen.status
        content = "" if seen.answer is None else json.dumps(seen.answer)
        answer._content = content.encode()
        answer.headers["date"] = format_datetime(fake.now, usegmt=True)
        answer.headers["x-openstack-nova-api-version"] = "2.26"
        return answer


def lost() -> Exception:
    """What a lost connection raises."""
    return keystone.ConnectFailure("lost")
