"""``nova scheduled-images-prune``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    finish,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console.arguments import NO_TERMINAL
from rax_scheduled_images_ext.console.prune import PruneReport
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.operations.prune import prune_servers


def prune(cs: Any, args: Any) -> None:
    """Delete the scheduled images beyond the retention, or print which those are."""
    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error("scheduled-images-prune", NO_TERMINAL)
    report = PruneReport(CONSOLE, args.server, asks=asks)
    try:
        with report:
            rows = prune_servers(
                open_cloud(cs), args.server, args.keep, report, dry_run=args.dry_run
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
