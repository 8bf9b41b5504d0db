"""What is on the disks of a region: a number that a guest counts there.

A guest writes the next whole number to each of its disks once a second of virtual
time, as long as it runs. An image or a snapshot holds the numbers of its moment, and a
server made from it counts on from there: so it shows whether the data is back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rax_scheduled_images_ext.sandbox.backend.region.base import Base

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


class Disks(Base):
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
            self._store.insert("disks", [disk_row(self.name, owner, disk, device)])

    def copy(self, source: str, target: str, moment: float | None = None) -> None:
        """Let a root disk hold what another one holds at a moment, now by default."""
        disk = self.read(source)
        moment = self._cloud.now if moment is None else moment
        self.write(target, disk and disk.at(moment))

    def discard(self, owner: str) -> None:
        """Forget all disks of what is deleted."""
        self._store.run(
            "DELETE FROM disks WHERE region = ? AND id = ?", self.name, owner
        )


def disk_row(
    region: str, owner: str, disk: Disk, device: str = ROOT
) -> dict[str, object]:
    """Return a disk as the store keeps it."""
    return {"region": region, "id": owner, "device": device, **vars(disk)}
