"""``nova scheduled-images-enable``, ``-disable`` and ``-show``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import schedules
from ..formatting import attribute
from ..servers import with_server
from ..transport import Transport
from .commands import argument, attempt, checked, finish, format_name, name_or_id, show

# Where novaclient looks for what becomes its clients' `scheduled_images`.
ScheduledImagesManager = schedules.ScheduledImagesManager


@dataclass(frozen=True)
class Shown:
    """A server, as the user named it, and its schedule."""

    server: str
    id: str
    schedule: str
    day_of_week: str | None
    retention: int


COLUMNS = (
    attribute("server", "Server"),
    attribute("id", "ID"),
    attribute("schedule", "Schedule"),
    attribute("day_of_week", "Day"),
    attribute("retention", "Retention"),
)

servers = argument(
    "server",
    metavar="<server>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of server(s).",
)


@argument(
    "--day-of-week",
    metavar="<day>",
    type=checked(schedules.parse_day),
    help="Make one image a week, on this UTC day: a day's English name in any letter"
    " case, or the beginning of just one. Without it the schedule is daily, even if"
    " it was weekly before.",
)
@servers
@argument(
    "retention",
    metavar="<retention>",
    type=checked(schedules.parse_retention),
    help="Number of scheduled images to keep, 1 to 65535.",
)
def do_scheduled_images_enable(cs: Any, args: Any) -> None:
    """Enable scheduled images for servers."""
    enable = partial(
        cs.scheduled_images.enable,
        retention=args.retention,
        day_of_week=args.day_of_week,
    )
    finish(
        attempt(args.server, partial(with_server, Transport(cs.client), action=enable))
    )


@servers
def do_scheduled_images_disable(cs: Any, args: Any) -> None:
    """Disable scheduled images for servers; the images stay."""
    disable = partial(
        with_server, Transport(cs.client), action=cs.scheduled_images.disable
    )
    finish(attempt(args.server, disable))


@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    help="Print rows as table, json, csv or value. Several servers are a table"
    " without it, and one server is two lines of text.",
)
@servers
def do_scheduled_images_show(cs: Any, args: Any) -> None:
    """Show the scheduled image settings of servers."""
    rows: list[Shown] = []

    def read(server_id: str) -> tuple[str, schedules.ImageSchedule]:
        return server_id, cs.scheduled_images.get(server_id)

    def add(server: str) -> None:
        server_id, found = with_server(Transport(cs.client), server, read)
        rows.append(
            Shown(server, server_id, found.kind, found.day_of_week, found.retention)
        )

    done = attempt(args.server, add)
    if args.format or len(args.server) > 1:
        if rows or args.format != "table":
            show(COLUMNS, rows, args.format or "table")
    elif rows:
        _print_one(rows[0])
    finish(done)


def _print_one(row: Shown) -> None:
    """Print one schedule as it is documented."""
    day = f" on: {row.day_of_week}" if row.day_of_week else ""
    print(f"Schedule type: {row.schedule.title()}{day}")
    print(f"Retention: {row.retention}")
