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
from rax_scheduled_images_ext.console.prune import PruneReport, keep_of
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.operations.prune import prune_servers

_PRUNE = "scheduled-images-prune"


def prune(cs: Any, args: Any) -> None:
    """Delete the scheduled images beyond the retention, or print which those are."""
    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error(_PRUNE, NO_TERMINAL)
    try:
        keep = keep_of(args)
    except InvalidValue as error:
        usage_error(_PRUNE, str(error))
    report = PruneReport(CONSOLE, args.server, asks=asks)
    try:
        with report:
            rows = prune_servers(
                open_cloud(cs), args.server, keep, report, dry_run=args.dry_run
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
