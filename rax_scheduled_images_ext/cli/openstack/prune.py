"""``openstack server snapshot prune``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed
from rax_scheduled_images_ext.cli.openstack.command import (
    CONSOLE,
    INTERRUPTED,
    Lister,
    NothingToShow,
    WrongUsage,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.prune import PruneReport, keep_of
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.operations.prune import prune_servers


class PruneSnapshot(Lister):
    """Apply the retention now: delete the scheduled images beyond it."""

    arguments = (*arguments.KEEP, arguments.PLAN, arguments.YES, arguments.SERVERS)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Delete images, or only plan that, and return them."""
        asks = not (parsed_args.yes or parsed_args.dry_run)
        if asks and not can_ask():
            raise WrongUsage(arguments.NO_TERMINAL)
        try:
            keep = keep_of(parsed_args)
        except InvalidValue as error:
            raise WrongUsage(str(error)) from None
        report = PruneReport(CONSOLE, parsed_args.server, asks=asks)
        self.say_done = report.say_deleted
        # Before anything is deleted.
        self.check_output(parsed_args, *listed(report.columns, ()))
        try:
            with report:
                rows = prune_servers(
                    self.cloud,
                    parsed_args.server,
                    keep,
                    report,
                    dry_run=parsed_args.dry_run,
                )
            self.end(ok=report.ok and rows is not None)
        except KeyboardInterrupt:
            self.status = INTERRUPTED
            rows = report.done or None
        if rows is None:
            raise NothingToShow
        if not rows:
            report.say_nothing()
        return listed(report.columns, rows)
