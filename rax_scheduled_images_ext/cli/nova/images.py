"""``nova image-list``, ``-show``, ``-meta`` and ``-delete``, as novaclient 7 had them.

Only those that the installed novaclient lacks are offered.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    declared,
    failing_as_one,
    finish,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.programs.arguments import checked, invalid


def __dir__() -> list[str]:
    # The shell finds commands by dir(), at a time when it has its own ready.
    from novaclient.v2 import shell

    return [name for name in globals() if not hasattr(shell, name)]


def limit(text: str) -> int:
    """Return how many images to list at most.

    :raises InvalidValue: for anything but a whole number of at least 1.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise invalid(f"'{text}' is not a limit: a whole number of at least 1")
    return int(text)


def action(text: str) -> str:
    """Return what to do with metadata.

    :raises InvalidValue: for anything else.
    """
    if text not in ("set", "delete"):
        raise invalid(f"'{text}' is not an action: use set or delete")
    return text


def metadatum(text: str) -> tuple[str, str | None]:
    """Return a key and its value, None where there is no ``=``.

    :raises InvalidValue: for a key that no metadata can have.
    """
    from rax_scheduled_images_ext.client.images.base import check_key

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
    from rax_scheduled_images_ext.console.views import print_images

    print_images(open_cloud(cs).images.list(limit=args.limit))


@declared(arguments.IMAGE)
def do_image_show(cs: Any, args: Any) -> None:
    """Show details about the given image."""
    from rax_scheduled_images_ext.console.views import print_image

    with failing_as_one():
        print_image(open_cloud(cs).images.find(args.image))


@declared(arguments.IMAGE)
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
    if args.action == "set":
        for key in (key for key, value in metadata.items() if value is None):
            usage_error("image-meta", f"'{key}' is not in the format of 'key=value'")

    with failing_as_one():
        images = open_cloud(cs).images
        change = (
            partial(images.set_metadata, metadata=metadata)
            if args.action == "set"
            else partial(images.delete_metadata, keys=metadata)
        )
        images.with_image(args.image, change)


@declared(arguments.IMAGES)
def do_image_delete(cs: Any, args: Any) -> None:
    """Delete specified image(s)."""
    from rax_scheduled_images_ext.console.report import attempt

    images = open_cloud(cs).images
    delete = partial(images.with_image, action=images.delete)
    finish(attempt(args.image, delete, failed_delete))


def failed_delete(image: str, error: Exception) -> str:
    """Return novaclient 7's words for an image that could not be deleted."""
    return f"Delete for image {image} failed: {error}"
