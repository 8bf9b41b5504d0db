"""``nova scheduled-images-enable``, ``-update``, ``-disable`` and ``-show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    checked,
    day_name,
    finish,
    format_name,
    number_to_keep,
    open_cloud,
    say,
    usage_error,
)

# Where novaclient looks for what becomes its clients' `scheduled_images`.
from rax_scheduled_images_ext.cli.nova.manager import (
    ScheduledImagesManager as ScheduledImagesManager,
)
from rax_scheduled_images_ext.cli.nova.server_arguments import (
    chosen_servers,
    servers,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.cli.nova.targets import Target
    from rax_scheduled_images_ext.client.schedules.extension import ExtensionSchedules
    from rax_scheduled_images_ext.model.schedule import ImageSchedule


@argument(
    "--day-of-week",
    metavar="<day>",
    type=checked(day_name),
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
@chosen_servers
@argument(
    "retention",
    metavar="<retention>",
    type=checked(number_to_keep),
    help="Number of scheduled images to keep, 1 to 65535.",
)
def do_scheduled_images_enable(cs: Any, args: Any) -> None:
    """Enable scheduled images for servers."""
    from rax_scheduled_images_ext.cli.nova.targets import choose_targets, each_server
    from rax_scheduled_images_ext.model.schedule import ImageSchedule

    retention = args.retention or misplaced_retention(args)
    targets = choose_targets(open_cloud(cs), "scheduled-images-enable", args)
    new = ImageSchedule(retention, args.day_of_week)
    if args.dry_run:
        from rax_scheduled_images_ext.cli.nova.retention import forecast

        finish(forecast(open_cloud(cs), targets, new))
        return

    def enable(schedules: ExtensionSchedules, server_id: str) -> None:
        schedules.enable(server_id, new)

    finish(each_server(open_cloud(cs), targets, enable))


def misplaced_retention(args: Any) -> int:
    """Take the retention that was read as the last server: ``7 --all``."""
    from rax_scheduled_images_ext.model.errors import InvalidValue

    command = "scheduled-images-enable"
    if not args.server:
        usage_error(command, "the following arguments are required: <retention>")
    try:
        return number_to_keep(args.server.pop())
    except InvalidValue as error:
        usage_error(command, f"argument <retention>: {error}")


@argument(
    "--retention",
    metavar="<number>",
    type=checked(number_to_keep),
    help="Number of scheduled images to keep, 1 to 65535.",
)
@argument(
    "--day-of-week",
    metavar="<day>",
    type=checked(day_name),
    help="Make one image a week, on this UTC day: a day's English name in any letter"
    " case, or the beginning of just one.",
)
@argument(
    "--daily", action="store_true", default=False, help="Make an image every day."
)
@chosen_servers
def do_scheduled_images_update(cs: Any, args: Any) -> None:
    """Change the schedules of servers, and nothing of them that is not named."""
    from rax_scheduled_images_ext.cli.nova.targets import choose_targets, each_server
    from rax_scheduled_images_ext.client.errors import NoSchedule
    from rax_scheduled_images_ext.model.schedule import ImageSchedule
    from rax_scheduled_images_ext.output.retention import described

    command = "scheduled-images-update"
    if args.daily and args.day_of_week:
        usage_error(command, "--daily and --day-of-week exclude each other")
    if not (args.daily or args.day_of_week or args.retention):
        usage_error(
            command, "say what to change: --retention, --day-of-week or --daily"
        )

    def update(
        schedules: ExtensionSchedules, server_id: str
    ) -> tuple[ImageSchedule, ImageSchedule]:
        was = schedules.get(server_id)
        retention = args.retention or was.retention
        day = args.day_of_week or (None if args.daily else was.day_of_week)
        if was == ImageSchedule(retention, day):
            return was, was
        return was, schedules.enable(server_id, ImageSchedule(retention, day))

    def tell(server: Target, change: tuple[ImageSchedule, ImageSchedule]) -> None:
        was, is_ = map(described, change)
        text = f"still {is_}" if was == is_ else f"was {was}; is {is_}"
        say(f"{server.label}: {text}")

    targets = choose_targets(open_cloud(cs), command, args, scheduled=True)
    finish(each_server(open_cloud(cs), targets, update, tell, passed_over=NoSchedule))


@chosen_servers
def do_scheduled_images_disable(cs: Any, args: Any) -> None:
    """Disable scheduled images for servers; the images stay."""
    from rax_scheduled_images_ext.cli.nova.targets import choose_targets, each_server
    from rax_scheduled_images_ext.client.errors import NoSchedule

    def disable(schedules: ExtensionSchedules, server_id: str) -> None:
        schedules.disable(server_id)

    targets = choose_targets(
        open_cloud(cs), "scheduled-images-disable", args, scheduled=True
    )
    finish(each_server(open_cloud(cs), targets, disable, passed_over=NoSchedule))


@argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    help="Print rows as table, json, csv or value. Several servers are a table"
    " without it, and one server is two lines of text. In json, csv and value a server"
    " without a schedule is a row with an empty one.",
)
@servers
def do_scheduled_images_show(cs: Any, args: Any) -> None:
    """Show the scheduled image settings of servers."""
    from rax_scheduled_images_ext.cli.nova.targets import Target, each_server
    from rax_scheduled_images_ext.client.errors import NoSchedule
    from rax_scheduled_images_ext.output import views

    rows: list[views.ShownSchedule] = []
    form = args.format or ("table" if len(args.server) > 1 else None)

    def get(schedules: ExtensionSchedules, server_id: str) -> tuple[str, ImageSchedule]:
        return server_id, schedules.get(server_id)

    def add(server: Target, found: tuple[str, ImageSchedule]) -> None:
        rows.append(views.ShownSchedule.of(server.label, *found))

    def add_without(server: Target, error: Exception) -> None:
        # A program is to find every server that it named.
        if form not in (None, "table") and isinstance(error, NoSchedule):
            rows.append(views.ShownSchedule(server.label, error.server_id))

    targets = [Target(server) for server in args.server]
    done = each_server(open_cloud(cs), targets, get, add, failed=add_without)
    if form is not None:
        if rows or form != "table":
            views.print_rows(views.SCHEDULES, rows, form)
    elif rows:
        views.print_schedule(rows[0])
    finish(done)
