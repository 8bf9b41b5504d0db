"""Snapshots of a region's servers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..models import Conflict, Image, ImageQuery, Server
from ..store import Row
from .servers import Servers

# Nova hands these properties of a snapshot's base image on to no snapshot.
_NOT_INHERITED = frozenset({"cache_in_nova", "instance_uuid", "user_id", "image_type"})
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

    def finish_snapshot(self, row: Row) -> None:
        """Go one step on with a snapshot that is due: ACTIVE, then released."""
        server_id, image_id = row["server_id"], row["image_id"]
        if row["active"]:
            self._end_snapshot(server_id)
            return
        self._store.run(
            "UPDATE snapshots SET active = 1, due = ?"
            " WHERE region = ? AND server_id = ?",
            self._cloud.now + self._cloud.timings.release,
            self.name,
            server_id,
        )
        alive = self._store.first(
            "SELECT 1 FROM images WHERE region = ? AND id = ? AND deleted_at IS NULL",
            self.name,
            image_id,
        )
        if alive is None:
            return
        chance = self._cloud.chance("size", image_id)
        self._store.update(
            "images",
            self.name,
            image_id,
            status="active",
            updated=self._cloud.now,
            size=chance.randrange(600, 900) * 2**20,
            checksum=f"{chance.getrandbits(128):032x}",
        )

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
                    "due": now + self._cloud.timings.until_active,
                    "action": action,
                }
            ],
        )
        self._touch(server_id)
        return image

    def _end_snapshot(self, server_id: str) -> None:
        row = self._store.first(
            "SELECT action FROM snapshots WHERE region = ? AND server_id = ?",
            self.name,
            server_id,
        )
        if row is not None:
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

    def _discard_unfinished(self, image_id: str) -> None:
        row = self._image_row(image_id, deleted=True)
        if row["status"] == "queued":
            self._delete_row(image_id)


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
