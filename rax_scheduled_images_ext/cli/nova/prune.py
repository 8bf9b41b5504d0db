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
from rax_scheduled_images_ext.console.prune import PruneReport, gone_targets, keep_of
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.operations.prune import prune_servers

_PRUNE = "scheduled-images-prune"


def prune(cs: Any, args: Any) -> None:
    """Delete the scheduled images beyond the retention, or print which those are."""
    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error(_PRUNE, arguments.NO_TERMINAL)
    if not (args.server or args.gone):
        usage_error(_PRUNE, arguments.NAME_OR_GONE)
    try:
        keep = keep_of(args)
    except InvalidValue as error:
        usage_error(_PRUNE, str(error))
    report = PruneReport(CONSOLE, args.server, asks=asks)
    cloud = open_cloud(cs)
    try:
        with report:
            rows = prune_servers(
                cloud,
                args.server or gone_targets(cloud, report),
                keep,
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
