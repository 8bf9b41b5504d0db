"""Stores the cloud: rows in SQLite, in a file or in memory."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rax_scheduled_images_ext.sandbox.backend.models import (
    REBUILD,
    Action,
    Image,
    ImageQuery,
    Invalid,
    Port,
    Schedule,
    Server,
    ServerQuery,
    Sort,
    Unusable,
    Volume,
    VolumeSnapshot,
)
from rax_scheduled_images_ext.sandbox.backend.sql_filter import Where, order

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS servers (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
  project_id TEXT NOT NULL, user_id TEXT NOT NULL,
  image_id TEXT NOT NULL, flavor_id TEXT NOT NULL,
  status TEXT NOT NULL, vm_state TEXT NOT NULL, power_state INTEGER NOT NULL,
  created REAL NOT NULL, updated REAL NOT NULL, launched REAL NOT NULL,
  deleted_at REAL, metadata TEXT NOT NULL, description TEXT, key_name TEXT,
  locked INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,
  base_properties TEXT NOT NULL, pinned_zone TEXT,
  hostname TEXT NOT NULL, config_drive TEXT NOT NULL DEFAULT '', user_data TEXT,
  fault TEXT, group_id TEXT, locked_reason TEXT, hints TEXT,
  retention INTEGER, day_of_week TEXT, enabled_at REAL,
  next_run REAL, attempt INTEGER, slot TEXT,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS servers_newest ON servers (region, created, id);
CREATE TABLE IF NOT EXISTS tags (
  region TEXT NOT NULL, server_id TEXT NOT NULL, tag TEXT NOT NULL COLLATE NOCASE,
  PRIMARY KEY (region, server_id, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS servers_due ON servers (next_run)
  WHERE next_run IS NOT NULL;
CREATE TABLE IF NOT EXISTS images (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
  owner TEXT NOT NULL, status TEXT NOT NULL, visibility TEXT NOT NULL,
  protected INTEGER NOT NULL, size INTEGER, checksum TEXT,
  min_disk INTEGER NOT NULL, min_ram INTEGER NOT NULL,
  disk_format TEXT, container_format TEXT,
  created REAL NOT NULL, updated REAL NOT NULL, deleted_at REAL,
  tags TEXT NOT NULL, properties TEXT NOT NULL, data BLOB,
  hidden INTEGER NOT NULL DEFAULT 0, sha512 TEXT,
  server_id TEXT AS (json_extract(properties, '$.instance_uuid')),
  pending TEXT AS (json_extract(properties, '$.scheduled_images_retention')),
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_newest ON images (region, created, id);
CREATE INDEX IF NOT EXISTS images_of_server
  ON images (region, server_id, created, id);
CREATE INDEX IF NOT EXISTS images_pending ON images (region, pending, created, id);
CREATE INDEX IF NOT EXISTS images_changed ON images (region, updated);
CREATE INDEX IF NOT EXISTS images_not_active ON images (region, created, id)
  WHERE status <> 'active';
CREATE INDEX IF NOT EXISTS images_hidden ON images (region, created, id)
  WHERE hidden = 1;
CREATE TABLE IF NOT EXISTS snapshots (
  region TEXT NOT NULL, server_id TEXT NOT NULL, image_id TEXT NOT NULL,
  started REAL NOT NULL, backup INTEGER NOT NULL, scheduled INTEGER NOT NULL,
  step INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, action INTEGER NOT NULL,
  fault TEXT, fault_at REAL,
  PRIMARY KEY (region, server_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS snapshots_due ON snapshots (due);
CREATE TABLE IF NOT EXISTS rebuilds (
  region TEXT NOT NULL, server_id TEXT NOT NULL, image_id TEXT NOT NULL,
  started REAL NOT NULL, spawning INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
  reimage INTEGER NOT NULL, action INTEGER NOT NULL,
  PRIMARY KEY (region, server_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rebuilds_due ON rebuilds (due);
CREATE TABLE IF NOT EXISTS disks (
  region TEXT NOT NULL, id TEXT NOT NULL, device TEXT NOT NULL,
  last INTEGER NOT NULL, found INTEGER NOT NULL, boots INTEGER NOT NULL, since REAL,
  PRIMARY KEY (region, id, device)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS volumes (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, description TEXT,
  project_id TEXT NOT NULL, user_id TEXT NOT NULL, size INTEGER NOT NULL,
  created REAL NOT NULL, updated REAL NOT NULL, bootable INTEGER NOT NULL,
  snapshot_id TEXT, image_properties TEXT NOT NULL, metadata TEXT NOT NULL,
  server_id TEXT, device TEXT, boot_index INTEGER,
  delete_on_termination INTEGER NOT NULL, attached REAL,
  reserved INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS volumes_of_server ON volumes (region, server_id);
CREATE TABLE IF NOT EXISTS volume_snapshots (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT, description TEXT,
  project_id TEXT NOT NULL, user_id TEXT NOT NULL, volume_id TEXT NOT NULL,
  size INTEGER NOT NULL, status TEXT NOT NULL,
  created REAL NOT NULL, updated REAL NOT NULL, metadata TEXT NOT NULL,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS networks (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
  project_id TEXT NOT NULL, shared INTEGER NOT NULL, created REAL NOT NULL,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subnets (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
  network_id TEXT NOT NULL, project_id TEXT NOT NULL, cidr TEXT NOT NULL,
  gateway TEXT NOT NULL, created REAL NOT NULL,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ports (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
  description TEXT NOT NULL, network_id TEXT NOT NULL, project_id TEXT NOT NULL,
  mac TEXT NOT NULL, subnet_id TEXT, address TEXT, groups TEXT NOT NULL,
  device_id TEXT NOT NULL, place INTEGER NOT NULL, of_server INTEGER NOT NULL,
  created REAL NOT NULL,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ports_of_device ON ports (region, device_id);
CREATE TABLE IF NOT EXISTS security_groups (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
  description TEXT NOT NULL, project_id TEXT NOT NULL, created REAL NOT NULL,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keypairs (
  serial INTEGER PRIMARY KEY, region TEXT NOT NULL, user_id TEXT NOT NULL,
  name TEXT NOT NULL, public_key TEXT NOT NULL, fingerprint TEXT NOT NULL,
  created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS server_groups (
  region TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, policy TEXT NOT NULL,
  project_id TEXT NOT NULL, user_id TEXT NOT NULL, created REAL NOT NULL,
  PRIMARY KEY (region, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS actions (
  serial INTEGER PRIMARY KEY, region TEXT NOT NULL, server_id TEXT NOT NULL,
  request_id TEXT NOT NULL, action TEXT NOT NULL, started REAL NOT NULL,
  finished REAL, user_id TEXT NOT NULL, project_id TEXT NOT NULL, message TEXT);
CREATE INDEX IF NOT EXISTS actions_of_server ON actions (region, server_id);
"""
_APPLICATION = 0x52534958
# Increased with each change of the tables.
_VERSION = 1
_SERVER_SORT = frozenset(
    "id name status created updated launched image_id flavor_id description key_name"
    " power_state deleted_at user_id locked".split()
)
_IMAGE_SORT = frozenset(
    "id name status created updated size disk_format container_format owner"
    " visibility min_disk min_ram".split()
)

