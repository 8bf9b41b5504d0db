"""A fleet with its images, written directly into the real cloud's databases.

Booting a thousand servers and making seven images of each would take hours.
"""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.model.image import PENDING_KEY, run_metadata
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.slots import (
    Window,
    slots_around,
)
from tests.interop.cloud.layout import Layout

Row = Mapping[str, object]

IMAGES = 7
# No image becomes due during the measurements.
_QUIET = timedelta(hours=4)
_AGE = timedelta(days=30)
_PROPERTIES = 12
# The rows that belong to a server and to an image, and the column with its ID.
_OF_SERVER = {
    "nova_cell1": {
        "instances": "uuid",
        "instance_id_mappings": "uuid",
        "instance_info_caches": "instance_uuid",
        "instance_extra": "instance_uuid",
        "instance_system_metadata": "instance_uuid",
        "block_device_mapping": "instance_uuid",
        "tags": "resource_id",
    },
    "nova_api": {"instance_mappings": "instance_uuid"},
}
_OF_IMAGE = {
    "images": "id",
    "image_properties": "image_id",
    "image_locations": "image_id",
}


@dataclass(frozen=True)
class Fleet:
    """The servers that were written, and the images of each, newest first."""

    layout: Layout
    servers: Mapping[str, Sequence[str]]

    def choose(self, number: int, chance: random.Random) -> list[str]:
        """Return this many of the images."""
        images = [each for of_server in self.servers.values() for each in of_server]
        return chance.sample(images, number)

    def touch(self, images: Iterable[str]) -> None:
        """Make images look as if they had just changed."""
        now = _text(datetime.now(timezone.utc))
        with _database(self.layout, "glance") as database:
            database.executemany(
                "UPDATE images SET updated_at = ? WHERE id = ?",
                [(now, each) for each in images],
            )


@contextmanager
def fleet(
    layout: Layout, server_id: str, image_id: str, number: int
) -> Iterator[Fleet]:
    """Create this many daily servers with nothing due; remove them at the end.

    :param server_id: a real server, which is copied.
    :param image_id: a real snapshot, which is copied.
    """
    now = datetime.now(timezone.utc)
    chance = random.Random(number)
    ids = [_server_id(chance, now) for _ in range(number)]
    images = {each: [_new_id(chance) for _ in range(IMAGES)] for each in ids}
    try:
        _write_servers(layout, server_id, ids, now)
        _write_images(layout, image_id, images, now)
        yield Fleet(layout, images)
    finally:
        for name, tables in _OF_SERVER.items():
            _remove(layout, name, tables, ids)
        flat = [each for of_server in images.values() for each in of_server]
        _remove(layout, "glance", _OF_IMAGE, flat)


def _server_id(chance: random.Random, now: datetime) -> str:
    """Return an ID whose image was due a while ago and is not due again soon."""
    while True:
        found = _new_id(chance)
        latest, following = slots_around(found, ImageSchedule(IMAGES), now, Window())
        if following.due - now > _QUIET and now - latest.due > timedelta(minutes=30):
            return found


def _new_id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _write_servers(
    layout: Layout, template: str, ids: Sequence[str], now: datetime
) -> None:
    born = _text(now - _AGE)
    for name, tables in _OF_SERVER.items():
        with _database(layout, name) as database:
            for table, owner in tables.items():
                rows = _rows(database, table, owner, template)
                copies = (
                    _copied(row, {owner: each}, created_at=born, updated_at=born)
                    for each in ids
                    for row in rows
                )
                if table == "instances":
                    copies = (_named(row, born) for row in copies)
                elif table == "block_device_mapping":
                    copies = (row | {"uuid": str(uuid.uuid4())} for row in copies)
                elif table == "tags":
                    tags = (MARKER_TAG, schedule_tag(ImageSchedule(IMAGES)))
                    copies = (
                        {"resource_id": each, "tag": tag}
                        for each in ids
                        for tag in tags
                    )
                _insert(database, table, copies)


def _named(row: Row, born: str) -> dict[str, object]:
    name = f"fleet-{str(row['uuid'])[:8]}"
    named = {"hostname": name, "display_name": name, "launched_at": born}
    # The existing hypervisor would try to manage them all.
    return {**row, **named, "host": "fleet", "node": "fleet"}


def _write_images(
    layout: Layout, template: str, images: Mapping[str, Sequence[str]], now: datetime
) -> None:
    with _database(layout, "glance") as database:
        known = {
            table: _rows(database, table, owner, template)
            for table, owner in _OF_IMAGE.items()
        }
        made: dict[str, list[Row]] = {table: [] for table in _OF_IMAGE}
        for server_id, ids in images.items():
            slot, _ = slots_around(server_id, ImageSchedule(IMAGES), now, Window())
            for age, image_id in enumerate(ids):
                due = slot.due - timedelta(days=age)
                begun = _text(due + timedelta(minutes=1))
                ended = _text(due + timedelta(minutes=2))
                name = f"Daily-fleet-{server_id[:8]}-{int(due.timestamp()) + 60}"
                dates = {"created_at": begun, "updated_at": ended}
                (image,) = known["images"]
                made["images"].append({**image, "id": image_id, "name": name, **dates})
                properties = {
                    str(row["name"]): row["value"] for row in known["image_properties"]
                }
                properties |= _own_properties(server_id, image_id, due)
                made["image_properties"] += [
                    _copied(
                        known["image_properties"][0], {"image_id": image_id}, **dates
                    )
                    | {"name": key, "value": value}
                    for key, value in properties.items()
                ]
                assert len(properties) == _PROPERTIES, sorted(properties)
                (location,) = known["image_locations"]
                made["image_locations"].append(
                    _copied(location, {"image_id": image_id}, **dates)
                )
        for table, rows in made.items():
            _insert(database, table, rows)


def _own_properties(server_id: str, image_id: str, due: datetime) -> dict[str, str]:
    """Return the properties of a settled image."""
    nonce = f"0-{uuid.uuid4().hex}"
    written = run_metadata(server_id, due.date().isoformat(), nonce)
    del written[PENDING_KEY]
    return written | {"scheduled_images_id": f"{image_id}:{nonce}", "os_type": "linux"}


@contextmanager
def _database(layout: Layout, name: str) -> Iterator[sqlite3.Connection]:
    """Open a database of the cloud, which the services keep using."""
    path = layout.databases / f"{name}.sqlite"
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.row_factory = sqlite3.Row
        yield database


def _rows(
    database: sqlite3.Connection, table: str, owner: str, of: str
) -> list[dict[str, object]]:
    found = database.execute(f"SELECT * FROM {table} WHERE {owner} = ?", [of])
    return [dict(row) for row in found]


def _copied(row: Row, owner: Row, **changes: object) -> dict[str, object]:
    """Return a copy of a row, which gets its number when it is written."""
    changed = {key: value for key, value in changes.items() if key in row}
    copied = {**row, **changed}
    copied.pop("id", None)
    return {**copied, **owner}


def _insert(database: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    if rows:
        columns = list(rows[0])
        names = ", ".join(f'"{column}"' for column in columns)
        marks = ", ".join("?" * len(columns))
        database.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",
            [[row[column] for column in columns] for row in rows],
        )


def _remove(
    layout: Layout, name: str, tables: Mapping[str, str], ids: Iterable[str]
) -> None:
    owned = [(each,) for each in ids]
    with _database(layout, name) as database:
        for table, owner in tables.items():
            database.executemany(f"DELETE FROM {table} WHERE {owner} = ?", owned)


def _text(moment: datetime) -> str:
    """Return a time as the services write it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
