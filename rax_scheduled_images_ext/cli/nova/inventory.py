"""``nova scheduled-images-list`` and ``-check``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    declared,
    error_line,
    failing_as_one,
    finish,
    format_name,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.programs.arguments import checked


@declared(
    arguments.ENABLED, arguments.DISABLED, arguments.ALL_REGIONS, arguments.BY_NAME
)
@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    default="table",
    help="Print rows as table (the default), json, csv or value.",
)
def do_scheduled_images_list(cs: Any, args: Any) -> None:
    """List servers with their schedules and the state of their images."""
    from rax_scheduled_images_ext.console.inventory import (
        print_inventory,
        read_rows,
        uncollected,
    )

    if args.enabled and args.disabled:
        usage_error(
            "scheduled-images-list", "--enabled and --disabled exclude each other"
        )
    with uncollected():
        with failing_as_one():
            listed = read_rows(
                open_cloud(cs),
                enabled=args.enabled or (False if args.disabled else None),
                name=args.name,
                all_regions=args.all_regions,
                error_line=error_line,
            )
        if listed.now is not None:
            print_inventory(
                listed.rows, listed.now, args.format, regions=args.all_regions
            )
        finish(listed.report(error_line))


@declared(arguments.MAXIMUM_AGE, arguments.BY_NAME)
@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    help="Print problems as rows: table, json, csv or value. Without it there"
    " is a line for each such server, or one line if all is well.",
)
def do_scheduled_images_check(cs: Any, args: Any) -> None:
    """Report servers whose newest scheduled image is too old, with exit status 3."""
    from rax_scheduled_images_ext.console.inventory import print_check, uncollected
    from rax_scheduled_images_ext.console.report import report_unreadable
    from rax_scheduled_images_ext.operations.check import STALE, check

    with uncollected():
        with failing_as_one():
            result = check(open_cloud(cs), name=args.name, max_age=args.max_age)
        print_check(result, args.format)
        readable = report_unreadable(result.problems, error_line)
    if result.stale:
        raise SystemExit(STALE)
    finish(readable)
