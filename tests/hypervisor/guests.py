"""Servers whose guest counts on its disk; see ``tests/interop/cloud/files/guest``."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import openstack

from ..interop.cloud.seed import GUEST_FLAVOR, GUEST_IMAGE
from ..interop.terminal import Terminal

Found = TypeVar("Found")

# On a busy machine an emulated guest boots slowly.
PATIENCE = 300.0
_TICK = re.compile(r"^TICK (\d+)\r?$", re.MULTILINE)
_CHECK = re.compile(
    r"^VERIFY last=(\d+) gaps=(\d+) bad=(\d+) checked=(\d+) boots=(\d+)\r?$",
    re.MULTILINE,
)


def until(find: Callable[[], Found], patience: float = PATIENCE) -> Found:
    """Wait until something is true, and return it; leave the guests time to run."""
    end = time.monotonic() + patience
    while not (found := find()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(1)
    return found


def last_tick(console: str) -> int:
    """Return the last number that a console shows as written, 0 for none."""
    found = _TICK.findall(console)
    return int(found[-1]) if found else 0


class Check(NamedTuple):
    """What a guest found on its disk when it booted."""

    last: int
    gaps: int
    bad: int
    checked: int
    boots: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing that was counted is missing or torn."""
        return (self.gaps, self.bad, self.checked) == (0, 0, min(self.last, 15))


@dataclass(frozen=True)
class Guest:
    """A server with such a guest."""

    cloud: Any
    id: str

    @property
    def server(self) -> Any:
        return self.cloud.compute.get_server(self.id)

    @property
    def console(self) -> str:
        """What is on its console since it was booted last."""
        shown = self.cloud.compute.get_server_console_output(self.id)
        return str(shown["output"])

    @property
    def tick(self) -> int:
        """The last number that is on its disk for sure, 0 for none."""
        return last_tick(self.console)

    def count_to(self, number: int) -> int:
        """Wait until a number is on its disk; the last one that is."""
        until(lambda: self.tick >= number)
        return self.tick

    def check(self) -> Check:
        """Wait until it counts on; return what it found before, with nothing torn.

        It counts on from there, so what it found is on the disk that it has now.
        """
        found = until(lambda: _CHECK.findall(self.console))
        check = Check(*map(int, found[-1]))
        self.count_to(check.last + 1)
        assert check.is_clean, check
        return check

    def wait_until_active(self) -> Guest:
        until(lambda: self.server.status in ("ACTIVE", "ERROR"))
        server = self.server
        assert server.status == "ACTIVE", server.fault
        return self


