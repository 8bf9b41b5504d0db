"""``nova scheduled-images-enable``, ``-update``, ``-disable`` and ``-show``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    finish,
    open_cloud,
    targets_of,
    usage_error,
)
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.schedules import (
    NEEDS_SERVICE,
    ShownSchedule,
    print_forecast,
    print_schedule,
    print_schedules,
    say_change,
)
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.errors import InvalidValue, NoSchedule
from rax_scheduled_images_ext.model.schedule import (
    ImageSchedule,
    ScheduleSettings,
    parse_retention,
)
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.forecast import forecast
from rax_scheduled_images_ext.operations.schedules import ServerSchedule
from rax_scheduled_images_ext.operations.targets import Target


def enable(cs: Any, args: Any) -> None:
    """Give servers a schedule, or print what that would change."""
    retention = args.retention or misplaced_retention(args)
    schedule = ImageSchedule(retention, args.day_of_week)
    cloud = open_cloud(cs)
    command = "scheduled-images-enable"
    targets = targets_of(cloud, command, args, dry_run=args.dry_run)
    wanted = ScheduleSettings.of(schedule)
    if args.dry_run:
        print_forecasts(cloud, targets, wanted)
        return
    several = len(targets) > 1
    with CONSOLE.report(targets, say_change if several else None) as report:
        done: Sequence[Any] = (
            # The earlier schedules of several servers are recorded.
            schedules.change(cloud, targets, wanted, report)
            if several
            else schedules.enable(cloud, targets, schedule, report)
        )
    if cloud.schedules.kept_as_tags and any(each.value for each in done):
        say(NEEDS_SERVICE)
    finish(report.ok)


def misplaced_retention(args: Any) -> int:
    """Take the retention that was parsed as the last server: ``7 --all``."""
    command = "scheduled-images-enable"
    if not args.server:
        usage_error(command, "the following arguments are required: <retention>")
    try:
        return parse_retention(args.server.pop())
    except InvalidValue as error:
        usage_error(command, f"argument <retention>: {error}")


def update(cs: Any, args: Any) -> None:
    """Change parts of schedules, and report each before and after."""
    command = "scheduled-images-update"
    if args.daily and args.day_of_week:
        usage_error(command, "--daily and --day-of-week cannot be used together")
    wanted = ScheduleSettings(args.retention, args.day_of_week, args.daily)
    if wanted == ScheduleSettings():
        usage_error(
            command, "nothing to change: use --retention, --day-of-week or --daily"
        )
    cloud = open_cloud(cs)
    targets = targets_of(cloud, command, args, scheduled=True)
    with CONSOLE.report(targets, say_change) as report:
        schedules.change(cloud, targets, wanted, report, enabled=True)
    finish(report.ok)


def disable(cs: Any, args: Any) -> None:
    """Remove the schedules of servers, or print what that would change."""
    cloud = open_cloud(cs)
    command = "scheduled-images-disable"
    targets = targets_of(cloud, command, args, scheduled=True, dry_run=args.dry_run)
    if args.dry_run:
        print_forecasts(cloud, targets, None)
    elif len(targets) > 1:
        with CONSOLE.report(targets, say_change) as report:
            schedules.change(cloud, targets, None, report)
        finish(report.ok)
    else:
        with CONSOLE.report(targets) as report:
            schedules.disable(cloud, targets, report)
        finish(report.ok)


def print_forecasts(
    cloud: Cloud, targets: list[Target], wanted: ScheduleSettings | None
) -> None:
    """Print what would change; fail if any of it is unknown."""
    with CONSOLE.report(targets, print_forecast) as report:
        forecast(cloud, targets, wanted, report)
    finish(report.ok)


def show(cs: Any, args: Any) -> None:
    """Print the schedules of servers."""
    rows: list[ShownSchedule] = []
    form = args.format or ("table" if len(args.server) > 1 else None)

    def add(server: Target, found: ServerSchedule) -> None:
        rows.append(ShownSchedule.of(server.label, found.server_id, found.schedule))

    def add_without(server: Target, error: Exception) -> None:
        # A program expects a row for every server that it named.
        if form not in (None, "table") and isinstance(error, NoSchedule):
            rows.append(ShownSchedule(server.label, error.server_id))

    with CONSOLE.report(args.server, add, add_without) as report:
        schedules.show(open_cloud(cs), args.server, report)
        if form is not None:
            print_schedules(rows, form)
        elif rows:
            print_schedule(rows[0])
    finish(report.ok)
