"""``nova snapshot-create``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import CONSOLE, end
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.client.novaclient import cloud_of
from rax_scheduled_images_ext.console.snapshot_create import IdReport
from rax_scheduled_images_ext.operations.snapshot.take import (
    SnapshotOptions,
    take_snapshot,
)


def create(cs: Any, args: Any) -> None:
    """Take a snapshot, and print the ID of its image as soon as the server runs."""
    report = IdReport(CONSOLE)
    with report.failing():
        options = chosen(SnapshotOptions, args)
        take_snapshot(cloud_of(cs), args.server, args.name, options, report)
    end(report.status)
