"""``nova scheduled-images-enable``, ``-update``, ``-disable`` and ``-show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    declared,
    error_line,
    finish,
    format_name,
    open_cloud,
    target_servers,
    targets_of,
    usage_error,
)

# Where novaclient looks for what becomes its clients' `scheduled_images`.
from rax_scheduled_images_ext.cli.nova.manager import (
    ScheduledImagesManager as ScheduledImagesManager,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.programs.arguments import (
    checked,
    day_name,
    number_to_keep,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.operations.forecast import Forecast
    from rax_scheduled_images_ext.operations.schedules import (
        ScheduleChange,
        ServerSchedule,
    )
    from rax_scheduled_images_ext.operations.targets import Target


@argument(
    "--day-of-week",
    metavar="<day>",
    type=checked(day_name),
    help="Make one image a week, on this UTC day: a day's English name in any letter"
    " case, or the beginning of just one. Without it the schedule is daily, even if"
    " it was weekly before.",
)
@declared(arguments.FORECAST)
@target_servers
@argument(
    "retention",
    metavar="<retention>",
    type=checked(number_to_keep),
    help="Number of scheduled images to keep, 1 to 65535.",
)
def do_scheduled_images_enable(cs: Any, args: Any) -> None:
    """Enable scheduled images for servers."""
    from rax_scheduled_images_ext.console.report import ServerReport
    from rax_scheduled_images_ext.model.schedule import ImageSchedule

    schedule = ImageSchedule(
        args.retention or misplaced_retention(args), args.day_of_week
    )
    cloud = open_cloud(cs)
    targets = targets_of(cloud, "scheduled-images-enable", args)
    if args.dry_run:
        from rax_scheduled_images_ext.console.retention import print_forecast
        from rax_scheduled_images_ext.operations.forecast import forecast

        def show(server: Target, found: Forecast) -> None:
            print_forecast(server.label, found)

        with ServerReport(len(targets), error_line, show) as report:
            forecast(cloud, targets, schedule, report, report.progress)
        finish(report.ok)
        return
    from rax_scheduled_images_ext.console.terminal import say
    from rax_scheduled_images_ext.console.views import NEEDS_SERVICE
    from rax_scheduled_images_ext.operations.schedules import enable

    with ServerReport(len(targets), error_line) as report:
        outcomes = enable(cloud, targets, schedule, report, report.progress)
    if cloud.schedules.kept_as_tags and any(each.value for each in outcomes):
        say(NEEDS_SERVICE)
    finish(report.ok)


def misplaced_retention(args: Any) -> int:
    """Take the retention that was read as the last server: ``7 --all``."""
    from rax_scheduled_images_ext.errors import InvalidValue

    command = "scheduled-images-enable"
    if not args.server:
        usage_error(command, "the following arguments are required: <retention>")
    try:
        return number_to_keep(args.server.pop())
    except InvalidValue as error:
        usage_error(command, f"argument <retention>: {error}")


@declared(arguments.retention(), arguments.weekly("--day-of-week"), arguments.DAILY)
@target_servers
def do_scheduled_images_update(cs: Any, args: Any) -> None:
    """Change parts of the schedules of servers; the rest stays as it is."""
    command = "scheduled-images-update"
    if args.daily and args.day_of_week:
        usage_error(command, "--daily and --day-of-week exclude each other")
    if not (args.daily or args.day_of_week or args.retention):
        usage_error(
            command, "nothing to change: use --retention, --day-of-week or --daily"
        )
    from rax_scheduled_images_ext.console.report import ServerReport
    from rax_scheduled_images_ext.console.retention import described
    from rax_scheduled_images_ext.console.terminal import say
    from rax_scheduled_images_ext.model.schedule import ScheduleSettings
    from rax_scheduled_images_ext.operations.schedules import change

    def show(server: Target, done: ScheduleChange) -> None:
        before, after = described(done.before), described(done.after)
        text = f"still {after}" if before == after else f"was {before}; is {after}"
        say(f"{server.label}: {text}")

    wanted = ScheduleSettings(args.retention, args.day_of_week, args.daily)
    cloud = open_cloud(cs)
    targets = targets_of(cloud, command, args, scheduled=True)
    with ServerReport(len(targets), error_line, show) as report:
        change(cloud, targets, wanted, report, report.progress, enabled=True)
    finish(report.ok)


@target_servers
def do_scheduled_images_disable(cs: Any, args: Any) -> None:
    """Disable scheduled images for servers; the images stay."""
    from rax_scheduled_images_ext.console.report import ServerReport
    from rax_scheduled_images_ext.operations.schedules import disable

    cloud = open_cloud(cs)
    targets = targets_of(cloud, "scheduled-images-disable", args, scheduled=True)
    with ServerReport(len(targets), error_line) as report:
        disable(cloud, targets, report, report.progress)
    finish(report.ok)


@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    help="Print rows as table, json, csv or value. Several servers are a table"
    " without it, and one server is two lines of text. In json, csv and value a server"
    " without a schedule is a row with an empty one.",
)
@declared(arguments.SERVERS)
def do_scheduled_images_show(cs: Any, args: Any) -> None:
    """Show the scheduled image settings of servers."""
    from rax_scheduled_images_ext.console import views
    from rax_scheduled_images_ext.console.report import ServerReport
    from rax_scheduled_images_ext.errors import NoSchedule
    from rax_scheduled_images_ext.operations import schedules

    rows: list[views.ShownSchedule] = []
    form = args.format or ("table" if len(args.server) > 1 else None)

    def add(server: Target, found: ServerSchedule) -> None:
        row = views.ShownSchedule.of(server.label, found.server_id, found.schedule)
        rows.append(row)

    def add_without(server: Target, error: Exception) -> None:
        # A program is to find every server that it named.
        if form not in (None, "table") and isinstance(error, NoSchedule):
            rows.append(views.ShownSchedule(server.label, error.server_id))

    with ServerReport(len(args.server), error_line, add, add_without) as report:
        schedules.show(open_cloud(cs), args.server, report, report.progress)
        if form is not None:
            views.print_schedules(rows, form)
        elif rows:
            views.print_schedule(rows[0])
    finish(report.ok)
