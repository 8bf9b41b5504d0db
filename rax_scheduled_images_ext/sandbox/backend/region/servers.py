"""A region's servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from rax_scheduled_images_ext.sandbox.backend.models import (
    Action,
    BlockDevice,
    Conflict,
    Flavor,
    Forbidden,
    Invalid,
    Nic,
    NotFound,
    SecurityGroup,
    Server,
    ServerQuery,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import Part, check_metadata
from rax_scheduled_images_ext.sandbox.backend.region.images import check_fits
from rax_scheduled_images_ext.sandbox.backend.region.rebuilds import (
    task_state as rebuild_state,
)
from rax_scheduled_images_ext.sandbox.backend.region.volumes import OF_IMAGE
from rax_scheduled_images_ext.sandbox.backend.store import (
    SERVERS,
    Row,
    action_of,
    server_of,
)

# The only availability zone there is.
ZONE = "nova"
# The power state of a server whose guest runs.
_RUNNING = 1


class Servers(Part):
    """Listing, booting and changing servers, and their history."""

    def select(self, query: ServerQuery) -> list[Server]:
        """Return a page of servers.

        :raises Invalid: for an unknown marker or sort key.
        """
        return [self.of_row(r) for r in self._store.select_servers(self.name, query)]

    def get(self, server_id: str, *, deleted: bool = False) -> Server:
        """Return one server; a deleted one only if asked for.

        :raises NotFound: where there is none.
        """
        return self.of_row(self.row(server_id, deleted=deleted))

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
        zone: str | None = None,
        tags: Iterable[str] = (),
        devices: Sequence[BlockDevice] = (),
        nics: Sequence[Nic] = (),
        security_groups: Sequence[SecurityGroup] = (),
        config_drive: str = "",
        user_data: str | None = None,
        hostname: str | None = None,
        group_id: str | None = None,
        hints: Mapping[str, object] | None = None,
    ) -> Server:
        """Make a server, which is ACTIVE at once.

        :param image_id: empty for a server whose root disk is one of ``devices``.
        :param zone: the availability zone that it must stay in.
        :param tags: may name one more than once.
        :param devices: its disks that are volumes.
        :param nics: its places on networks.
        :param security_groups: those of its new ports; ``default`` by default.
        :param group_id: the server group that it is in.
        :param hints: what was said to the scheduler, which only keeps it.
        :raises NotFound: for an unknown image or flavor.
        :raises Invalid: for an unknown zone, or a device that cannot be had.
        :raises Forbidden: for too much metadata.
        """
        if zone not in (None, ZONE):
            raise Invalid("The requested availability zone is not available")
        check_metadata(metadata or {})
        base: dict[str, str] = {}
        if image_id:
            image = self._region.images.get(image_id)
            flavor = self._region.flavors.get(flavor_id)
            roots = [device for device in devices if device.boot_index == 0]
            if roots:
                check_fits(image, ram=flavor.ram, volume=roots[0].size)
            else:
                check_fits(image, ram=flavor.ram, disk=flavor.disk)
            base = dict(image.properties)
        self._check_quota_of_servers(project_id)
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
            "base_properties": json.dumps(base),
            "pinned_zone": zone,
            "hostname": hostname or hostname_of(name),
            "config_drive": config_drive,
            "user_data": user_data,
            "group_id": group_id,
            "hints": json.dumps(dict(hints)) if hints else None,
        }
        self._store.insert("servers", [row])
        self.set_tags(str(row["id"]), tags)
        self._region.volumes.attach(
            str(row["id"]), devices, project_id=project_id, user_id=user_id
        )
        if devices and not image_id:
            root = self._region.volumes.of_server(str(row["id"]))[0]
            known = root.image_properties.items()
            base = {key: text for key, text in known if key not in OF_IMAGE}
            self.touch(str(row["id"]), base_properties=json.dumps(base))
        else:
            self._region.disks.copy(image_id, str(row["id"]))
        self._connect(str(row["id"]), project_id, nics, security_groups)
        server = self.get(str(row["id"]))
        self._region.guests.switch_on(server)
        self.record(server, "create")
        return server

    def _connect(
        self,
        server_id: str,
        project_id: str,
        nics: Sequence[Nic],
        groups: Sequence[SecurityGroup],
    ) -> None:
        for place, nic in enumerate(nics):
            if nic.port is not None:
                self._region.networks.bind(nic.port, server_id, place)
            elif nic.network is not None:
                self._region.networks.add_port(
                    nic.network,
                    project_id,
                    address=nic.address,
                    groups=groups or None,
                    server_id=server_id,
                    place=place,
                )

    def _check_quota_of_servers(self, project_id: str) -> None:
        quota = self._cloud.server_quota
        if quota is None:
            return
        used = sum(number for _, number in self.usage(project_id))
        if used >= quota:
            raise Forbidden(
                "Quota exceeded for instances: Requested 1, but already used"
                f" {used} of {quota} instances"
            )

    def update(
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
        row = self.row(server_id)
        if description is None and not clear_description:
            description = row["description"]
        self.touch(server_id, name=name or row["name"], description=description)
        return self.get(server_id)

    def pin(self, server_id: str, zone: str | None) -> None:
        """Bind the server to an availability zone, or to none.

        :raises Conflict: for another zone than the server's.
        """
        pinned = self.get(server_id).pinned_zone
        if zone is not None and pinned is not None and zone != pinned:
            raise Conflict(
                "Cannot change pinned availability zone directly. Unpin first by"
                " setting pinned_availability_zone to null."
            )
        if zone not in (None, ZONE):
            raise Conflict(
                f"Server can only be pinned to its current availability zone '{ZONE}',"
                f" but '{zone}' was requested."
            )
        self.touch(server_id, pinned_zone=zone)

    def set_metadata(
        self, server_id: str, metadata: Mapping[str, str], *, replace: bool
    ) -> dict[str, str]:
        """Add to the server's metadata, or replace all of it; return the whole.

        :raises NotFound: where there is no such server.
        :raises Forbidden: for too much metadata.
        """
        kept = dict(self.get(server_id).metadata)
        whole = ({} if replace else kept) | dict(metadata)
        check_metadata(whole)
        self.touch(server_id, metadata=json.dumps(whole))
        return whole

    def delete_metadata(self, server_id: str, key: str) -> None:
        """Take one key away.

        :raises NotFound: where it is not there.
        """
        whole = dict(self.get(server_id).metadata)
        if key not in whole:
            raise NotFound("Metadata item was not found")
        del whole[key]
        self.touch(server_id, metadata=json.dumps(whole))

    def set_tags(self, server_id: str, tags: Iterable[str]) -> None:
        """Give the server these tags, and no others; it does not count as changed.

        As in MySQL, a tag that differs from an earlier one in letter case only is the
        same, and ignored.
        """
        unlike: dict[str, str] = {}
        for tag in tags:
            unlike.setdefault(tag.lower(), tag)
        self._store.run(
            "DELETE FROM tags WHERE region = ? AND server_id = ?", self.name, server_id
        )
        self._store.insert(
            "tags",
            [
                {"region": self.name, "server_id": server_id, "tag": tag}
                for tag in unlike.values()
            ],
        )

    def start(self, server_id: str) -> None:
        """Power the server on.

        :raises Conflict: where it is not shut off, or a snapshot is under way.
        """
        self._switch(server_id, "start", ("stopped",), "ACTIVE", "active", 1)

    def stop(self, server_id: str) -> None:
        """Power the server off.

        :raises Conflict: where it is not running, or a snapshot is under way.
        """
        self._switch(server_id, "stop", ("active", "error"), "SHUTOFF", "stopped", 4)

    def reboot(self, server_id: str) -> None:
        """Boot the guest anew, whether it runs or not."""
        server = self.get(server_id)
        self.record(server, "reboot")
        self._region.guests.switch_on(server)
        self.touch(server_id, status="ACTIVE", vm_state="active", power_state=_RUNNING)

    def hold(self, server_id: str, held: bool) -> None:
        """Shut the server down on the operator's behalf, or give it back."""
        shut, given_back = ("SHUTOFF", "stopped", 4), ("ACTIVE", "active", 1)
        self.power(server_id, *(shut if held else given_back), held=held)

    def lock(self, server_id: str, locked: bool, reason: str | None = None) -> None:
        """Lock or unlock the server."""
        self.row(server_id)
        self.touch(server_id, locked=locked, locked_reason=reason)

    def actions(self, server_id: str) -> list[Action]:
        """Return the server's history, newest first; a deleted server has one too."""
        self.row(server_id, deleted=True)
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
        # What the service does on its own has an id as well.
        own_id = f"req-{self._cloud.new_id()}"
        row: dict[str, object] = {
            "region": self.name,
            "server_id": server.id,
            "request_id": self._cloud.request_id or own_id,
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

    def finish(self, server_id: str, action: int, message: str | None) -> None:
        """End an entry of the server's history.

        :param message: why it failed, if it did.
        """
        self._store.run(
            "UPDATE actions SET finished = ?, message = ? WHERE serial = ?",
            *(self._cloud.now, message, action),
        )
        self.touch(server_id)

    def delete(self, server_id: str) -> None:
        """Delete the server and its schedule; its finished images stay."""
        server, region = self.get(server_id), self._region
        region.snapshots.end(server_id, discard=True)
        region.rebuilds.end(server_id)
        self.record(server, "delete")
        region.schedules.clear(server_id)
        self.set_tags(server_id, ())
        region.guests.switch_off(server)
        region.disks.discard(server_id)
        region.volumes.detach(server_id)
        region.networks.release(server_id)
        self.touch(
            server_id,
            status="DELETED",
            vm_state="deleted",
            power_state=0,
            deleted_at=self._cloud.now,
        )

    def reset_state(self, server_id: str, state: str, fault: str | None = None) -> None:
        """Force the state: 'active' or 'error'; ends whatever is under way.

        :param fault: why it is in error.
        """
        self._region.snapshots.end(server_id)
        self._region.rebuilds.end(server_id)
        power = _RUNNING if state == "active" else 0
        self.power(server_id, state.upper(), state, power, fault=fault)

    def usage(self, project_id: str) -> list[tuple[Flavor, int]]:
        """Return how many servers of each flavor a project has."""
        rows = self._store.all(
            "SELECT flavor_id, COUNT(*) AS number FROM servers WHERE region = ?"
            " AND project_id = ? AND deleted_at IS NULL GROUP BY flavor_id",
            self.name,
            project_id,
        )
        known = self._region.flavors.known
        return [(known(row["flavor_id"]), row["number"]) for row in rows]

    def row(self, server_id: str, *, deleted: bool = False) -> Row:
        row = self._store.first(
            f"{SERVERS} WHERE r.region = ? AND r.id = ?",
            self.name,
            server_id,
        )
        if row is None or (row["deleted_at"] is not None and not deleted):
            raise NotFound(f"Instance {server_id} could not be found.")
        return row

    def of_row(self, row: Row) -> Server:
        rebuilt = row["rebuild_started"]
        if rebuilt is not None:
            return server_of(row, rebuild_state(self._cloud.now - rebuilt))
        started = row["snapshot_started"]
        if started is None:
            return server_of(row, None)
        frozen = row["snapshot_frozen"]
        elapsed = min(self._cloud.now, frozen or self._cloud.now) - started
        timings = self._cloud.timings
        return server_of(row, timings.task_state(elapsed, bool(row["snapshot_backup"])))

    def touch(self, server_id: str, **columns: object) -> None:
        self._store.update(
            "servers", self.name, server_id, updated=self._cloud.now, **columns
        )

    def _switch(
        self,
        server_id: str,
        verb: str,
        wanted: tuple[str, ...],
        status: str,
        vm_state: str,
        power: int,
    ) -> None:
        server = self.get(server_id)
        if server.vm_state not in wanted or server.held:
            raise _not_while(server, verb, f"vm_state {server.vm_state}")
        if server.task_state is not None:
            raise _not_while(server, verb, f"task_state {server.task_state}")
        self.record(server, verb)
        self.power(server_id, status, vm_state, power)

    def power(
        self, server_id: str, status: str, vm_state: str, power: int, **more: object
    ) -> None:
        """Put the server into a state, and its guest with it."""
        server, runs = self.get(server_id), power == _RUNNING
        if runs and server.power_state != _RUNNING:
            self._region.guests.switch_on(server)
        elif not runs:
            self._region.guests.switch_off(server)
        self.touch(
            server_id, status=status, vm_state=vm_state, power_state=power, **more
        )


def hostname_of(name: str) -> str:
    """Return the host name that Nova makes of a server's name."""
    words = re.sub(r"[^a-z0-9.-]+", "", re.sub(r"[\s_]+", "-", name.lower()))
    return words.strip(".-")[:63] or "server"


def _not_while(server: Server, verb: str, state: str) -> Conflict:
    return Conflict(f"Cannot '{verb}' instance {server.id} while it is in {state}")
