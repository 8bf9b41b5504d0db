"""Rebuilds of a region's servers: new contents of the root disk, new scratch disks.

What Nova destroys is destroyed here: the ephemeral and swap disks in any case, and the
root disk as well where the image has no data to put there, or is gone meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rax_scheduled_images_ext.sandbox.backend.models import (
    CloudError,
    Conflict,
    Flavor,
    Image,
    Invalid,
    Server,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import Part
from rax_scheduled_images_ext.sandbox.backend.region.guests import scratch_devices
from rax_scheduled_images_ext.sandbox.backend.region.images import check_fits
from rax_scheduled_images_ext.sandbox.backend.store import Row

#: The task states of a rebuild, and after how many seconds each of them ends.
STATES = {
    "rebuilding": 2.0,
    "rebuild_block_device_mapping": 4.0,
    "rebuild_spawning": 12.0,
}
_SPAWNING, _DONE = list(STATES.values())[1:]
_REBUILDABLE = ("active", "stopped", "error")


def task_state(elapsed: float) -> str:
    """Return the task state this many seconds after the request."""
    left = (state for state, end in STATES.items() if elapsed < end)
    return next(left, "rebuild_spawning")


class Rebuilds(Part):
    """Beginning and ending rebuilds."""

    def begin(
        self,
        server: Server,
        image: Image,
        *,
        reimage: bool,
        changes: Mapping[str, Any],
    ) -> None:
        """Begin to rebuild a server.

        :param reimage: whether a volume that it boots from may get another image.
        :param changes: of the server's columns, besides those that follow from the
            image.
        :raises Conflict: where the server's state forbids it.
        :raises Invalid: for an image that does not fit, or is another one than that of
            the volume.
        """
        self.check(server)
        volume = server.root_volume and self._region.volumes.get(server.root_volume)
        if volume:
            if volume.image_properties.get("image_id") != image.id and not reimage:
                raise Invalid(
                    f"Image {image.id} is unacceptable: Unable to rebuild with a"
                    " different image for a volume-backed server."
                )
            check_fits(image, ram=self._flavor(server).ram, volume=volume.size)
            if volume.status != "in-use":
                raise Invalid(
                    f"Invalid volume: volume '{volume.id}' status must be 'in-use'."
                    f" Currently in '{volume.status}' status"
                )
        else:
            flavor = self._flavor(server)
            check_fits(image, ram=flavor.ram, disk=flavor.disk)
        self._region.guests.switch_off(server)
        if not volume:
            changes = {**changes, "image_id": image.id}
        base_properties = json.dumps(dict(image.properties))
        self._region.servers.touch(
            server.id, base_properties=base_properties, **changes
        )
        now = self._cloud.now
        row: dict[str, object] = {
            "region": self.name,
            "server_id": server.id,
            "image_id": image.id,
            "started": now,
            "due": now + _SPAWNING,
            "reimage": bool(volume) and reimage,
            "action": self._region.servers.record(server, "rebuild", finished=False),
        }
        self._store.insert("rebuilds", [row])

    @staticmethod
    def check(server: Server) -> None:
        """See that a server's state allows a rebuild.

        :raises Conflict: where it does not.
        """
        if server.vm_state not in _REBUILDABLE or server.held:
            state = f"vm_state {server.vm_state}"
        elif server.task_state is not None:
            state = f"task_state {server.task_state}"
        else:
            return
        raise Conflict(f"Cannot 'rebuild' instance {server.id} while it is in {state}")

    def step(self, row: Row) -> None:
        """Take a rebuild that is due one step on: to new disks, and to its end."""
        server = self._region.servers.get(row["server_id"])
        if row["spawning"]:
            self._finish(server)
            return
        try:
            self._renew_disks(server, row)
        except CloudError as error:
            self.end(server.id, message=str(error))
            self._region.servers.reset_state(server.id, "error", str(error))
            return
        self._store.run(
            "UPDATE rebuilds SET spawning = 1, due = ?"
            " WHERE region = ? AND server_id = ?",
            *(row["started"] + _DONE, self.name, server.id),
        )

    def _finish(self, server: Server) -> None:
        self.end(server.id)
        self._region.guests.switch_on(server)
        if server.vm_state == "stopped":
            # As Nova does, which boots it to shut it down again.
            self._region.guests.switch_off(server)
            return
        self._region.servers.touch(
            server.id, status="ACTIVE", vm_state="active", power_state=1, fault=None
        )

    def end(self, server_id: str, message: str | None = None) -> None:
        """Clear the task state, if a rebuild is under way.

        :param message: why it failed.
        """
        row = self._store.first(
            "SELECT action FROM rebuilds WHERE region = ? AND server_id = ?",
            *(self.name, server_id),
        )
        if row is not None:
            self._store.run(
                "DELETE FROM rebuilds WHERE region = ? AND server_id = ?",
                *(self.name, server_id),
            )
            self._region.servers.finish(server_id, row["action"], message)

    def _renew_disks(self, server: Server, row: Row) -> None:
        disks = self._region.disks
        if server.root_volume is None:
            disks.discard(server.id)
            image = self._region.images.get(row["image_id"])
            disks.copy(image.id, server.id)
            return
        for device in scratch_devices(self._flavor(server)):
            disks.write(server.id, None, device)
        if row["reimage"]:
            self._region.volumes.reimage(server.root_volume, row["image_id"])

    def _flavor(self, server: Server) -> Flavor:
        return self._region.flavors.known(server.flavor_id)
