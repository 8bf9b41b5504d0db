"""``openstack server snapshot create``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import shown
from rax_scheduled_images_ext.cli.openstack.command import (
    CONSOLE,
    INTERRUPTED,
    NothingToShow,
    ShowOne,
)
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.snapshot_create import TAKEN, SnapshotReport
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.operations.snapshot.take import (
    SnapshotOptions,
    take_snapshot,
)


class CreateSnapshot(ShowOne):
    """Create an image of a server, and quiesce it no longer than necessary."""

    statuses = arguments.CREATE_STATUSES
    arguments = (
        arguments.metadata("--property", "--metadata"),
        *arguments.CREATE,
        arguments.time_limit(arguments.CREATE_LIMIT, default="6h"),
        arguments.SERVER,
        arguments.IMAGE_NAME,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Take the snapshot and return its image."""
        # Before anything is stopped.
        keys = [each.key for each in TAKEN]
        self.check_output(parsed_args, keys, keys)
        report = SnapshotReport(CONSOLE)
        server, name = parsed_args.server, parsed_args.name
        options = chosen(SnapshotOptions, parsed_args)
        try:
            with report.failing():
                cloud = replace(self.cloud, waits=report.waits)
                take_snapshot(cloud, server, name, options, report)
            self.status = report.status
        except KeyboardInterrupt:
            self.status = INTERRUPTED
        taken = report.snapshot
        if taken is None:
            raise NothingToShow
        self.say_done = lambda: say(f"Created: image {taken.name} ({taken.image_id})")
        return shown(TAKEN, taken)
