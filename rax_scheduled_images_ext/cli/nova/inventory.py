"""``nova scheduled-images-list`` and ``-check``."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
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
from rax_scheduled_images_ext.cli.nova.server_arguments import by_name

if TYPE_CHECKING:
    from datetime import timedelta

    from rax_scheduled_images_ext.operations.inventory import Fleet, Wanted
    from rax_scheduled_images_ext.operations.work_queue import Outcome
    from rax_scheduled_images_ext.output.inventory import Row

#: How old the newest image of a daily schedule may be: a day, and two hours for
#: the snapshot itself and a second try.
MAX_AGE = "26h"
STALE = 3


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave the search for reference cycles out.

    Nothing read here makes any, and to look through the answers of a large cloud
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
    """List servers with their schedules and how it stands with their images."""
    from rax_scheduled_images_ext.operations.inventory import FleetReader, in_regions
    from rax_scheduled_images_ext.operations.work_queue import run
    from rax_scheduled_images_ext.output.inventory import Row, columns
    from rax_scheduled_images_ext.output.views import print_rows

    if args.enabled and args.disabled:
        usage_error(
            "scheduled-images-list", "--enabled and --disabled exclude each other"
        )
    enabled = args.enabled or (False if args.disabled else None)
    limit = max_age(MAX_AGE)
    with failing_as_one():
        clouds = (
            in_regions(open_cloud(cs)) if args.all_regions else {"": open_cloud(cs)}
        )

    def read(region: str) -> Fleet:
        reader = FleetReader.of(clouds[region])
        return reader.read(limit, enabled=enabled, wanted=_wanted(args))

    rows: list[Row] = []
    now = []
    done = True

    def told(outcome: Outcome[str, Fleet]) -> None:
        nonlocal done
        region, fleet = outcome.item, outcome.value
        if fleet is None:
            assert outcome.error is not None
            where = f" (in region {region})" if region else ""
            say(error_line(region, outcome.error) + where)
            done = False
            return
        now.append(fleet.now)
        rows.extend(Row(region or None, standing) for standing in fleet.standings)

    run(list(clouds), read, told)
    rows.sort(key=lambda row: (row.region or "", row.server.name, row.server.id))
    if now:
        shown = columns(max(now), regions=args.all_regions)
        print_rows(shown, rows, args.format)
    finish(_told_problems(rows) and done)


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
    help="Print what is wrong as rows: table, json, csv or value. Without it there"
    " is a line for each server, or one that says that all is well.",
)
@uncollected()
def do_scheduled_images_check(cs: Any, args: Any) -> None:
    """Tell whose newest scheduled image is too old; exit status 3 if there are any."""
    from rax_scheduled_images_ext.model.freshness import State
    from rax_scheduled_images_ext.operations.inventory import FleetReader
    from rax_scheduled_images_ext.output import inventory as inventory_output
    from rax_scheduled_images_ext.output.console import put
    from rax_scheduled_images_ext.output.views import print_rows

    with failing_as_one():
        reader = FleetReader.of(open_cloud(cs))
        fleet = reader.read(args.max_age, enabled=True, wanted=_wanted(args))
        if args.name and not fleet.standings:
            # Whoever watches a server must hear that its schedule is gone.
            from rax_scheduled_images_ext.client.errors import NoServers

            raise NoServers(
                "There is no server with scheduled images whose name matches"
                f" '{args.name.pattern}'"
            )
    wrong = sorted(
        (
            inventory_output.Row(None, found)
            for found in fleet.standings
            if found.stale or found.state is State.UNKNOWN
        ),
        key=lambda row: (row.server.name, row.server.id),
    )
    if args.format:
        shown = [*inventory_output.columns(fleet.now), inventory_output.limit_column()]
        if wrong or args.format != "table":
            print_rows(shown, wrong, args.format)
    else:
        lines = [inventory_output.decision(row, fleet.now) for row in wrong]
        put("\n".join(lines) or inventory_output.all_fresh(fleet.standings))
    readable = _told_problems(wrong)
    if any(row.standing.stale for row in wrong):
        raise SystemExit(STALE)
    finish(readable)


def _wanted(args: Any) -> Wanted:
    from rax_scheduled_images_ext.operations.inventory import anything

    pattern = args.name
    return (lambda name: bool(pattern.search(name))) if pattern else anything


def _told_problems(rows: list[Row]) -> bool:
    """Tell on stderr which servers could not be read; return whether there was none."""
    from rax_scheduled_images_ext.cli.nova.targets import Target, failure

    problems = [row.server for row in rows if row.server.problem is not None]
    for server in problems:
        targets = Target(server.name, server.id)
        say(failure(targets, server.problem, 2))  # type: ignore[arg-type]
    return not problems
