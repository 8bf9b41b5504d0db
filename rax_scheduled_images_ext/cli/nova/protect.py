"""``nova scheduled-images-protect`` and ``-unprotect``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import CONSOLE, finish, open_cloud
from rax_scheduled_images_ext.console.images import say_next_expiries
from rax_scheduled_images_ext.operations.forecast import next_expiries
from rax_scheduled_images_ext.operations.protect import (
    protect_images,
    unprotect_images,
)


def protect(cs: Any, args: Any) -> None:
    """Keep images for good."""
    with CONSOLE.report(args.image, noun="images") as report:
        protect_images(open_cloud(cs), args.image, report)
    finish(report.ok)


def unprotect(cs: Any, args: Any) -> None:
    """Return images to their schedules, and report which expire next."""
    cloud = open_cloud(cs)
    with CONSOLE.report(args.image, noun="images") as report:
        done = unprotect_images(cloud, args.image, report)
    say_next_expiries(next_expiries(cloud, done))
    finish(report.ok)
