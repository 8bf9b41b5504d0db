"""``nova scheduled-images-list``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    failing_as_one,
    finish,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.servers import (
    print_inventory,
    say_failures,
    say_unreadable,
    uncollected,
)
from rax_scheduled_images_ext.operations import listing


def list_servers(cs: Any, args: Any) -> None:
    """Print servers with their schedules and the state of their images."""
    if args.enabled + args.disabled + args.unprotected > 1:
        usage_error("scheduled-images-list", arguments.ONE_FILTER)
    if args.policies and not args.unprotected:
        usage_error("scheduled-images-list", arguments.NEEDS_UNPROTECTED)
    with uncollected():
        with failing_as_one():
            found = listing.list_servers(
                open_cloud(cs),
                enabled=args.enabled or (False if args.disabled else None),
                name=args.name,
                all_regions=args.all_regions,
                unprotected_only=args.unprotected,
                policies=args.policies,
                report=CONSOLE.report((), noun="regions"),
            )
        complete = say_failures(CONSOLE, found)
        if found.now is not None:
            print_inventory(
                found.rows,
                found.now,
                args.format,
                regions=args.all_regions,
                details=args.long,
            )
        readable = say_unreadable(CONSOLE, (row.status for row in found.rows))
        finish(complete and readable)