class Lab:
    """A project's guests and images; what it has made is removed at last."""

    def __init__(self, env: Mapping[str, str]) -> None:
        given: dict[str, Any] = {
            key.removeprefix("OS_").lower(): value
            for key, value in env.items()
            if key != "OS_IDENTITY_API_VERSION"
        }
        # Its types are too many to be of use here.
        self.cloud: Any = openstack.connect(load_yaml_config=False, **given)
        self.prefix = f"guest-{uuid.uuid4().hex[:8]}"
        self._network: str | None = None
        self._count = 0

    def name(self, what: str) -> str:
        """Return a unique name."""
        self._count += 1
        return f"{self.prefix}-{self._count}-{what}"

    @property
    def project_id(self) -> str:
        return str(self.cloud.current_project_id)

    @property
    def network(self) -> str:
        """The ID of a network."""
        if self._network is None:
            made = self.cloud.network.create_network(name=self.name("network"))
            self.cloud.network.create_subnet(
                name=self.name("subnet"),
                network_id=made.id,
                ip_version=4,
                cidr="192.0.2.0/24",
            )
            self._network = made.id
        return self._network

    def boot(
        self, what: str, flavor: Mapping[str, Any] = GUEST_FLAVOR
    ) -> tuple[str, Guest]:
        """Boot a server; return its name, and its guest that counts."""
        return self._boot(what, flavor, image_id=self._image.id)

    def boot_from_volume(self, what: str) -> tuple[str, Guest]:
        """Boot a server from a volume that is made of the guest's image."""
        root = {"source_type": "image", "uuid": self._image.id, "boot_index": 0}
        root |= {"destination_type": "volume", "volume_size": 1}
        return self._boot(what, GUEST_FLAVOR, block_device_mapping=[root])

    @property
    def _image(self) -> Any:
        (image,) = self.cloud.image.images(name=GUEST_IMAGE["name"])
        return image

    def _boot(
        self, what: str, flavor: Mapping[str, Any], **root: Any
    ) -> tuple[str, Guest]:
        name = self.name(what)
        made = self.cloud.compute.create_server(
            name=name,
            flavor_id=flavor["id"],
            networks=[{"uuid": self.network}],
            **root,
        )
        return name, Guest(self.cloud, made.id).wait_until_active()

    def guest(self, name: str) -> Guest:
        """Return the guest of the only server that has a name."""
        (server,) = self.named(name)
        return Guest(self.cloud, server.id)

    def named(self, name: str) -> list[Any]:
        """Return the servers that have a name."""
        found = self.cloud.compute.servers(name=f"^{re.escape(name)}$")
        return [server for server in found if server.name == name]

    def make_image(self, terminal: Terminal, name: str) -> int:
        """Make an image of a server; return what its guest had counted before that."""
        guest = self.guest(name)
        counted = guest.count_to(guest.tick + 5)
        terminal.run(f"nova snapshot-create --wait {name} {name}-image")
        return counted

    def images(self, guest: Guest) -> list[Any]:
        """Return the images of a guest's server, newest first."""
        found = self.cloud.image.images(instance_uuid=guest.id)
        return sorted(found, key=lambda image: str(image.created_at), reverse=True)

    def image(self, image_id: str) -> Any:
        return self.cloud.image.get_image(image_id)

    def ports(self, guest: Guest) -> list[Any]:
        """Return the ports of a server."""
        return list(self.cloud.network.ports(device_id=guest.id))

    def addresses(self, guest: Guest) -> set[str]:
        """Return the addresses of a server."""
        ports = self.ports(guest)
        return {each["ip_address"] for port in ports for each in port.fixed_ips}

    def tag(self, guest: Guest, *tags: str) -> None:
        """Let a server have tags."""
        for tag in tags:
            self.cloud.compute.add_tag_to_server(guest.id, tag)

    def delete(self, guest: Guest) -> None:
        """Delete a server, and wait until it is gone."""
        # It may be gone at once.
        server = guest.server
        self.cloud.compute.delete_server(server)
        self.cloud.compute.wait_for_delete(server, wait=PATIENCE)

    def delete_backed(self, name: str) -> None:
        """Delete a server on a volume, those restored from it, and all their volumes.

        The volumes come last: they have snapshots, and those have volumes.
        """
        volumes: Any = self.cloud.block_storage
        guests = [Guest(self.cloud, server.id) for server in self._named_after(name)]
        roots = [root.id for each in guests for root in each.server.attached_volumes]
        for guest in guests:
            self.delete(guest)
        for image in self._own_images():
            if image.name.startswith(name):
                self.cloud.image.delete_image(image)
        for snapshot in list(volumes.snapshots()):
            if snapshot.volume_id in roots:
                volumes.delete_snapshot(snapshot)
        until(lambda: not {each.volume_id for each in volumes.snapshots()} & {*roots})
        for root in roots:
            volumes.delete_volume(root)
        until(lambda: not {each.id for each in volumes.volumes()} & {*roots})

    def _own_images(self) -> list[Any]:
        # All at once: the next page cannot begin after an image that is deleted.
        return list(self.cloud.image.images(visibility="private"))

    def _named_after(self, name: str) -> list[Any]:
        return [s for s in self.cloud.compute.servers() if s.name.startswith(name)]

    def clear(self) -> None:
        """Remove all that is named or made here."""
        mine = [s for s in self.cloud.compute.servers() if self.prefix in s.name]
        for server in mine:
            self.cloud.compute.delete_server(server)
        for server in mine:
            self.cloud.compute.wait_for_delete(server, wait=PATIENCE)
        for image in self._own_images():
            # A safety image is named after its server.
            if self.prefix in image.name:
                self.cloud.image.delete_image(image)
        if self._network is not None:
            self.cloud.network.delete_network(self._network)
