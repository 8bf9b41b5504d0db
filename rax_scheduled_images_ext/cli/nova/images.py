"""``nova image-list``, ``-show``, ``-meta`` and ``-delete``, as novaclient 7 had them.

Only those that the installed novaclient lacks are offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    failing_as_one,
    finish,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.console.formats import Column, attribute, print_rows
from rax_scheduled_images_ext.console.report import ConsoleReport
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.errors import NotFound
from rax_scheduled_images_ext.model.image import MARKER_KEY, ServerImage
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.work_queue import run

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


def list_images(cs: Any, args: Any) -> None:
    """Print images by name."""
    images = open_cloud(cs).images.list(limit=args.limit)
    rows = sorted(images, key=lambda image: (image.name, image.id))
    print_rows(IMAGES, rows, "table")


def show(cs: Any, args: Any) -> None:
    """Print all details of an image."""
    with failing_as_one():
        image = open_cloud(cs).images.find(args.image)
        rows = sorted(properties(image), key=itemgetter(0))
        print_rows(PROPERTIES, rows, "table")


def change_metadata(cs: Any, args: Any) -> None:
    """Set or delete metadata of an image."""
    metadata = dict(args.metadata)
    if args.action == "delete":
        finish(delete_metadata(open_cloud(cs).images, args.image, list(metadata)))
        return
    for key in (key for key, value in metadata.items() if value is None):
        usage_error("image-meta", f"'{key}' is not in the format of 'key=value'")
    with failing_as_one():
        images = open_cloud(cs).images
        images.with_image(args.image, partial(images.set_metadata, metadata=metadata))


def delete_metadata(images: ImageStore, wanted: str, keys: list[str]) -> bool:
    """Delete metadata; return whether the image had all of it.

    A missing marker of scheduled images is no failure: deleting it is the documented
    way to keep an image.
    """
    with failing_as_one():
        image = images.find(wanted)
        images.delete_metadata(image, keys)
    missing = [key for key in keys if key not in image.metadata]
    for key in missing:
        text = f"Image {image.id} has no metadata '{key}'"
        if key == MARKER_KEY:
            say(f"{text}: no schedule counts or deletes it")
        else:
            CONSOLE.error(NotFound(text))
    return not set(missing) - {MARKER_KEY}


def delete(cs: Any, args: Any) -> None:
    """Delete images, each regardless of errors of the others."""
    images = open_cloud(cs).images
    with Deletions(CONSOLE, len(args.image), noun="images") as report:
        delete_one = partial(images.with_image, action=images.delete)
        run(args.image, delete_one, report, workers=1)
    finish(report.ok)


class Deletions(ConsoleReport):
    """Prints which images could not be deleted, in novaclient 7's words."""

    def failure(self, item: str, error: Exception) -> None:
        self.ok = False
        self.console.not_deleted(item, error)


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
    # Nova's own name for this piece of metadata.
    if "auto_disk_config" in image.metadata:
        automatic = image.metadata["auto_disk_config"].strip().lower() in _TRUE
        yield "OS-DCF:diskConfig", "AUTO" if automatic else "MANUAL"
