"""``nova scheduled-images-list`` and ``-check``."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    by_name,
    checked,
    error_line,
    failing_as_one,
    finish,
    format_name,
    invalid,
    open_cloud,
    say,
    usage_error,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from rax_scheduled_images_ext.model.freshness import ScheduleStatus
    from rax_scheduled_images_ext.operations.inventory import Inventory

#: What model.freshness has as the default.
MAX_AGE = "26h"
STALE = 3


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave the search for reference cycles out.

    Nothing read here makes any, and to scan the answers of a large cloud
    again and again takes a sixth of the processor time of a list.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def max_age(text: str) -> timedelta:
    """Return the age that ``text`` stands for.

    :raises InvalidValue: for what is none.
    """
    from datetime import timedelta

    from rax_scheduled_images_ext.model.durations import parse_duration

    try:
        age = timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise invalid(str(error)) from None
    except OverflowError:
        raise invalid(f"'{text}' is longer than any image is old") from None
    if not age:
        raise invalid(f"'{text}' is not an age: no image is that young")
    return age


@argument(
    "--enabled",
    action="store_true",
    default=False,
    help="Only servers with a schedule.",
)
@argument(
    "--disabled",
    action="store_true",
    default=False,
    help="Only servers without a schedule.",
)
@argument(
    "--all-regions",
    action="store_true",
    default=False,
    help="The servers of all regions that the catalog lists.",
)
@by_name
@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    default="table",
    help="Print rows as table (the default), json, csv or value.",
)
@uncollected()
def do_scheduled_images_list(cs: Any, args: Any) -> None:
    """List servers with their schedules and the state of their images."""
    from rax_scheduled_images_ext.operations.inventory import (
        read_inventory,
        read_regions,
    )
    from rax_scheduled_images_ext.operations.work_queue import Outcome
    from rax_scheduled_images_ext.output.console import ProgressLine
    from rax_scheduled_images_ext.output.inventory import Row, print_inventory

    if args.enabled and args.disabled:
        usage_error(
            "scheduled-images-list", "--enabled and --disabled exclude each other"
        )
    enabled = args.enabled or (False if args.disabled else None)
    cloud = open_cloud(cs)
    found: list[Outcome[str, Inventory]]
    with failing_as_one(), ProgressLine() as line:
        if args.all_regions:
            found = read_regions(
                cloud, enabled=enabled, name=args.name, progress=line.show
            )
        else:
            found = [
                Outcome("", read_inventory(cloud, enabled=enabled, name=args.name))
            ]
    for region in found:
        if region.error is not None:
            where = f" (in region {region.item})"
            say(error_line(region, region.error) + where)
    inventories = {each.item: each.value for each in found if each.value is not None}
    rows = [
        Row(region or None, status)
        for region, inventory in inventories.items()
        for status in inventory.servers
    ]
    if inventories:
        now = max(inventory.now for inventory in inventories.values())
        print_inventory(rows, now, args.format, regions=args.all_regions)
    readable = report_unreadable([row.status for row in rows])
    finish(readable and len(inventories) == len(found))


@argument(
    "--max-age",
    metavar="<duration>",
    type=checked(max_age),
    default=MAX_AGE,
    help="How old the newest image of a daily schedule may be, such as 26h (the"
    " default) or 1d12h; one of a weekly schedule may be six days older.",
)
@by_name
@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    help="Print problems as rows: table, json, csv or value. Without it there"
    " is a line for each such server, or one line if all is well.",
)
@uncollected()
def do_scheduled_images_check(cs: Any, args: Any) -> None:
    """Report servers whose newest scheduled image is too old, with exit status 3."""
    from rax_scheduled_images_ext.operations.check import check
    from rax_scheduled_images_ext.output.inventory import print_check

    with failing_as_one():
        result = check(open_cloud(cs), name=args.name, max_age=args.max_age)
    print_check(result, args.format)
    readable = report_unreadable(result.problems)
    if result.stale:
        raise SystemExit(STALE)
    finish(readable)


def report_unreadable(servers: list[ScheduleStatus]) -> bool:
    """Report on stderr which servers could not be read; return whether all could."""
    from rax_scheduled_images_ext.cli.nova.report import failure

    problems = [(each.server, each.server.problem) for each in servers]
    unreadable = [(server, problem) for server, problem in problems if problem]
    unreadable.sort(key=lambda each: (each[0].name, each[0].id))
    for server, problem in unreadable:
        say(failure(server.name, problem, 2))
    return not unreadable
