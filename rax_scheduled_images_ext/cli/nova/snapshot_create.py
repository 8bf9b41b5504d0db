"""``nova snapshot-create``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rax_scheduled_images_ext.cli.nova.command import CONSOLE, end, open_cloud
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.console.snapshot_create import IdReport
from rax_scheduled_images_ext.operations.snapshot.take import (
    SnapshotOptions,
    take_snapshot,
)


def create(cs: Any, args: Any) -> None:
    """Take a snapshot; print the ID of its image as soon as the server runs again."""
    report = IdReport(CONSOLE)
    with report.failing():
        options = chosen(SnapshotOptions, args)
        cloud = replace(open_cloud(cs), waits=report.waits)
        take_snapshot(cloud, args.server, args.name, options, report)
    end(report.status)
