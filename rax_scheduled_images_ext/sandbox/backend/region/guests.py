"""The guests of a region's servers: what they do on their disks, and their consoles."""

from __future__ import annotations

from collections.abc import Iterator

from rax_scheduled_images_ext.sandbox.backend.models import Flavor, NotFound, Server
from rax_scheduled_images_ext.sandbox.backend.region.base import Part
from rax_scheduled_images_ext.sandbox.backend.region.disks import ROOT, Disk
from rax_scheduled_images_ext.sandbox.backend.region.flavors import Flavors

# An image with this property, and this value, makes servers without a console.
_PORTS, _NO_PORT = "hw_serial_port_count", "0"
# How many of its numbers a console shows.
_SHOWN = 20


class Guests(Part):
    """Switching guests on and off, and reading what they print."""

    def switch_on(self, server: Server) -> None:
        """Boot the guest; without a system nothing happens."""
        if self._region.disks.read(_root(server)) is not None:
            for owner, device in self._of(server):
                disk = self._region.disks.read(owner, device) or Disk()
                self._region.disks.write(owner, disk.booted(self._cloud.now), device)

    def switch_off(self, server: Server) -> None:
        """Let the guest write no more."""
        for owner, device in self._of(server):
            disk = self._region.disks.read(owner, device)
            if disk is not None:
                self._region.disks.write(owner, disk.at(self._cloud.now), device)

    def console(self, server: Server) -> list[str]:
        """Return the lines that were printed since the last boot.

        :raises NotFound: where the server has no console.
        """
        if server.base_properties.get(_PORTS) == _NO_PORT:
            raise NotFound("Guest does not have a console available.")
        root = self._region.disks.read(_root(server))
        if root is None:
            return ["Boot failed: not a bootable disk", "", "No bootable device."]
        last = root.at(self._cloud.now).last
        first = max(root.found, last - _SHOWN) + 1
        return [
            f"VERIFY last={root.found} gaps=0 bad=0 boots={root.boots}",
            *self._scratch(server),
            f"Debian GNU/Linux 12 {server.hostname} ttyS0",
            "",
            f"{server.hostname} login:",
            *(f"TICK {number}" for number in range(first, last + 1)),
            *([] if root.since else ["reboot: Power down"]),
        ]

    def _scratch(self, server: Server) -> Iterator[str]:
        for owner, device in self._of(server):
            if device != ROOT:
                disk = self._region.disks.read(owner, device) or Disk()
                yield f"{device.upper()} last={disk.found}"

    def _of(self, server: Server) -> Iterator[tuple[str, str]]:
        """Yield each disk of a server that its guest writes to."""
        yield _root(server), ROOT
        for device in scratch_devices(Flavors.known(server.flavor_id)):
            yield server.id, device


def scratch_devices(flavor: Flavor) -> list[str]:
    """Return the disks besides the root one that a flavor gives a server."""
    devices = {"ephemeral": flavor.ephemeral, "swap": flavor.swap}
    return [device for device, size in devices.items() if size]


def _root(server: Server) -> str:
    """Return what has the server's root disk: the server itself, or a volume."""
    return server.root_volume or server.id
