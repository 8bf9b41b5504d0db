"""``openstack server image schedule set``, ``unset`` and ``show``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import shown
from rax_scheduled_images_ext.cli.openstack.command import (
    CONSOLE,
    Command,
    ShowOne,
    WrongUsage,
    check_targets,
    targets_of,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.arguments import argument, exclusive, switch
from rax_scheduled_images_ext.console.schedules import (
    NEEDS_SERVICE,
    print_forecast,
    say_change,
)
from rax_scheduled_images_ext.console.servers import (
    columns,
    limit_column,
    newest_columns,
    verified_columns,
    volumes_column,
)
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.model.schedule import ScheduleSettings
from rax_scheduled_images_ext.operations.forecast import forecast
from rax_scheduled_images_ext.operations.listing import Row
from rax_scheduled_images_ext.operations.schedules import change, disable
from rax_scheduled_images_ext.operations.server import read_status

_TARGETS = (
    arguments.YES_TO_MANY,
    switch("--all", arguments.ALL_SERVERS),
    argument("--name", **arguments.BY_NAME.options | {"help": arguments.NAMED_SERVERS}),
    argument("server", **arguments.SERVERS.options | {"nargs": "*"}),
)
# The order in which one server is shown.
_SHOWN = (
    *("server", "id", "schedule", "day_of_week", "retention", "next_due", "state"),
    *("newest", "limit", "newest_image", "newest_image_id"),
    *("counted", "kept", "expires_next", "volumes_not_in_images"),
    *("verified", "verified_level"),
)


class _Change(Command):
    """A command that changes the schedules of servers, or prints what would change."""

    def change(
        self,
        args: argparse.Namespace,
        wanted: ScheduleSettings | None,
        *,
        scheduled: bool,
    ) -> None:
        """Change the schedules.

        :param wanted: None to remove them.
        :param scheduled: with --all and --name, only servers with a schedule.
        """
        check_targets(args)
        cloud = self.cloud
        # Until all is done.
        self.end(ok=False)
        targets = targets_of(cloud, args, scheduled=scheduled)
        if args.dry_run:
            with CONSOLE.report(targets, print_forecast) as report:
                forecast(cloud, targets, wanted, report)
        else:
            several = len(targets) > 1
            with CONSOLE.report(targets, say_change if several else None) as report:
                if wanted is None and not several:
                    disable(cloud, targets, report)
                    self.end(ok=report.ok)
                    return
                done = change(cloud, targets, wanted, report)
            changes = [each.value for each in done if each.value is not None]
            new = any(each.after and each.before is None for each in changes)
            if new and cloud.schedules.kept_as_tags:
                say(NEEDS_SERVICE)
        self.end(ok=report.ok)


class SetSchedule(_Change):
    """Set the schedules of servers, or change parts of them.

    Settings that are not given stay as they are. A server without a schedule requires
    --retention, and gets a daily schedule unless --weekly names a day.
    """

    arguments = (
        arguments.retention(" Required for a server without a schedule."),
        exclusive(arguments.DAILY, arguments.weekly("--weekly")),
        arguments.FORECAST,
        *_TARGETS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set the schedules."""
        wanted = ScheduleSettings(
            parsed_args.retention, parsed_args.day_of_week, parsed_args.daily
        )
        if wanted == ScheduleSettings():
            raise WrongUsage("nothing to change: use --retention, --daily or --weekly")
        self.change(parsed_args, wanted, scheduled=parsed_args.retention is None)


class UnsetSchedule(_Change):
    """Remove the schedules of servers; the images stay."""

    arguments = (arguments.FORECAST, *_TARGETS)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove the schedules."""
        self.change(parsed_args, None, scheduled=True)


class ShowSchedule(ShowOne):
    """Show the schedule of a server and the state of its images."""

    arguments = (arguments.SERVER,)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the schedule of the server."""
        found = read_status(self.cloud, parsed_args.server)
        fields = [
            *columns(found.now),
            *newest_columns(),
            limit_column(),
            volumes_column(),
            *verified_columns(found.now),
        ]
        fields.sort(key=lambda each: _SHOWN.index(each.key))
        return shown(fields, Row(None, found.servers[0]))
