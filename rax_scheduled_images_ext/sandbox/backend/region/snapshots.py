"""Snapshots of a region's servers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from rax_scheduled_images_ext.model.image import LONGEST_NAME, MAPPING_KEY
from rax_scheduled_images_ext.model.task_states import UPLOADING
from rax_scheduled_images_ext.model.volume_snapshots import NAME_PREFIX
from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Image,
    ImageQuery,
    Invalid,
    Server,
    Volume,
    VolumeSnapshot,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import Part, check_metadata
from rax_scheduled_images_ext.sandbox.backend.store import Row
from rax_scheduled_images_ext.sandbox.faults.grammar import (
    FREEZE,
    LOSE_IMAGE,
    STATES,
)

# Nova hands these properties of a snapshot's base image on to no snapshot, and of the
# others so many characters. That of which server the base image was made is among them;
# only a snapshot that is uploaded has its own in its place.
_NOT_INHERITED = frozenset({"cache_in_nova", "bittorrent", MAPPING_KEY})
_LONGEST_INHERITED = 255
# What else it writes into the block device mapping of an image.
_EMPTY_FIELDS = (
    "device_type disk_bus encrypted encryption_format encryption_options"
    " encryption_secret_uuid guest_format"
    " image_id no_device tag volume_id volume_type".split()
)
# The steps that a running snapshot has still to take.
_UPLOADING, _ACTIVE, _RELEASED = range(3)
#: What a step of a snapshot may come to.
BECAME_ACTIVE, WAS_LOST = "active", "lost"
# Seconds into a task state at which a snapshot is surely in it.
_INSTANT = 0.001
_SNAPSHOT_STATES = frozenset({"active", "stopped", "paused", "suspended"})


class Snapshots(Part):
    """Beginning and ending snapshots and backups."""

    def create(
        self,
        server_id: str,
        name: str,
        metadata: Mapping[str, str],
        *,
        user_id: str,
        scheduled: bool = False,
    ) -> Image:
        """Begin a snapshot; its image is queued.

        That of a server that boots from a volume is over at once, without a task state:
        its image has no data, but names a snapshot of each volume.

        :param scheduled: whether it is the service's, and not a user's own.
        :raises Conflict: while another snapshot is under way, or the server's
            state forbids one.
        :raises Forbidden: for too much metadata.
        :raises Invalid: for a name too long to name volume snapshots after it.
        """
        check_metadata(metadata)
        server = self._region.servers.get(server_id)
        if server.boots_from_volume:
            return self._snapshot_volumes(server, name, metadata, user_id)
        properties = {"image_type": "snapshot", **metadata}
        return self._snapshot(
            "createImage", server_id, name, properties, user_id, scheduled=scheduled
        )

    def create_backup(
        self,
        server_id: str,
        name: str,
        backup_type: str,
        rotation: int,
        metadata: Mapping[str, str],
        *,
        user_id: str,
    ) -> Image:
        """Begin a backup and delete those of its type beyond ``rotation``.

        :returns: the queued image, which a rotation of 0 has deleted again.
        :raises Conflict: as for ``create_image``.
        :raises Invalid: for a server that boots from a volume.
        """
        if self._region.servers.get(server_id).boots_from_volume:
            raise Invalid("Backup is not supported for volume-backed instances.")
        properties = {"image_type": "backup", "backup_type": backup_type, **metadata}
        image = self._snapshot("createBackup", server_id, name, properties, user_id)
        mine = {"instance_uuid": server_id, "backup_type": backup_type}
        for old in self._region.images.select(ImageQuery(properties=mine))[rotation:]:
            self._region.images.drop(old.id)
        return image

    def step(self, row: Row) -> str | None:
        """Take a snapshot that is due one step on: uploading, ACTIVE, released.

        :returns: ``BECAME_ACTIVE``, ``WAS_LOST``, or None for anything else.
        """
        server_id, image_id = row["server_id"], row["image_id"]
        if row["fault"] == LOSE_IMAGE and row["due"] >= row["fault_at"]:
            message = f"Image {image_id} could not be found."
            self.end(server_id, discard=True, message=message)
            return WAS_LOST
        step = int(row["step"])
        if step == _RELEASED:
            self.end(server_id)
            return None
        self._plan_snapshot(row, step=step + 1)
        images = self._region.images.name
        image = self._store.image_row(images, image_id)
        if image is None or image["deleted_at"] is not None:
            return None
        if step == _UPLOADING:
            changes: dict[str, object] = {"status": "saving"}
            # What is on the disk at the end of the copy is what the image holds.
            timings = self._cloud.timings
            copied = row["due"] - timings.until_upload + timings.until_copied
            self._region.disks.copy(server_id, image_id, copied)
        else:
            changes = self._data(image_id)
        self._store.update(
            "images", images, image_id, updated=self._cloud.now, **changes
        )
        return BECAME_ACTIVE if step == _ACTIVE else None

    def task_states(self) -> set[str]:
        """Return the task states of the servers of which a snapshot is under way."""
        states = (
            self._region.servers.get(r["server_id"]).task_state for r in self._running()
        )
        return {state for state in states if state}

    def apply_faults(self) -> None:
        """Let faults happen to the snapshots that are under way."""
        for row in self._running():
            if row["fault"] is None:
                self._apply_faults(row, self._region.servers.get(row["server_id"]))

    def clear_faults(self) -> None:
        """Take all faults away; snapshots that stand still go on."""
        for row in self._running():
            started = row["started"]
            if row["fault"] == FREEZE:
                started += max(0.0, self._cloud.now - row["fault_at"])
            self._plan_snapshot(row, fault=None, fault_at=None, started=started)
        self._region.volumes.finish_snapshots()

    def end(
        self, server_id: str, *, discard: bool = False, message: str | None = None
    ) -> None:
        """Clear the task state.

        :param discard: delete an image that is not done.
        :param message: what the server's history says, if the snapshot failed.
        """
        row = self._running_of(server_id)
        if row is None:
            return
        self._store.run(
            "DELETE FROM snapshots WHERE region = ? AND server_id = ?",
            self.name,
            server_id,
        )
        self._region.servers.finish(server_id, row["action"], message)
        image = self._region.images.get(row["image_id"], deleted=True)
        if discard and image.status in ("queued", "saving"):
            self._region.images.drop(image.id)

    def _data(self, image_id: str) -> dict[str, object]:
        """What an image that has all its data looks like."""
        chance = self._cloud.chance("data", image_id)
        return {
            "status": "active",
            "size": chance.randrange(600, 900) * 2**20,
            "checksum": f"{chance.getrandbits(128):032x}",
            "sha512": f"{chance.getrandbits(512):0128x}",
        }

    def _snapshot(
        self,
        verb: str,
        server_id: str,
        name: str,
        properties: Mapping[str, str],
        user_id: str,
        *,
        scheduled: bool = False,
    ) -> Image:
        row = self._region.servers.row(server_id)
        server = self._region.servers.of_row(row)
        _check_snapshot(server, verb)
        now = self._cloud.now
        whole = {
            **_inherited(server),
            "instance_uuid": server_id,
            "user_id": user_id,
            **properties,
        }
        image = self._region.images.add(
            owner=server.project_id,
            name=name,
            properties=whole,
            disk_format="raw",
            container_format="bare",
            min_disk=self._region.flavors.known(server.flavor_id).disk,
        )
        action = self._region.servers.record(server, verb, finished=False)
        self._store.insert(
            "snapshots",
            [
                {
                    "region": self.name,
                    "server_id": server_id,
                    "image_id": image.id,
                    "started": now,
                    "backup": verb == "createBackup",
                    "scheduled": scheduled,
                    "due": now + self._cloud.timings.until_upload,
                    "action": action,
                }
            ],
        )
        self._region.servers.touch(server_id)
        self._apply_faults(self._running_of(server_id), server)
        return image

    def _snapshot_volumes(
        self, server: Server, name: str, metadata: Mapping[str, str], user_id: str
    ) -> Image:
        """Make the image of a server that boots from a volume."""
        _check_snapshot(server, "createImage")
        own_name = NAME_PREFIX + name
        if len(own_name) > LONGEST_NAME:
            raise Invalid(
                "Invalid input received: Invalid input for field/attribute name. Value:"
                f" {own_name}. '{own_name}' is too long (HTTP 400) (Request-ID:"
                f" {self._cloud.request_id})"
            )
        volumes = self._region.volumes.of_server(server.id)
        mapping = []
        for volume in volumes:
            snapshot = self._region.volumes.add_snapshot(
                volume.id,
                user_id=user_id,
                name=own_name,
                description=volume.description,
                in_use=True,
            )
            mapping.append(_snapshot_device(volume, snapshot))
        image = self._region.images.add(
            owner=server.project_id,
            name=name,
            properties={
                **_inherited(server),
                **metadata,
                "root_device_name": str(volumes[0].device),
                MAPPING_KEY: json.dumps(mapping),
                "bdm_v2": "True",
            },
            disk_format="raw",
            container_format="bare",
            min_disk=self._region.flavors.known(server.flavor_id).disk,
        )
        self._region.servers.record(server, "createImage")
        return self._region.images.upload(image.id, b"")

    def _running(self) -> list[Row]:
        """Return the rows of the snapshots that are under way."""
        return self._store.all("SELECT * FROM snapshots WHERE region = ?", self.name)

    def _running_of(self, server_id: str) -> Row | None:
        return self._store.first(
            "SELECT * FROM snapshots WHERE region = ? AND server_id = ?",
            self.name,
            server_id,
        )

    def _apply_faults(self, row: Row | None, server: Server) -> None:
        """Let a fault happen to a snapshot, if there is one for it."""
        assert row is not None
        now, started = self._cloud.now, row["started"]
        spans = {state: self._cloud.timings.span(state) for state in STATES}
        left = [state for state, (_, end) in spans.items() if started + end > now]
        # Once its image is ACTIVE, nothing more can happen to it.
        fault = left and self._cloud.faults.of_snapshot(
            server.id, server.name, states=left
        )
        if not fault:
            return
        moment = now
        if fault.kind == LOSE_IMAGE:
            moment = started + spans[fault.state or UPLOADING][1]
        elif fault.state:
            moment = started + spans[fault.state][0] + _INSTANT
        self._plan_snapshot(row, fault=fault.kind, fault_at=max(moment, now))

    def _plan_snapshot(self, row: Row, **changes: object) -> None:
        """Change a running snapshot, and find out when its next step is due."""
        values = dict(row) | changes
        timings, step = self._cloud.timings, values["step"]
        steps = (timings.until_upload, timings.until_active, timings.until_released)
        due = values["started"] + steps[step]
        if values["fault"] == LOSE_IMAGE:
            due = min(due, values["fault_at"])
        elif values["fault"] == FREEZE and due > values["fault_at"]:
            due = math.inf
        changes["due"] = due
        sets = ", ".join(f"{column} = ?" for column in changes)
        self._store.run(
            f"UPDATE snapshots SET {sets} WHERE region = ? AND server_id = ?",
            *changes.values(),
            self.name,
            row["server_id"],
        )


def _inherited(server: Server) -> dict[str, str]:
    """Return what a snapshot has from the server and from the image it began with."""
    base = server.base_properties.items()
    inherited = {
        key: value[:_LONGEST_INHERITED]
        for key, value in base
        if key not in _NOT_INHERITED
    }
    return inherited | {
        "base_image_ref": server.image_id,
        "boot_roles": "member,reader",
        "owner_user_name": "demo",
        "owner_project_name": "demo",
    }


def _snapshot_device(volume: Volume, snapshot: VolumeSnapshot) -> dict[str, object]:
    """Return a volume's snapshot as the device of a block device mapping."""
    return {
        **dict.fromkeys(_EMPTY_FIELDS),
        "source_type": "snapshot",
        "destination_type": "volume",
        "snapshot_id": snapshot.id,
        "volume_size": volume.size,
        "boot_index": volume.boot_index,
        "device_name": volume.device,
        "delete_on_termination": volume.delete_on_termination,
    }


def _check_snapshot(server: Server, verb: str) -> None:
    if server.task_state is not None:
        raise Conflict(
            f"Cannot '{verb}' instance {server.id} while it is in task_state"
            f" {server.task_state}"
        )
    if server.vm_state not in _SNAPSHOT_STATES or server.held:
        raise Conflict(
            f"Cannot '{verb}' instance {server.id} while it is in vm_state"
            f" {server.vm_state}"
        )