# All of the servers' rows, with their running snapshots and rebuilds.
SERVERS = (
    "SELECT r.*, s.started AS snapshot_started, s.backup AS snapshot_backup,"
    " (SELECT json_group_array(t.tag) FROM tags t"
    " WHERE t.region = r.region AND t.server_id = r.id) AS tags,"
    " (SELECT json_group_array(json_array("
    "v.id, v.delete_on_termination, v.boot_index, v.device)) FROM volumes v"
    " WHERE v.region = r.region AND v.server_id = r.id) AS volumes,"
    " CASE s.fault WHEN 'freeze' THEN s.fault_at END AS snapshot_frozen,"
    " b.started AS rebuild_started"
    " FROM servers r LEFT JOIN snapshots s"
    " ON s.region = r.region AND s.server_id = r.id"
    " LEFT JOIN rebuilds b ON b.region = r.region AND b.server_id = r.id"
)

Row = sqlite3.Row


class Store:
    """Rows of servers, images, volumes, running snapshots and actions.

    :param path: an SQLite file, created if there is none; None keeps everything in
        memory.
    :raises Unusable: for a file that cannot be opened, that another process has open,
        or that contains something else.
    """

    def __init__(self, path: str | None = None) -> None:
        try:
            self._db = sqlite3.connect(
                path or ":memory:",
                timeout=0,
                check_same_thread=False,
                isolation_level=None,
            )
        except sqlite3.OperationalError as error:
            raise _unusable(path, error) from None
        self._db.row_factory = Row
        self._db.create_function("REGEXP", 2, _search, deterministic=True)
        try:
            self._open()
        except (sqlite3.DatabaseError, Unusable) as error:
            self._db.close()
            raise _unusable(path, error) from None

    def _open(self) -> None:
        # One process at a time: two clocks for one cloud would contradict each other.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        tables = self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        (mark,) = self._db.execute("PRAGMA application_id").fetchone()
        if tables and mark != _APPLICATION:
            raise Unusable("it is the database of another program")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if tables and version != _VERSION:
            raise Unusable("it was made by another version of the sandbox")
        # Changes survive even if the process is killed, but not a power failure: this
        # is a sandbox.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(f"PRAGMA application_id={_APPLICATION}")
        self._db.execute(f"PRAGMA user_version={_VERSION}")
        self._db.executescript(_SCHEMA)

    def check_regions(self, regions: Collection[str]) -> None:
        """Check that the store contains no other regions than these.

        :raises Unusable: if it does.
        """
        rows = self.all("SELECT region FROM servers UNION SELECT region FROM images")
        found = [str(row["region"]) for row in rows]
        if not set(found) <= set(regions):
            raise Unusable(
                f"the state file is of a cloud with the regions {', '.join(found)}:"
                " start it with the same --like and --regions"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes of the block, or none of them."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @property
    def changes(self) -> int:
        """The number of rows written since the store was opened."""
        return self._db.total_changes

    def note(self, key: str, value: float | str) -> None:
        """Store a value under a name."""
        self.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def noted(self, key: str) -> Any:
        """Return the value stored under a name, or None."""
        row = self.first("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else row["value"]

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement; return the number of rows written."""
        return self._db.execute(sql, values).rowcount

    def first(self, sql: str, *values: object) -> Row | None:
        """Return the first row of a query, or None."""
        row: Row | None = self._db.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: object) -> list[Row]:
        """Return all rows of a query."""
        return self._db.execute(sql, values).fetchall()

    def insert(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Add rows with the same columns."""
        listed = list(rows)
        if listed:
            columns = list(listed[0])
            holes = ", ".join(f":{column}" for column in columns)
            self._db.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({holes})", listed
            )

    def update(self, table: str, region: str, key: str, **columns: object) -> None:
        """Change columns of the row with this region and ID."""
        sets = ", ".join(f"{column} = ?" for column in columns)
        self.run(
            f"UPDATE {table} SET {sets} WHERE region = ? AND id = ?",
            *columns.values(),
            region,
            key,
        )

    def select_servers(self, region: str, query: ServerQuery) -> list[Row]:
        """Return the rows of a page of servers, with their running snapshots.

        :raises Invalid: for a marker that is no server, or an unknown sort key.
        """
        where = Where(region)
        where.equal("project_id", query.project_id)
        where.equal("image_id", query.image_id)
        where.equal("flavor_id", query.flavor_id)
        where.equal("id", query.server_id)
        if query.status == (REBUILD,):
            where.add("b.started IS NOT NULL")
        elif query.status is not None:
            where.within("status", query.status)
        if query.name is not None:
            where.add("r.name REGEXP ?", query.name)
        if query.scheduled is not None:
            where.add(f"r.retention IS {'NOT ' if query.scheduled else ''}NULL")
        if query.ip is not None:
            where.add(
                "EXISTS (SELECT 1 FROM ports p WHERE p.region = r.region"
                " AND p.device_id = r.id AND p.address REGEXP ?)",
                query.ip,
            )
        where.tagged(query)
        where.equal("locked", query.locked)
        if query.changes_since is not None:
            where.compare("updated", ("gte", query.changes_since))
        if query.changes_before is not None:
            where.compare("updated", ("lte", query.changes_before))
        changed = query.changes_since is not None or query.changes_before is not None
        if query.deleted or not changed:
            where.add(f"r.deleted_at IS {'NOT ' if query.deleted else ''}NULL")
        self._page(where, "servers", _SERVER_SORT, query.sort, query.marker)
        return self.all(
            f"{SERVERS} {where.sql} ORDER BY {order(query.sort)} LIMIT ?",
            *where.values,
            -1 if query.limit is None else query.limit,
        )

    def image_row(self, region: str, image_id: str) -> Row | None:
        """Return the row of an image, without its data; None if there is none."""
        return self.first(
            f"SELECT {_IMAGE_COLUMNS} FROM images r WHERE r.region = ? AND r.id = ?",
            region,
            image_id,
        )

    def select_images(self, region: str, query: ImageQuery) -> list[Row]:
        """Return the rows of a page of images, without their data.

        :raises Invalid: for a marker that is no image, or an unknown sort key.
        """
        where = Where(region)
        if query.project_id is not None:
            where.add(
                "(r.owner = ? OR r.visibility IN ('public', 'community'))"
                if "visibility" in query.equals
                else "(r.owner = ? OR r.visibility = 'public')",
                query.project_id,
            )
        for column, value in query.equals.items():
            where.equal(column, value)
        for column, allowed in query.within.items():
            where.within(column, allowed)
        for column, comparison in query.compares:
            where.compare(column, comparison)
        for key, text in query.properties.items():
            where.has_property(key, text)
        for tag in query.tags:
            where.has_tag(tag)
        where.add(f"r.deleted_at IS {'NOT ' if query.deleted else ''}NULL")
        self._page(where, "images", _IMAGE_SORT, query.sort, query.marker)
        return self.all(
            f"SELECT {_IMAGE_COLUMNS} FROM images r {where.sql}"
            f" ORDER BY {order(query.sort)} LIMIT ?",
            *where.values,
            -1 if query.limit is None else query.limit,
        )

    def _page(
        self,
        where: Where,
        table: str,
        sortable: frozenset[str],
        sort: Sort,
        marker: str | None,
    ) -> None:
        for column, direction in sort:
            if column not in sortable or direction not in ("asc", "desc"):
                raise Invalid(f"cannot sort by {column} {direction}")
        if marker is not None:
            row = self.first(
                f"SELECT * FROM {table} WHERE region = ? AND id = ?",
                where.values[0],
                marker,
            )
            if row is None:
                raise Invalid(f"marker [{marker}] not found")
            where.after(sort, row)


def _unusable(path: str | None, error: Exception) -> Unusable:
    return Unusable(f"cannot keep the cloud in '{path}': {error}")


def _search(pattern: str, text: str | None) -> bool:
    return text is not None and re.search(pattern, text) is not None


_IMAGE_COLUMNS = ", ".join(f"r.{name}" for name in Image.__dataclass_fields__)


def server_of(row: Row, task_state: str | None) -> Server:
    """Return the server that a row describes."""
    attached = sorted(json.loads(row["volumes"]), key=lambda each: str(each[3]))
    return Server(
        id=row["id"],
        name=row["name"],
        region=row["region"],
        project_id=row["project_id"],
        user_id=row["user_id"],
        image_id=row["image_id"],
        flavor_id=row["flavor_id"],
        status=row["status"] if row["rebuild_started"] is None else REBUILD,
        vm_state=row["vm_state"],
        task_state=task_state,
        power_state=row["power_state"],
        created=row["created"],
        updated=row["updated"],
        launched=row["launched"],
        deleted_at=row["deleted_at"],
        metadata=_object(row["metadata"]),
        description=row["description"],
        key_name=row["key_name"],
        locked=bool(row["locked"]),
        held=bool(row["held"]),
        schedule=schedule_of(row),
        pinned_zone=row["pinned_zone"],
        base_properties=_object(row["base_properties"]),
        tags=tuple(sorted(json.loads(row["tags"]))),
        volumes={volume_id: bool(goes) for volume_id, goes, _, _ in attached},
        root_volume=next((each[0] for each in attached if each[2] == 0), None),
        hostname=row["hostname"],
        config_drive=row["config_drive"],
        user_data=row["user_data"],
        fault=row["fault"],
        group_id=row["group_id"],
        locked_reason=row["locked_reason"],
        hints={} if row["hints"] is None else json.loads(row["hints"]),
    )


def schedule_of(row: Row) -> Schedule | None:
    """Return the image schedule in a server's row, if it has one."""
    if row["retention"] is None:
        return None
    return Schedule(
        retention=row["retention"],
        day_of_week=row["day_of_week"],
        enabled_at=row["enabled_at"],
        next_run=row["next_run"],
        attempt=row["attempt"],
        slot=row["slot"],
    )


def image_of(row: Row) -> Image:
    """Return the image that a row describes."""
    values = dict(zip(row.keys(), row, strict=True))
    values["protected"] = bool(values["protected"])
    values["hidden"] = bool(values["hidden"])
    values["tags"] = tuple(json.loads(values["tags"]))
    values["properties"] = _object(values["properties"])
    return Image(**values)


def volume_of(row: Row) -> Volume:
    """Return the volume that a row describes."""
    values = dict(zip(row.keys(), row, strict=True))
    for flag in ("bootable", "delete_on_termination", "reserved"):
        values[flag] = bool(values[flag])
    for mapping in ("image_properties", "metadata"):
        values[mapping] = _object(values[mapping])
    return Volume(**values)


def volume_snapshot_of(row: Row) -> VolumeSnapshot:
    """Return the volume snapshot that a row describes."""
    values = dict(zip(row.keys(), row, strict=True))
    values["metadata"] = _object(values["metadata"])
    return VolumeSnapshot(**values)


def port_of(row: Row) -> Port:
    """Return the port that a row describes."""
    values = {name: row[name] for name in Port.__dataclass_fields__}
    values["groups"] = tuple(json.loads(values["groups"]))
    values["of_server"] = bool(values["of_server"])
    return Port(**values)


def action_of(row: Row) -> Action:
    """Return the instance action that a row describes."""
    return Action(**{name: row[name] for name in Action.__dataclass_fields__})


def _object(text: str) -> dict[str, str]:
    parsed: dict[str, str] = json.loads(text)
    return parsed
