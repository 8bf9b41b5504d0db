"""``nova snapshot-watch``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import CONSOLE, end, open_cloud
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.console.snapshot_watch import WatchReport
from rax_scheduled_images_ext.operations.snapshot.watch import Wanted
from rax_scheduled_images_ext.operations.snapshot.watch_servers import watch_servers


def watch(cs: Any, args: Any) -> None:
    """Print the snapshots of servers until they are over."""
    report = WatchReport(
        CONSOLE,
        len(args.server),
        changes_only=args.changes_only,
        as_json=args.format == "json",
    )
    watch_servers(open_cloud(cs), args.server, chosen(Wanted, args), report)
    end(report.status)
