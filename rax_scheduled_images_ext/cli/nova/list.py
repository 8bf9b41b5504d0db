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
from rax_scheduled_images_ext.console.formats import print_rows
from rax_scheduled_images_ext.console.gone import gone_columns, say_unknown
from rax_scheduled_images_ext.console.servers import (
    at_full_speed,
    print_inventory,
    say_failures,
    say_space,
    say_unreadable,
)
from rax_scheduled_images_ext.operations import listing
from rax_scheduled_images_ext.operations.gone import find_gone


def list_servers(cs: Any, args: Any) -> None:
    """Print servers with their schedules and the state of their images."""
    if args.enabled + args.disabled + args.unprotected > 1:
        usage_error("scheduled-images-list", arguments.ONE_FILTER)
    if args.policies and not args.unprotected:
        usage_error("scheduled-images-list", arguments.NEEDS_UNPROTECTED)
    if args.price is not None and not args.long:
        usage_error("scheduled-images-list", arguments.PRICE_OF_LONG)
    if args.gone:
        others = (args.enabled, args.disabled, args.unprotected)
        if any(others) or args.all_regions or args.long:
            usage_error("scheduled-images-list", arguments.GONE_ALONE)
        _list_gone(cs, args)
        return
    with at_full_speed():
        with failing_as_one():
            found = listing.list_servers(
                open_cloud(cs),
                enabled=args.enabled or (False if args.disabled else None),
                name=args.name,
                all_regions=args.all_regions,
                space=args.long,
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
                price=args.price,
            )
            if args.long and args.format == "table":
                say_space(found, args.price)
        readable = say_unreadable(CONSOLE, (row.status for row in found.rows))
        finish(complete and readable)


def _list_gone(cs: Any, args: Any) -> None:
    """Print the servers that are gone."""
    with at_full_speed():
        with failing_as_one():
            cloud = open_cloud(cs)
            found = find_gone(cloud, args.name)
        complete = say_unknown(CONSOLE, found)
        print_rows(gone_columns(found), found.servers, args.format)
        finish(complete)
