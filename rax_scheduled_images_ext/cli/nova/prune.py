"""``nova scheduled-images-prune``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    finish,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.prune import PruneReport, gone_targets
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.operations.prune import prune_servers


def prune(cs: Any, args: Any) -> None:
    """Delete the scheduled images beyond the retention, or print which those are."""
    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error("scheduled-images-prune", arguments.NO_TERMINAL)
    if not (args.server or args.gone):
        usage_error("scheduled-images-prune", arguments.NAME_OR_GONE)
    report = PruneReport(CONSOLE, args.server, asks=asks)
    cloud = open_cloud(cs)
    try:
        with report:
            rows = prune_servers(
                cloud,
                args.server or gone_targets(cloud, report),
                args.keep,
                report,
                gone=args.gone,
                dry_run=args.dry_run,
            )
    except KeyboardInterrupt:
        report.print(report.done, args.format)
        raise
    if rows is None:
        raise SystemExit(1)
    report.print(rows, args.format)
    if not rows:
        report.say_nothing()
    finish(report.ok)
