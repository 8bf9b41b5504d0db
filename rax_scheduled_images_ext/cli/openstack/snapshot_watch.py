"""``openstack server snapshot watch``."""

from __future__ import annotations

import argparse

from rax_scheduled_images_ext.cli.openstack.command import CONSOLE, Command
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.snapshot_watch import WatchReport
from rax_scheduled_images_ext.operations.snapshot.watch import Wanted
from rax_scheduled_images_ext.operations.snapshot.watch_servers import watch_servers


class WatchSnapshot(Command):
    """Watch the snapshots of servers until they are over."""

    statuses = arguments.WATCH_STATUSES
    arguments = (
        *arguments.WATCH,
        arguments.time_limit(arguments.WATCH_LIMIT),
        arguments.watch_format("-f", "--format"),
        arguments.SERVERS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print a line for each poll."""
        report = WatchReport(
            CONSOLE,
            len(parsed_args.server),
            changes_only=parsed_args.changes_only,
            as_json=parsed_args.format == "json",
        )
        wanted = chosen(Wanted, parsed_args)
        watch_servers(self.cloud, parsed_args.server, wanted, report)
        self.status = report.status
