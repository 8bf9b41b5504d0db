"""Servers, images and schedules of the sandbox's cloud.

Nothing runs in the background: what a clock would have brought about is made
up for whenever somebody looks (see ``service``), in the order of time.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from . import service
from .clock import Clock
from .models import (
    Action,
    Conflict,
    Flavor,
    Forbidden,
    Image,
    ImageQuery,
    NoSchedule,
    NotFound,
    Schedule,
    Server,
    ServerQuery,
)
from .store import Row, Store, action_of, image_of, schedule_of, server_of

FLAVORS = (
    Flavor("1", "m1.tiny", 512, 1, 1),
    Flavor("2", "m1.small", 2048, 1, 20),
    Flavor("3", "m1.medium", 4096, 2, 40),
)
# Nova hands these properties of a snapshot's base image on to no snapshot.
_NOT_INHERITED = frozenset({"cache_in_nova", "instance_uuid", "user_id", "image_type"})
_SNAPSHOT_STATES = frozenset({"active", "stopped", "paused", "suspended"})


@dataclass(frozen=True)
class Timings:
    """How long each part of a snapshot takes, in virtual seconds."""

    queue: float = 2
    copy: float = 40
    pending: float = 3
    upload: float = 75
    # The image is ACTIVE a moment before the server's task state is cleared.
    release: float = 1

    @property
    def until_active(self) -> float:
        """Seconds from the request to an ACTIVE image."""
        return self.queue + self.copy + self.pending + self.upload

    def task_state(self, elapsed: float, backup: bool) -> str:
        """Return the task state this many seconds after the request."""
        if elapsed < self.queue:
            return "image_backup" if backup else "image_snapshot_pending"
        if elapsed < self.queue + self.copy:
            return "image_backup" if backup else "image_snapshot"
        if elapsed < self.queue + self.copy + self.pending:
            return "image_pending_upload"
        return "image_uploading"


class Cloud:
    """All regions, one clock, one store.

    :param store: where everything is kept; a store with content goes on from
        there, its clock included.
    :param seed: ids and times of day are derived from it.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        regions: Sequence[str] = ("RegionOne",),
        seed: int = 1,
        timings: Timings | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.timings = timings or Timings()
        self.now = 0.0
        self._seed = seed
        self._lock = threading.RLock()
        self._regions = {name: Region(self, name) for name in regions}
        shown, since = store.noted("clock shown"), store.noted("clock since")
        if shown is not None and since is not None:
            clock.resume(shown, since)

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of the regions, the first one being the usual one."""
        return tuple(self._regions)

    def region(self, name: str) -> Region:
        """Return a region by its name.

        :raises NotFound: where there is none of that name.
        """
        try:
            return self._regions[name]
        except KeyError:
            raise NotFound(f"There is no region {name}.") from None

    @contextmanager
    def transaction(self) -> Iterator[float]:
        """Bring the cloud up to the present, and keep what is done inside.

        All requests go through here, one at a time. What is written is on
        disk when this ends; after an exception nothing of it is.
        """
        with self._lock, self.store.transaction():
            before = self.store.changes
            now = self.clock.now()
            service.settle(self, now)
            self.now = now
            yield now
            if self.store.changes != before:
                self.store.note("clock shown", self.clock.now())
                self.store.note("clock since", self.clock.wall())

    def advance(self, seconds: float) -> float:
        """Let virtual time pass, with all that happens in it; return the new time.

        :raises ValueError: for a negative number.
        """
        with self._lock:
            self.clock.advance(seconds)
            with self.transaction() as now:
                self.store.note("advanced", now)
            return now

    def new_id(self) -> str:
        """Return the next id: a random-looking UUID that follows from the seed."""
        serial = (self.store.noted("serial") or 0) + 1
        self.store.note("serial", serial)
        return str(uuid.UUID(bytes=self._digest(f"id {serial}")[:16], version=4))

    def chance(self, *what: object) -> random.Random:
        """Return a random generator that always does the same for ``what``."""
        return random.Random(self._digest(repr(what)))

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._seed} {text}".encode()).digest()


class Region:
    """One region's servers and images; to be used inside a transaction."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.name = name
        self._cloud = cloud
        self._store = cloud.store

    # -- servers

    def servers(self, query: ServerQuery) -> list[Server]:
        """Return a page of servers.

        :raises Invalid: for an unknown marker or sort key.
        """
        return [self._server(r) for r in self._store.select_servers(self.name, query)]

    def server(self, server_id: str, *, deleted: bool = False) -> Server:
        """Return one server; a deleted one only if asked for.

        :raises NotFound: where there is none.
        """
        return self._server(self._row(server_id, deleted=deleted))

    def boot(
        self,
        *,
        project_id: str,
        user_id: str,
        name: str,
        image_id: str,
        flavor_id: str,
        metadata: Mapping[str, str] | None = None,
        description: str | None = None,
        key_name: str | None = None,
        server_id: str | None = None,
    ) -> Server:
        """Make a server, which is ACTIVE at once.

        :raises NotFound: for an unknown image or flavor.
        """
        image = self.image(image_id)
        self.flavor(flavor_id)
        now = self._cloud.now
        row: dict[str, object] = {
            "region": self.name,
            "id": server_id or self._cloud.new_id(),
            "name": name,
            "project_id": project_id,
            "user_id": user_id,
            "image_id": image_id,
            "flavor_id": flavor_id,
            "status": "ACTIVE",
            "vm_state": "active",
            "power_state": 1,
            "created": now,
            "updated": now,
            "launched": now,
            "metadata": json.dumps(dict(metadata or {})),
            "description": description,
            "key_name": key_name,
            "base_properties": json.dumps(dict(image.properties)),
        }
        self._store.insert("servers", [row])
        server = self.server(str(row["id"]))
        self.record(server, "create")
        return server

    def update_server(
        self,
        server_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        clear_description: bool = False,
    ) -> Server:
        """Change the name or the description.

        :raises NotFound: where there is no such server.
        """
        row = self._row(server_id)
        if description is None and not clear_description:
            description = row["description"]
        self._touch(server_id, name=name or row["name"], description=description)
        return self.server(server_id)

    def set_server_metadata(
        self, server_id: str, metadata: Mapping[str, str], *, replace: bool
    ) -> dict[str, str]:
        """Add to the server's metadata, or replace all of it; return the whole."""
        kept = {} if replace else dict(self.server(server_id).metadata)
        whole = kept | dict(metadata)
        self._row(server_id)
        self._touch(server_id, metadata=json.dumps(whole))
        return whole

    def delete_server_metadata(self, server_id: str, key: str) -> None:
        """Take one key away.

        :raises NotFound: where it is not there.
        """
        whole = dict(self.server(server_id).metadata)
        if key not in whole:
            raise NotFound("Metadata item was not found")
        del whole[key]
        self._touch(server_id, metadata=json.dumps(whole))

    def delete_server(self, server_id: str) -> None:
        """Delete the server and its schedule; its finished images stay."""
        server = self.server(server_id)
        snapshot = self._store.first(
            "SELECT image_id FROM snapshots WHERE region = ? AND server_id = ?",
            self.name,
            server_id,
        )
        if snapshot is not None:
            self._end_snapshot(server_id)
            self._discard_unfinished(snapshot["image_id"])
        self.record(server, "delete")
        self._clear_schedule(server_id)
        self._touch(
            server_id,
            status="DELETED",
            vm_state="deleted",
            power_state=0,
            deleted_at=self._cloud.now,
        )

    def start(self, server_id: str) -> None:
        """Power the server on.

        :raises Conflict: where it is not shut off.
        """
        self._switch(server_id, "start", "stopped", "ACTIVE", "active", 1)

    def stop(self, server_id: str) -> None:
        """Power the server off.

        :raises Conflict: where it is not running.
        """
        self._switch(server_id, "stop", "active", "SHUTOFF", "stopped", 4)

    def reset_state(self, server_id: str, state: str) -> None:
        """Force the state: 'active' or 'error'; ends a running snapshot's state."""
        self._row(server_id)
        self._end_snapshot(server_id)
        power = 1 if state == "active" else 0
        self._touch(server_id, status=state.upper(), vm_state=state, power_state=power)

    def hold(self, server_id: str, held: bool) -> None:
        """Shut the server down on the operator's behalf, or give it back."""
        self._row(server_id)
        if held:
            changed = ("SHUTOFF", "stopped", 4)
        else:
            changed = ("ACTIVE", "active", 1)
        status, vm_state, power = changed
        self._touch(
            server_id, held=held, status=status, vm_state=vm_state, power_state=power
        )

    def lock(self, server_id: str, locked: bool) -> None:
        """Lock or unlock the server."""
        self._row(server_id)
        self._touch(server_id, locked=locked)

    def actions(self, server_id: str) -> list[Action]:
        """Return the server's history, newest first; a deleted server has one too."""
        self._row(server_id, deleted=True)
        rows = self._store.all(
            "SELECT * FROM actions WHERE region = ? AND server_id = ?"
            " ORDER BY serial DESC",
            self.name,
            server_id,
        )
        return [action_of(row) for row in rows]

    def record(
        self,
        server: Server,
        action: str,
        *,
        finished: bool = True,
        message: str | None = None,
    ) -> int:
        """Add to the server's history; return the entry's number."""
        row: dict[str, object] = {
            "region": self.name,
            "server_id": server.id,
            "request_id": f"req-{self._cloud.new_id()}",
            "action": action,
            "started": self._cloud.now,
            "finished": self._cloud.now if finished else None,
            "user_id": server.user_id,
            "project_id": server.project_id,
            "message": message,
        }
        self._store.insert("actions", [row])
        newest = self._store.first("SELECT MAX(serial) AS serial FROM actions")
        assert newest is not None
        return int(newest["serial"])

    # -- snapshots

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

    # -- schedules

    def schedule(self, server_id: str) -> Schedule:
        """Return the server's image schedule.

        :raises NotFound: where there is no such server.
        :raises NoSchedule: where it has none.
        """
        schedule = schedule_of(self._row(server_id))
        if schedule is None:
            raise _no_schedule(server_id)
        return schedule

    def set_schedule(
        self, server_id: str, retention: int, day_of_week: str | None
    ) -> Schedule:
        """Enable scheduled images, or change the schedule there is.

        The time of day is not the user's to choose: the first run is between
        one and twenty-three hours after the schedule was first enabled.

        :raises NotFound: where there is no such server.
        """
        row = self._row(server_id)
        second = row["second_of_day"]
        if row["retention"] is None:
            second = service.second_of_day(self._cloud, server_id)
        changes: dict[str, object] = {"retention": retention, "second_of_day": second}
        if row["retention"] is None or row["day_of_week"] != day_of_week:
            changes |= {
                "day_of_week": day_of_week,
                "next_run": service.next_run(self._cloud.now, second, day_of_week),
                "attempt": 0,
            }
        if row["retention"] is None:
            changes["enabled_at"] = self._cloud.now
        self._store.update("servers", self.name, server_id, **changes)
        return self.schedule(server_id)

    def delete_schedule(self, server_id: str) -> None:
        """Disable scheduled images; the images stay.

        :raises NoSchedule: where there is no schedule.
        """
        self.schedule(server_id)
        self._clear_schedule(server_id)

    def _clear_schedule(self, server_id: str) -> None:
        columns = (
            "retention day_of_week enabled_at second_of_day next_run attempt".split()
        )
        self._store.update(
            "servers", self.name, server_id, **dict.fromkeys(columns, None)
        )

    # -- images

    def images(self, query: ImageQuery) -> list[Image]:
        """Return a page of images.

        :raises Invalid: for an unknown marker or sort key.
        """
        rows = self._store.select_images(self.name, query)
        return [image_of(row) for row in rows]

    def image(self, image_id: str, *, deleted: bool = False) -> Image:
        """Return one image; a deleted one only if asked for.

        :raises NotFound: where there is none.
        """
        return image_of(self._image_row(image_id, deleted=deleted))

    def add_image(
        self,
        *,
        owner: str,
        name: str,
        properties: Mapping[str, str] | None = None,
        visibility: str = "private",
        protected: bool = False,
        min_disk: int = 0,
        min_ram: int = 0,
        disk_format: str | None = None,
        container_format: str | None = None,
        tags: Sequence[str] = (),
        image_id: str | None = None,
    ) -> Image:
        """Make an image without data: it is queued.

        :raises Conflict: where the id given is taken.
        """
        now = self._cloud.now
        image_id = image_id or self._cloud.new_id()
        if self._store.first(
            "SELECT 1 FROM images WHERE region = ? AND id = ?", self.name, image_id
        ):
            raise Conflict(f"Image ID {image_id} already exists!")
        image = Image(
            id=image_id,
            name=name,
            region=self.name,
            owner=owner,
            status="queued",
            visibility=visibility,
            protected=protected,
            size=None,
            checksum=None,
            min_disk=min_disk,
            min_ram=min_ram,
            disk_format=disk_format,
            container_format=container_format,
            created=now,
            updated=now,
            deleted_at=None,
            tags=tuple(tags),
            properties=dict(properties or {}),
        )
        self._store.insert("images", [image_row(image)])
        return image

    def upload(self, image_id: str, data: bytes) -> Image:
        """Give a queued image its data: it is active.

        :raises Conflict: where it has data already.
        """
        image = self.image(image_id)
        if image.status != "queued":
            raise Conflict(
                f"Image status transition from {image.status} to saving is not allowed"
            )
        self._store.update(
            "images",
            self.name,
            image_id,
            status="active",
            size=len(data),
            checksum=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            data=data,
            updated=self._cloud.now,
        )
        return self.image(image_id)

    def image_data(self, image_id: str) -> bytes | None:
        """Return the data that was uploaded; a snapshot has none to give."""
        self.image(image_id)
        row = self._store.first(
            "SELECT data FROM images WHERE region = ? AND id = ?", self.name, image_id
        )
        return None if row is None else row["data"]

    def update_image(
        self,
        image_id: str,
        *,
        attributes: Mapping[str, object] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Image:
        """Change base attributes, and replace all custom properties if given.

        :param attributes: any of name, visibility, protected, min_disk,
            min_ram, disk_format, container_format, status, owner and tags.
        :raises NotFound: where there is no such image.
        """
        self._image_row(image_id)
        columns = dict(attributes or {})
        if "tags" in columns:
            columns["tags"] = json.dumps(columns["tags"])
        if properties is not None:
            columns["properties"] = json.dumps(dict(properties))
            columns["server_id"] = properties.get("instance_uuid")
        self._store.update(
            "images", self.name, image_id, updated=self._cloud.now, **columns
        )
        return self.image(image_id)

    def delete_image(self, image_id: str) -> None:
        """Delete the image.

        :raises NotFound: where there is none.
        :raises Forbidden: where it is protected.
        """
        if self.image(image_id).protected:
            raise Forbidden(f"Image {image_id} is protected and cannot be deleted.")
        self._delete_row(image_id)

    # -- flavors

    def flavors(self) -> list[Flavor]:
        """Return all flavors, the smallest first."""
        return list(FLAVORS)

    def flavor(self, flavor_id: str) -> Flavor:
        """Return one flavor.

        :raises NotFound: where there is none.
        """
        for flavor in FLAVORS:
            if flavor.id == flavor_id:
                return flavor
        raise NotFound(f"Flavor {flavor_id} could not be found.")

    # -- rows

    def _row(self, server_id: str, *, deleted: bool = False) -> Row:
        row = self._store.first(
            "SELECT r.*, s.started AS snapshot_started, s.backup AS snapshot_backup"
            " FROM servers r LEFT JOIN snapshots s"
            " ON s.region = r.region AND s.server_id = r.id"
            " WHERE r.region = ? AND r.id = ?",
            self.name,
            server_id,
        )
        if row is None or (row["deleted_at"] is not None and not deleted):
            raise NotFound(f"Instance {server_id} could not be found.")
        return row

    def _server(self, row: Row) -> Server:
        started = row["snapshot_started"]
        if started is None:
            return server_of(row, None)
        elapsed = self._cloud.now - started
        timings = self._cloud.timings
        return server_of(row, timings.task_state(elapsed, bool(row["snapshot_backup"])))

    def _touch(self, server_id: str, **columns: object) -> None:
        self._store.update(
            "servers", self.name, server_id, updated=self._cloud.now, **columns
        )

    def _switch(
        self,
        server_id: str,
        verb: str,
        wanted: str,
        status: str,
        vm_state: str,
        power: int,
    ) -> None:
        server = self.server(server_id)
        if server.vm_state != wanted or server.held:
            raise Conflict(
                f"Cannot '{verb}' instance {server_id} while it is in vm_state"
                f" {server.vm_state}"
            )
        self.record(server, verb)
        self._touch(server_id, status=status, vm_state=vm_state, power_state=power)

    def _image_row(self, image_id: str, *, deleted: bool = False) -> Row:
        row = self._store.image_row(self.name, image_id)
        if row is None or (row["deleted_at"] is not None and not deleted):
            raise NotFound(f"Failed to find image {image_id}")
        return row

    def _delete_row(self, image_id: str) -> None:
        now = self._cloud.now
        self._store.update(
            "images",
            self.name,
            image_id,
            status="deleted",
            deleted_at=now,
            updated=now,
            data=None,
        )


def image_row(image: Image) -> dict[str, object]:
    """Return an image as the store keeps it."""
    row = asdict(image)
    row["tags"] = json.dumps(image.tags)
    row["properties"] = json.dumps(dict(image.properties))
    row["server_id"] = image.properties.get("instance_uuid")
    return row


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


def _no_schedule(server_id: str) -> NoSchedule:
    return NoSchedule(f"Image schedule does not exist for server {server_id}")
