"""``nova scheduled-images-enable``, ``-update``, ``-disable`` and ``-show``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    finish,
    open_cloud,
    targets_of,
    usage_error,
)
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.consent import ChangeReport, with_consent
from rax_scheduled_images_ext.console.schedules import (
    NEEDS_SERVICE,
    ShownSchedule,
    as_schedule,
    print_forecasts,
    print_schedule,
    print_schedules,
    say_change,
    settings_of,
)
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.errors import InvalidValue, NoSchedule
from rax_scheduled_images_ext.model.schedule import (
    ImageSchedule,
    ScheduleSettings,
    parse_retention,
)
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.schedules import ServerSchedule
from rax_scheduled_images_ext.operations.targets import Target

_ENABLE, _UPDATE = "scheduled-images-enable", "scheduled-images-update"


def enable(cs: Any, args: Any) -> None:
    """Give servers a schedule, or print what that would change."""
    schedule = wanted_schedule(args)
    cloud = open_cloud(cs)
    targets = targets_of(cloud, _ENABLE, args, dry_run=args.dry_run)
    wanted = ScheduleSettings.of(schedule)
    if args.dry_run:
        finish(forecast(cloud, targets, wanted))
        return
    several = len(targets) > 1
    report = ChangeReport(CONSOLE, len(targets), say_change if several else None)

    def act(targets: list[Target], guard: schedules.Guard | None) -> Any:
        if several or not schedule.is_simple:
            # What several servers had before is recorded.
            return schedules.change(cloud, targets, wanted, report, guard=guard)
        return schedules.enable(cloud, targets, schedule, report, guard=guard)

    with report:
        done = with_consent(act, targets, report, yes=args.yes)
    if cloud.schedules.kept_as_tags and any(each.value for each in done):
        say(NEEDS_SERVICE)
    finish(report.ok)


def wanted_schedule(args: Any) -> ImageSchedule:
    """Return the schedule that the arguments ask for.

    Without rules, the last word is the retention, even if it was parsed as a server
    (``7 --all``); with rules it is a server.
    """
    words, number = list(args.server or ()), None
    if args.retention is not None:
        words.append(args.retention)
    if args.keep is None and args.keep_within is None:
        if not words:
            usage_error(_ENABLE, "the following arguments are required: <retention>")
        number = words.pop()
    elif args.retention is not None and args.retention.isdecimal():
        usage_error(_ENABLE, "<retention> and --keep cannot be used together")
    args.server = words
    try:
        retention = None if number is None else parse_retention(number)
    except InvalidValue as error:
        usage_error(_ENABLE, f"argument <retention>: {error}")
    try:
        return as_schedule(settings_of(args, retention))
    except InvalidValue as error:
        usage_error(_ENABLE, str(error))


def update(cs: Any, args: Any) -> None:
    """Change parts of schedules, and report each before and after."""
    if args.daily and args.day_of_week:
        usage_error(_UPDATE, "--daily and --day-of-week cannot be used together")
    try:
        wanted = settings_of(args, args.retention)
    except InvalidValue as error:
        usage_error(_UPDATE, str(error))
    if wanted == ScheduleSettings():
        usage_error(
            _UPDATE,
            "nothing to change: use --every, --daily, --day-of-week, --at, --retention,"
            " --keep or --keep-within",
        )
    cloud = open_cloud(cs)
    targets = targets_of(cloud, _UPDATE, args, scheduled=True)
    report = ChangeReport(CONSOLE, len(targets), say_change)

    def act(targets: list[Target], guard: schedules.Guard | None) -> Any:
        return schedules.change(
            cloud, targets, wanted, report, enabled=True, guard=guard
        )

    with report:
        with_consent(act, targets, report, yes=args.yes)
    finish(report.ok)


def disable(cs: Any, args: Any) -> None:
    """Remove the schedules of servers, or print what that would change."""
    cloud = open_cloud(cs)
    command = "scheduled-images-disable"
    targets = targets_of(cloud, command, args, scheduled=True, dry_run=args.dry_run)
    if args.dry_run:
        finish(forecast(cloud, targets, None))
    elif len(targets) > 1:
        with CONSOLE.report(targets, say_change) as report:
            schedules.change(cloud, targets, None, report)
        finish(report.ok)
    else:
        with CONSOLE.report(targets) as report:
            schedules.disable(cloud, targets, report)
        finish(report.ok)


def forecast(
    cloud: Cloud, targets: list[Target], wanted: ScheduleSettings | None
) -> bool:
    """Print what would change; return whether all of it is known."""
    return print_forecasts(
        cloud, targets, wanted, lambda each: CONSOLE.report(targets, each)
    )


def show(cs: Any, args: Any) -> None:
    """Print the schedules of servers."""
    rows: list[ShownSchedule] = []
    form = args.format or ("table" if len(args.server) > 1 else None)

    def add(server: Target, found: ServerSchedule) -> None:
        rows.append(ShownSchedule(server.label, found.server_id, found.schedule))

    def add_without(server: Target, error: Exception) -> None:
        # A program expects a row for every server that it named.
        if form not in (None, "table") and isinstance(error, NoSchedule):
            rows.append(ShownSchedule(server.label, error.server_id))

    with CONSOLE.report(args.server, add, add_without) as report:
        schedules.show(open_cloud(cs), args.server, report)
        if form is not None:
            print_schedules(rows, form)
        elif rows and rows[0].schedule:
            print_schedule(rows[0].schedule)
    finish(report.ok)
