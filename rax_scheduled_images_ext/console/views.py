"""What the commands print: the rows and columns of schedules and images.

Imported by commands only once there is something to print.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from rax_scheduled_images_ext.console.formats import Column, attribute, print_rows
from rax_scheduled_images_ext.console.terminal import put
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.times import write_time

#: What is said where the cloud itself makes no scheduled images.
NEEDS_SERVICE = (
    "This cloud makes no scheduled images itself: they are made only while a"
    " scheduled-images-service works for the project."
)
SCHEDULES: tuple[Column[ShownSchedule], ...] = (
    attribute("server", "Server"),
    attribute("id", "ID"),
    attribute("schedule", "Schedule"),
    attribute("day_of_week", "Day"),
    attribute("retention", "Retention"),
)
IMAGES: tuple[Column[ServerImage], ...] = (
    attribute("id", "ID"),
    Column("name", "Name", lambda image: image.name or None),
    attribute("status", "Status"),
    Column("server", "Server", lambda image: image.server_id or ""),
)
PROPERTIES: tuple[Column[tuple[str, Any]], ...] = (
    Column("property", "Property", itemgetter(0)),
    Column("value", "Value", itemgetter(1)),
)
_TRUE = ("1", "t", "true", "on", "y", "yes")


@dataclass(frozen=True)
class ShownSchedule:
    """A server, as the user named it, and its schedule; all None where it has none."""

    server: str
    id: str
    schedule: str | None = None
    day_of_week: str | None = None
    retention: int | None = None

    @classmethod
    def of(cls, server: str, server_id: str, found: ImageSchedule) -> ShownSchedule:
        """Return the row of a server that the user called ``server``."""
        return cls(server, server_id, found.kind, found.day_of_week, found.retention)


def print_schedules(rows: list[ShownSchedule], form: str) -> None:
    """Print schedules as rows; no table for none."""
    if rows or form != "table":
        print_rows(SCHEDULES, rows, form)


def print_schedule(row: ShownSchedule) -> None:
    """Print one schedule as it is documented."""
    day = f" on: {row.day_of_week}" if row.day_of_week else ""
    put(f"Schedule type: {str(row.schedule).title()}{day}")
    put(f"Retention: {row.retention}")


def print_images(images: Iterable[ServerImage]) -> None:
    """Print images as novaclient 7 lists them: by name."""
    rows = sorted(images, key=lambda image: (image.name, image.id))
    print_rows(IMAGES, rows, "table")


def print_image(image: ServerImage) -> None:
    """Print all there is of an image as novaclient 7 shows it."""
    rows = sorted(properties(image), key=itemgetter(0))
    print_rows(PROPERTIES, rows, "table")


def properties(image: ServerImage) -> Iterator[tuple[str, Any]]:
    """Yield the rows that novaclient 7 shows of an image."""
    yield "OS-EXT-IMG-SIZE:size", image.size or 0
    yield "created", write_time(image.created)
    yield "id", image.id
    yield "minDisk", image.min_disk
    yield "minRam", image.min_ram
    yield "name", image.name or None
    yield "progress", image.progress
    yield "status", image.status
    yield "updated", write_time(image.updated)
    if image.server_id is not None:
        yield "server", image.server_id
    for key, value in image.metadata.items():
        yield f"metadata {key}", value
    # A word of compute's own for this one piece of metadata.
    if "auto_disk_config" in image.metadata:
        automatic = image.metadata["auto_disk_config"].strip().lower() in _TRUE
        yield "OS-DCF:diskConfig", "AUTO" if automatic else "MANUAL"
