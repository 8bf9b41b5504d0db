"""Snapshots of a region's servers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..models import Conflict, Image, ImageQuery, Server
from ..store import Row
from .servers import Servers

# Nova hands these properties of a snapshot's base image on to no snapshot.
_NOT_INHERITED = frozenset({"cache_in_nova", "instance_uuid", "user_id", "image_type"})
# The steps that a running snapshot has still to take.
_UPLOADING, _ACTIVE, _RELEASED = range(3)
_SNAPSHOT_STATES = frozenset({"active", "stopped", "paused", "suspended"})


class Snapshots(Servers):
    """Beginning and ending snapshots and backups."""

    def create_image(
        self,
        server_id: str,
        name: str,
        metadata: Mapping[str, str],
        *,
        user_id: str,
        scheduled: bool = False,
    ) -> Image:
        """Begin a snapshot; its image is queued.

        :raises Conflict: while another snapshot is under way, or the server's
            state forbids one.
        """
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
    ) -> Image | None:
        """Begin a backup and delete those of its type beyond ``rotation``.

        :returns: the queued image; None where a rotation of 0 deletes it again.
        :raises Conflict: as for ``create_image``.
        """
        properties = {"image_type": "backup", "backup_type": backup_type, **metadata}
        image = self._snapshot("createBackup", server_id, name, properties, user_id)
        mine = {"instance_uuid": server_id, "backup_type": backup_type}
        for old in self.images(ImageQuery(properties=mine))[rotation:]:
            self._delete_row(old.id)
        return image if rotation else None

    def step_snapshot(self, row: Row) -> bool:
        """Take a snapshot that is due one step on: uploading, ACTIVE, released.

        :returns: whether its image has just turned ACTIVE.
        """
        server_id, image_id = row["server_id"], row["image_id"]
        step = int(row["step"])
        if step == _RELEASED:
            self.end_snapshot(server_id)
            return False
        timings = self._cloud.timings
        self._store.run(
            "UPDATE snapshots SET step = ?, due = ? WHERE region = ? AND server_id = ?",
            step + 1,
            row["due"] + (timings.release if step == _ACTIVE else timings.upload),
            self.name,
            server_id,
        )
        image = self._store.image_row(self.name, image_id)
        if image is None or image["deleted_at"] is not None:
            return False
        changes = {"status": "saving"} if step == _UPLOADING else self._data(image_id)
        self.update_image(image_id, attributes=changes)
        return step == _ACTIVE

    def end_snapshot(self, server_id: str, *, discard: bool = False) -> None:
        """Clear the task state; ``discard`` deletes an image that is not done."""
        row = self._store.first(
            "SELECT action, image_id FROM snapshots WHERE region = ? AND server_id = ?",
            self.name,
            server_id,
        )
        if row is None:
            return
        self._store.run(
            "DELETE FROM snapshots WHERE region = ? AND server_id = ?",
            self.name,
            server_id,
        )
        self._store.run(
            "UPDATE actions SET finished = ? WHERE serial = ?",
            self._cloud.now,
            row["action"],
        )
        self._touch(server_id)
        if discard and self._image_row(row["image_id"], deleted=True)["status"] in (
            "queued",
            "saving",
        ):
            self._delete_row(row["image_id"])

    def _data(self, image_id: str) -> dict[str, object]:
        """What an image that has all its data looks like."""
        chance = self._cloud.chance("data", image_id)
        return {
            "status": "active",
            "size": chance.randrange(600, 900) * 2**20,
            "checksum": f"{chance.getrandbits(128):032x}",
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
        row = self._row(server_id)
        server = self._server(row)
        _check_snapshot(server, verb)
        now = self._cloud.now
        inherited = {
            key: value
            for key, value in json.loads(row["base_properties"]).items()
            if key not in _NOT_INHERITED
        }
        whole = inherited | {
            "instance_uuid": server_id,
            "user_id": user_id,
            "base_image_ref": server.image_id,
            "boot_roles": "member,reader",
            "owner_user_name": "demo",
            "owner_project_name": "demo",
            **properties,
        }
        image = self.add_image(
            owner=server.project_id,
            name=name,
            properties=whole,
            disk_format="raw",
            container_format="bare",
            min_disk=self.flavor(server.flavor_id).disk,
        )
        action = self.record(server, verb, finished=False)
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
        self._touch(server_id)
        return image


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
