"""``nova image-list``, ``-show``, ``-meta`` and ``-delete``, as novaclient 7 had them.

Only those that the installed novaclient lacks are offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from ..errors import InvalidValue
from ..formatting import Column
from ..images import ImageStore, ServerImage, check_key, image_store
from .commands import (
    argument,
    attempt,
    checked,
    finish,
    name_or_id,
    show,
    usage_error,
)

LIST_COLUMNS: tuple[Column[ServerImage], ...] = (
    Column("id", "ID", lambda image: image.id),
    Column("name", "Name", lambda image: image.name or None),
    Column("status", "Status", lambda image: image.status),
    Column("server", "Server", lambda image: image.server_id or ""),
)
PROPERTY_COLUMNS: tuple[Column[tuple[str, Any]], ...] = (
    Column("property", "Property", itemgetter(0)),
    Column("value", "Value", itemgetter(1)),
)
_TRUE = ("1", "t", "true", "on", "y", "yes")


def __dir__() -> list[str]:
    # The shell finds commands by dir(), at a time when it has its own ready.
    from novaclient.v2 import shell

    return [name for name in globals() if not hasattr(shell, name)]


def limit(text: str) -> int:
    """Return how many images to list at most.

    :raises InvalidValue: for anything but a whole number of at least 1.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise InvalidValue(f"'{text}' is not a limit: a whole number of at least 1")
    return int(text)


def action(text: str) -> str:
    """Return what to do with metadata.

    :raises InvalidValue: for anything else.
    """
    if text not in ("set", "delete"):
        raise InvalidValue(f"'{text}' is not an action: use set or delete")
    return text


def metadatum(text: str) -> tuple[str, str | None]:
    """Return a key and its value, None where there is no ``=``.

    :raises InvalidValue: for a key that no metadata can have.
    """
    key, equals, value = text.partition("=")
    return check_key(key), value if equals else None


@argument(
    "--limit",
    metavar="<limit>",
    type=checked(limit),
    help="Number of images to list at most.",
)
def do_image_list(cs: Any, args: Any) -> None:
    """Print a list of available images to boot from."""
    images = image_store(cs).list(limit=args.limit)
    show(LIST_COLUMNS, sorted(images, key=lambda i: (i.name, i.id)), "table")


@argument(
    "image", metavar="<image>", type=checked(name_or_id), help="Name or ID of image."
)
def do_image_show(cs: Any, args: Any) -> None:
    """Show details about the given image."""

    def print_image(wanted: str) -> None:
        image = image_store(cs).find(wanted)
        rows = sorted(properties(image), key=itemgetter(0))
        show(PROPERTY_COLUMNS, rows, "table")

    finish(attempt([args.image], print_image))


@argument(
    "image", metavar="<image>", type=checked(name_or_id), help="Name or ID of image."
)
@argument(
    "action",
    metavar="<action>",
    type=checked(action),
    help="Actions: 'set' or 'delete'.",
)
@argument(
    "metadata",
    metavar="<key=value>",
    nargs="+",
    type=checked(metadatum),
    help="Metadata to add/update or delete (only key is necessary on delete).",
)
def do_image_meta(cs: Any, args: Any) -> None:
    """Set or delete metadata on an image."""
    metadata = dict(args.metadata)
    change: Any
    if args.action == "set":
        for key in (key for key, value in metadata.items() if value is None):
            usage_error("image-meta", f"'{key}' is not in the format of 'key=value'")
        change = partial(ImageStore.set_metadata, metadata=metadata)
    else:
        change = partial(ImageStore.delete_metadata, keys=list(metadata))

    def change_image(wanted: str) -> None:
        store = image_store(cs)
        store.with_image(wanted, lambda image: change(store, image))

    finish(attempt([args.image], change_image))


@argument(
    "image",
    metavar="<image>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of image(s).",
)
def do_image_delete(cs: Any, args: Any) -> None:
    """Delete specified image(s)."""
    store = image_store(cs)
    delete = partial(store.with_image, action=store.delete)
    finish(attempt(args.image, delete, failed_delete))


def failed_delete(image: str, error: Exception) -> str:
    """Return novaclient 7's words for an image that could not be deleted."""
    return f"Delete for image {image} failed: {error}"


def properties(image: ServerImage) -> Iterator[tuple[str, Any]]:
    """Yield the rows that novaclient 7 shows of an image."""
    yield "OS-EXT-IMG-SIZE:size", image.size or 0
    yield "created", written(image.created)
    yield "id", image.id
    yield "minDisk", image.min_disk
    yield "minRam", image.min_ram
    yield "name", image.name or None
    yield "progress", image.progress
    yield "status", image.status
    yield "updated", written(image.updated)
    if image.server_id is not None:
        yield "server", image.server_id
    for key, value in image.metadata.items():
        yield f"metadata {key}", value
    # A word of compute's own for this one piece of metadata.
    if "auto_disk_config" in image.metadata:
        automatic = image.metadata["auto_disk_config"].strip().lower() in _TRUE
        yield "OS-DCF:diskConfig", "AUTO" if automatic else "MANUAL"


def written(time: datetime | None) -> str | None:
    """Return a UTC time as the APIs write it."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
