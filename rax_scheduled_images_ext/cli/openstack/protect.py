"""``openstack server snapshot protect`` and ``unprotect``."""

from __future__ import annotations

import argparse

from rax_scheduled_images_ext.cli.openstack.command import CONSOLE, Command
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.images import say_next_expiries
from rax_scheduled_images_ext.operations.forecast import next_expiries
from rax_scheduled_images_ext.operations.protect import (
    protect_images,
    unprotect_images,
)


class ProtectSnapshot(Command):
    """Keep images for good: schedules no longer count or delete them."""

    arguments = (arguments.IMAGES,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Protect the images."""
        with CONSOLE.report(parsed_args.image, noun="images") as report:
            protect_images(self.cloud, parsed_args.image, report)
        self.end(ok=report.ok)


class UnprotectSnapshot(Command):
    """Return images to their schedules, and report which expire next."""

    arguments = (arguments.IMAGES,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Unprotect the images."""
        cloud = self.cloud
        with CONSOLE.report(parsed_args.image, noun="images") as report:
            done = unprotect_images(cloud, parsed_args.image, report)
        say_next_expiries(next_expiries(cloud, done))
        self.end(ok=report.ok)
