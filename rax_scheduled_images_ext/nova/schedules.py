"""``nova scheduled-images-enable``, ``-disable`` and ``-show``."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import schedules
from .commands import (
    argument,
    attempt,
    checked,
    finish,
    format_name,
    name_or_id,
    on_server,
)

# Where novaclient looks for what becomes its clients' `scheduled_images`.
ScheduledImagesManager = schedules.ScheduledImagesManager

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
@argument(
    "--dry-run",
    action="store_true",
    default=False,
    help="Change nothing: print what would change, and which images the next"
    " scheduled image would then make go.",
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
    if args.dry_run:
        from .keeping import forecast

        forecast(
            cs, args.server, schedules.ImageSchedule(args.retention, args.day_of_week)
        )
        return
    enable = partial(
        cs.scheduled_images.enable,
        retention=args.retention,
        day_of_week=args.day_of_week,
    )
    finish(attempt(args.server, on_server(cs, enable)))


@servers
def do_scheduled_images_disable(cs: Any, args: Any) -> None:
    """Disable scheduled images for servers; the images stay."""
    finish(attempt(args.server, on_server(cs, cs.scheduled_images.disable)))


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
    from . import views

    rows = []
    get = on_server(
        cs, lambda server_id: (server_id, cs.scheduled_images.get(server_id))
    )

    def add(server: str) -> None:
        rows.append(views.ShownSchedule.of(server, *get(server)))

    done = attempt(args.server, add)
    if args.format or len(args.server) > 1:
        form = args.format or "table"
        if rows or form != "table":
            views.print_rows(views.SCHEDULES, rows, form)
    elif rows:
        views.print_schedule(rows[0])
    finish(done)
