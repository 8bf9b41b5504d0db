"""A region's volumes and their snapshots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from rax_scheduled_images_ext.sandbox.backend.models import (
    BlockDevice,
    Image,
    Invalid,
    NotFound,
    Volume,
    VolumeSnapshot,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import Part
from rax_scheduled_images_ext.sandbox.backend.store import (
    volume_of,
    volume_snapshot_of,
)
from rax_scheduled_images_ext.sandbox.faults.grammar import (
    FAIL_VOLUME,
    HANG_VOLUME,
    KEEP_VOLUME,
)

_OF_PROJECT = (
    "WHERE region = ? AND project_id = ifnull(?, project_id)"
    " ORDER BY created DESC, id DESC"
)
#: What a volume remembers of its image, besides the image's own properties.
OF_IMAGE = (
    *("image_id", "image_name", "size", "checksum"),
    *("container_format", "disk_format", "min_disk", "min_ram"),
)
_DELETABLE = ("available", "error")
# What the snapshot of a volume comes to by a fault.
_FAULTY = {FAIL_VOLUME: "error", HANG_VOLUME: "creating"}


class Volumes(Part):
    """Listing, making, attaching and deleting volumes, and snapshots of them."""

    def select(self, project_id: str | None) -> list[Volume]:
        """Return the volumes of a project, or of all, newest first."""
        rows = self._store.all(
            f"SELECT * FROM volumes {_OF_PROJECT}",
            self.name,
            project_id,
        )
        return [volume_of(row) for row in rows]

    def of_server(self, server_id: str) -> list[Volume]:
        """Return the volumes that are attached to a server, in the order of devices."""
        rows = self._store.all(
            "SELECT * FROM volumes WHERE region = ? AND server_id = ? ORDER BY device",
            self.name,
            server_id,
        )
        return [volume_of(row) for row in rows]

    def get(self, volume_id: str) -> Volume:
        """Return one volume.

        :raises NotFound: where there is none.
        """
        row = self._store.first(
            "SELECT * FROM volumes WHERE region = ? AND id = ?", self.name, volume_id
        )
        if row is None:
            raise NotFound(f"Volume {volume_id} could not be found.")
        return volume_of(row)

    def add(
        self,
        *,
        project_id: str,
        user_id: str,
        size: int | None = None,
        name: str = "",
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        image_id: str | None = None,
        snapshot_id: str | None = None,
        source_id: str | None = None,
    ) -> Volume:
        """Make a volume, which is available at once: blank, or from one of three.

        :param size: in GiB; None for that of a snapshot or of another volume.
        :param source_id: another volume.
        :raises NotFound: for an unknown source.
        """
        now, properties, bootable = self._cloud.now, {}, image_id is not None
        origin = image_id or snapshot_id or source_id
        if image_id is not None:
            properties = _of_image(self._region.images.get(image_id))
        elif snapshot_id is not None or source_id is not None:
            if snapshot_id is not None:
                source_id = self.snapshot(snapshot_id).volume_id
            source = self.get(str(source_id))
            properties, bootable = dict(source.image_properties), source.bootable
            size = size or source.size
        row: dict[str, object] = {
            "region": self.name,
            "id": self._cloud.new_id(),
            "name": name,
            "description": description,
            "project_id": project_id,
            "user_id": user_id,
            "size": size or 1,
            "created": now,
            "updated": now,
            "bootable": bootable,
            "snapshot_id": snapshot_id,
            "image_properties": json.dumps(properties),
            "metadata": json.dumps(dict(metadata or {})),
            "delete_on_termination": False,
        }
        self._store.insert("volumes", [row])
        if origin is not None:
            self._region.disks.copy(origin, str(row["id"]))
        return self.get(str(row["id"]))

    def reimage(self, volume_id: str, image_id: str) -> None:
        """Replace what is on a volume by an image.

        :raises CloudError: where that image is gone, or has no data: Nova waits for
            Cinder as long as its size tells, which is not at all, and the volume stays
            reserved.
        """
        image = self._region.images.get(image_id)
        if not image.size:
            self._store.update("volumes", self.name, volume_id, reserved=True)
            raise Invalid("Reimage volume failed.")
        self._store.update(
            *("volumes", self.name, volume_id),
            image_properties=json.dumps(_of_image(image)),
            updated=self._cloud.now,
        )
        self._region.disks.copy(image_id, volume_id)

    def delete(self, volume_id: str) -> None:
        """Delete a volume.

        :raises Invalid: where it is attached or has snapshots.
        """
        volume = self.get(volume_id)
        if volume.server_id is not None or self._snapshots_of(volume_id):
            raise Invalid(
                "Invalid volume: Volume status must be available or error or"
                " error_restoring or error_extending or error_managing and must not be"
                " migrating, attached, belong to a group, have snapshots, awaiting a"
                " transfer, or be disassociated from snapshots after volume transfer."
            )
        self._store.run(
            "DELETE FROM volumes WHERE region = ? AND id = ?", self.name, volume_id
        )
        self._region.disks.discard(volume_id)

    def attach(
        self,
        server_id: str,
        devices: Sequence[BlockDevice],
        *,
        project_id: str,
        user_id: str,
    ) -> None:
        """Give a new server its volumes.

        :raises Invalid: for a device whose source is not there, or is in use.
        """
        in_order = sorted(devices, key=_boot_order)
        for letter, device in zip(ascii_lowercase, in_order, strict=False):
            volume = self._volume_for(device, project_id, user_id)
            if volume.server_id is not None:
                raise Invalid(
                    "Invalid volume: Invalid input received: Invalid volume: Volume"
                    f" {volume.id} status must be available or downloading to reserve,"
                    f" but the current status is {volume.status}. (HTTP 400)"
                    f" (Request-ID: {self._cloud.request_id})"
                )
            self._store.update(
                "volumes",
                self.name,
                volume.id,
                server_id=server_id,
                device=f"/dev/vd{letter}",
                boot_index=device.boot_index,
                delete_on_termination=device.delete_on_termination,
                attached=self._cloud.now,
                updated=self._cloud.now,
            )

    def detach(self, server_id: str) -> None:
        """Take a server's volumes away; those go that are to go with it and can."""
        for volume in self.of_server(server_id):
            self._store.update(
                "volumes",
                self.name,
                volume.id,
                server_id=None,
                device=None,
                boot_index=None,
                delete_on_termination=False,
                attached=None,
                reserved=False,
                updated=self._cloud.now,
            )
            if volume.delete_on_termination and not self._snapshots_of(volume.id):
                self.delete(volume.id)

    def snapshots(self, project_id: str | None) -> list[VolumeSnapshot]:
        """Return the volume snapshots of a project, or of all, newest first."""
        rows = self._store.all(
            f"SELECT * FROM volume_snapshots {_OF_PROJECT}",
            self.name,
            project_id,
        )
        return [volume_snapshot_of(row) for row in rows]

    def snapshot(self, snapshot_id: str) -> VolumeSnapshot:
        """Return one volume snapshot.

        :raises NotFound: where there is none.
        """
        row = self._store.first(
            "SELECT * FROM volume_snapshots WHERE region = ? AND id = ?",
            self.name,
            snapshot_id,
        )
        if row is None:
            raise NotFound(f"Snapshot {snapshot_id} could not be found.")
        return volume_snapshot_of(row)

    def add_snapshot(
        self,
        volume_id: str,
        *,
        user_id: str,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        in_use: bool = False,
    ) -> VolumeSnapshot:
        """Make a snapshot of a volume, which is available at once without a fault.

        :param in_use: whether the volume may be attached.
        :raises NotFound: where there is no such volume.
        :raises Invalid: where it is attached, and may not be.
        """
        volume = self.get(volume_id)
        if volume.server_id is not None and not in_use:
            raise Invalid(
                f"Invalid volume: Volume {volume_id} status must be available, but"
                f" current status is: {volume.status}."
            )
        now = self._cloud.now
        fault = self._cloud.faults.of_volume(_FAULTY, *self._names(volume))
        row: dict[str, object] = {
            "region": self.name,
            "id": self._cloud.new_id(),
            "name": name,
            "description": description,
            "project_id": volume.project_id,
            "user_id": user_id,
            "volume_id": volume_id,
            "size": volume.size,
            "status": _FAULTY[fault.kind] if fault else "available",
            "created": now,
            "updated": now,
            "metadata": json.dumps(dict(metadata or {})),
        }
        self._store.insert("volume_snapshots", [row])
        self._region.disks.copy(volume_id, str(row["id"]))
        return self.snapshot(str(row["id"]))

    def set_snapshot_status(self, snapshot_id: str, status: str) -> None:
        """Force the status, such as ``error`` or ``backing-up``.

        :raises NotFound: where there is no such snapshot.
        """
        self.snapshot(snapshot_id)
        self._store.update(
            *("volume_snapshots", self.name, snapshot_id),
            status=status,
            updated=self._cloud.now,
        )

    def set_snapshot_metadata(
        self, snapshot_id: str, metadata: Mapping[str, str]
    ) -> None:
        """Replace the metadata.

        :raises NotFound: where there is no such snapshot.
        """
        self.snapshot(snapshot_id)
        self._store.update(
            *("volume_snapshots", self.name, snapshot_id),
            metadata=json.dumps(dict(metadata)),
            updated=self._cloud.now,
        )

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a volume snapshot; by a fault it is available again.

        :raises NotFound: where there is none.
        :raises Invalid: where its status forbids that.
        """
        snapshot = self.snapshot(snapshot_id)
        if snapshot.status not in _DELETABLE:
            raise Invalid(
                "Invalid snapshot: Snapshot status must be available or error and must"
                " not be part of a group."
            )
        names = self._names(self.get(snapshot.volume_id))
        if self._cloud.faults.of_volume((KEEP_VOLUME,), *names):
            self.set_snapshot_status(snapshot_id, "available")
            return
        self._store.run(
            "DELETE FROM volume_snapshots WHERE region = ? AND id = ?",
            self.name,
            snapshot_id,
        )
        self._region.disks.discard(snapshot_id)

    def finish_snapshots(self) -> None:
        """Let those become available that are still creating."""
        self._store.run(
            "UPDATE volume_snapshots SET status = 'available', updated = ?"
            " WHERE region = ? AND status = 'creating'",
            self._cloud.now,
            self.name,
        )

    def _names(self, volume: Volume) -> tuple[str, ...]:
        """Return what a fault may call the server that a volume is attached to."""
        row = self._store.first(
            "SELECT id, name FROM servers WHERE region = ? AND id = ?",
            self.name,
            volume.server_id,
        )
        return () if row is None else (row["id"], row["name"])

    def _snapshots_of(self, volume_id: str) -> bool:
        """Whether a volume has snapshots."""
        found = self._store.first(
            "SELECT 1 FROM volume_snapshots WHERE region = ? AND volume_id = ?",
            self.name,
            volume_id,
        )
        return found is not None

    def _volume_for(self, device: BlockDevice, project_id: str, user_id: str) -> Volume:
        """Return the volume of a device, a new one unless it names one."""
        try:
            if device.source == "volume":
                found: Volume | VolumeSnapshot = self.get(str(device.id))
            elif device.source == "snapshot":
                found = self.snapshot(str(device.id))
            else:
                return self.add(
                    project_id=project_id,
                    user_id=user_id,
                    size=device.size,
                    description="",
                    image_id=device.id,
                )
            if found.project_id != project_id:
                raise NotFound(f"{device.id} is of another project")
        except NotFound:
            raise Invalid(
                f"Block Device Mapping is Invalid: failed to get {device.source}"
                f" {device.id}."
            ) from None
        if isinstance(found, Volume):
            return found
        return self.add(
            project_id=project_id,
            user_id=user_id,
            size=device.size,
            description="",
            snapshot_id=found.id,
        )


def _of_image(image: Image) -> dict[str, str]:
    """Return what a volume remembers of the image that it was made from."""
    return dict(image.properties) | {
        "image_id": image.id,
        "image_name": image.name,
        "checksum": str(image.checksum),
        "container_format": str(image.container_format),
        "disk_format": str(image.disk_format),
        "min_disk": str(image.min_disk),
        "min_ram": str(image.min_ram),
        "size": str(image.size),
    }


def _boot_order(device: BlockDevice) -> tuple[bool, int]:
    """Sort what is booted from before all else."""
    index = device.boot_index
    return (index is None or index < 0, index or 0)
