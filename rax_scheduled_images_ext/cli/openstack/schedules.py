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
from rax_scheduled_images_ext.console.consent import ChangeReport, with_consent
from rax_scheduled_images_ext.console.schedules import (
    NEEDS_SERVICE,
    print_forecasts,
    say_change,
    settings_of,
)
from rax_scheduled_images_ext.console.servers import (
    columns,
    consistency_column,
    limit_column,
    newest_columns,
    verified_columns,
    volumes_column,
)
from rax_scheduled_images_ext.console.simulation import simulate
from rax_scheduled_images_ext.console.simulation_arguments import SIMULATED
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.schedule import ScheduleSettings
from rax_scheduled_images_ext.operations.listing import Row
from rax_scheduled_images_ext.operations.schedules import Guard, change, disable
from rax_scheduled_images_ext.operations.server import read_status
from rax_scheduled_images_ext.operations.targets import Target

_TARGETS = (
    switch("--all", arguments.ALL_SERVERS),
    argument("--name", **arguments.BY_NAME.options | {"help": arguments.NAMED_SERVERS}),
    argument("server", **arguments.SERVERS.options | {"nargs": "*"}),
)
# The order in which one server is shown.
_SHOWN = (
    *("server", "id", "schedule", "day_of_week", "retention"),
    *("every", "at", "keep", "most", "next_due", "state"),
    *("newest", "limit", "newest_image", "newest_image_id"),
    *("counted", "kept", "expires_next", "volumes_not_in_images"),
    *("verified", "verified_level", "consistency"),
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
            known = print_forecasts(
                cloud, targets, wanted, lambda each: CONSOLE.report(targets, each)
            )
            self.end(ok=known)
            return
        several = len(targets) > 1
        report = ChangeReport(CONSOLE, len(targets), say_change if several else None)

        def act(targets: list[Target], guard: Guard | None) -> Any:
            if wanted is None and not several:
                return disable(cloud, targets, report)
            return change(cloud, targets, wanted, report, guard=guard)

        with report:
            done = with_consent(act, targets, report, yes=args.yes)
        changes = [each.value for each in done if each.value is not None]
        new = any(each.after and each.before is None for each in changes)
        if new and cloud.schedules.kept_as_tags:
            say(NEEDS_SERVICE)
        self.end(ok=report.ok)


class SetSchedule(_Change):
    """Set the schedules of servers, or change parts of them.

    Settings that are not given stay as they are. A server without a schedule requires
    --retention or --keep, and gets a daily schedule unless --weekly or --every says
    otherwise.
    """

    arguments = (
        arguments.retention(" Required for a server without a schedule."),
        exclusive(arguments.DAILY, arguments.weekly("--weekly"), arguments.EVERY),
        arguments.AT,
        arguments.keep(),
        arguments.keep_within(),
        arguments.FORECAST,
        arguments.YES_TO_CHANGE,
        *_TARGETS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set the schedules."""
        try:
            wanted = settings_of(parsed_args, parsed_args.retention)
        except InvalidValue as error:
            raise WrongUsage(str(error)) from None
        if wanted == ScheduleSettings():
            raise WrongUsage(
                "nothing to change: use --daily, --weekly, --every, --at, --retention,"
                " --keep or --keep-within"
            )
        new = wanted.retention is not None or wanted.keep
        self.change(parsed_args, wanted, scheduled=not new)


class UnsetSchedule(_Change):
    """Remove the schedules of servers; the images stay."""

    arguments = (arguments.FORECAST, arguments.YES_TO_MANY, *_TARGETS)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove the schedules."""
        self.change(parsed_args, None, scheduled=True)


class SimulateSchedule(Command):
    """Simulate a schedule: print which images are left after a year, and why.

    Requires no cloud. Without --at, images are made at the start of the day, or of the
    interval.
    """

    auth_required = False
    arguments = (
        exclusive(arguments.DAILY, arguments.weekly("--weekly"), arguments.EVERY),
        *SIMULATED,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print the year."""
        try:
            simulate(parsed_args)
        except InvalidValue as error:
            raise WrongUsage(str(error)) from None


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
            consistency_column(),
        ]
        fields.sort(key=lambda each: _SHOWN.index(each.key))
        return shown(fields, Row(None, found.servers[0]))
