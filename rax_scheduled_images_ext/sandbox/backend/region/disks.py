"""What is on the disks of a region: a number that a guest counts there.

A guest writes the next whole number to each of its disks once a second of virtual
time, as long as it runs. An image or a snapshot holds the numbers of its moment, and a
server made from it counts on from there: so it shows whether the data is back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rax_scheduled_images_ext.sandbox.backend.region.base import OfImages

#: The disk with the system, of a server, an image, a volume or a volume snapshot.
ROOT = "root"


@dataclass(frozen=True)
class Disk:
    """A disk with something on it; a blank one is None.

    ``last`` is the number on it, ``found`` the one that the last boot found, ``boots``
    how many boots it has seen. ``since`` is the moment from which a guest counts on;
    None for a disk that nobody writes to.
    """

    last: int = 0
    found: int = 0
    boots: int = 0
    since: float | None = None

    def at(self, moment: float) -> Disk:
        """Return what a copy made at this moment holds."""
        if self.since is None:
            return self
        counted = max(0, int(moment - self.since))
        return replace(self, last=self.last + counted, since=None)

    def booted(self, moment: float) -> Disk:
        """Return the disk as a guest that boots from it at this moment leaves it."""
        disk = self.at(moment)
        return Disk(disk.last, disk.last, disk.boots + 1, moment)


class Disks(OfImages):
    """Reading, writing and copying disks, each named by the ID of what has it."""

    def read(self, owner: str, device: str = ROOT) -> Disk | None:
        """Return a disk; None for a blank one."""
        row = self._store.first(
            "SELECT last, found, boots, since FROM disks"
            " WHERE region = ? AND id = ? AND device = ?",
            *(self.name, owner, device),
        )
        return None if row is None else Disk(*row)

    def write(self, owner: str, disk: Disk | None, device: str = ROOT) -> None:
        """Put something on a disk in the place of all that was there."""
        self._store.run(
            "DELETE FROM disks WHERE region = ? AND id = ? AND device = ?",
            *(self.name, owner, device),
        )
        if disk is not None:
            key = {"region": self.name, "id": owner, "device": device}
            self._store.insert("disks", [{**key, **vars(disk)}])

    def copy(self, source: str, target: str, moment: float | None = None) -> None:
        """Let a root disk hold what another one holds at a moment, now by default."""
        disk = self.read(source)
        moment = self._cloud.now if moment is None else moment
        self.write(target, disk and disk.at(moment))

    def write_fleet(self, server_ids: Sequence[str], copied: float) -> None:
        """Write the root disks of many new servers that have run since they were made.

        Those of their images are written as well, all at once.

        :param copied: after how many seconds a snapshot's disk is copied.
        """
        these = (self.name, json.dumps(list(server_ids)))
        into = "INSERT INTO disks (region, id, device, last, found, boots, since)"
        of_these = "s.region = ? AND s.id IN (SELECT value FROM json_each(?))"
        self._store.run(
            f"{into} SELECT s.region, s.id, '{ROOT}', 0, 0, 1, s.created FROM servers s"
            f" WHERE {of_these}",
            *these,
        )
        self._store.run(
            f"{into} SELECT i.region, i.id, '{ROOT}',"
            " CAST(i.created + ? - s.created AS INTEGER), 0, 1, NULL"
            " FROM servers s JOIN images i"
            f" ON i.region = s.region AND i.server_id = s.id WHERE {of_these}",
            *(copied, *these),
        )

    def discard(self, owner: str) -> None:
        """Forget all disks of what is deleted."""
        self._store.run(
            "DELETE FROM disks WHERE region = ? AND id = ?", self.name, owner
        )
