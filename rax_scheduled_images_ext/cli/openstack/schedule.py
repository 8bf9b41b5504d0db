"""``openstack server image schedule``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed, shown
from rax_scheduled_images_ext.cli.openstack.command import (
    Command,
    Lister,
    NothingToShow,
    ShowOne,
    WrongUsage,
    check_targets,
    error_line,
    targets_of,
)
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.arguments import argument, exclusive, switch
from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.inventory import (
    Row,
    all_fresh,
    columns,
    limit_column,
    newest_columns,
    ordered,
    read_rows,
    uncollected,
    volumes_column,
)
from rax_scheduled_images_ext.console.report import ServerReport, report_unreadable
from rax_scheduled_images_ext.console.retention import print_forecast
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.console.views import NEEDS_SERVICE
from rax_scheduled_images_ext.model.schedule import ScheduleSettings
from rax_scheduled_images_ext.operations.check import STALE, check
from rax_scheduled_images_ext.operations.forecast import Forecast, forecast
from rax_scheduled_images_ext.operations.schedules import change, disable
from rax_scheduled_images_ext.operations.server import read_status
from rax_scheduled_images_ext.operations.targets import Target

_TARGETS = (
    switch("--all", arguments.ALL_SERVERS),
    argument("--name", **arguments.BY_NAME.options | {"help": arguments.NAMED_SERVERS}),
    argument("server", **arguments.SERVERS.options | {"nargs": "*"}),
)
_LONG = switch("--long", "List additional columns.")
# What is listed without --long.
_SHORT = ("region", "server", "id", "schedule", "day_of_week", "retention")
_STATE = ("newest", "state", "limit")
# The order of what is shown of one server.
_SHOWN = (
    *("server", "id", "schedule", "day_of_week", "retention", "next_due", "state"),
    *("newest", "limit", "newest_image", "newest_image_id"),
    *("counted", "kept", "expires_next"),
)


class SetSchedule(Command):
    """Give servers a schedule of images, or change parts of theirs.

    What is not named stays as it is. A server without a schedule needs --retention,
    and gets a daily one unless --weekly names a day.
    """

    arguments = (
        arguments.retention(" Needed for a server without a schedule."),
        exclusive(arguments.DAILY, arguments.weekly("--weekly")),
        arguments.FORECAST,
        *_TARGETS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set the schedules, or print what that would change."""
        wanted = ScheduleSettings(
            parsed_args.retention, parsed_args.day_of_week, parsed_args.daily
        )
        if wanted == ScheduleSettings():
            raise WrongUsage("nothing to change: use --retention, --daily or --weekly")
        check_targets(parsed_args)
        cloud = self.cloud
        scheduled = parsed_args.retention is None
        targets = targets_of(cloud, parsed_args, scheduled=scheduled)
        if parsed_args.dry_run:
            self._forecast(cloud, targets, wanted)
        else:
            self._set(cloud, targets, wanted)

    def _set(
        self, cloud: Cloud, targets: list[Target], wanted: ScheduleSettings
    ) -> None:
        with ServerReport(len(targets), error_line) as report:
            outcomes = change(cloud, targets, wanted, report, report.progress)
        changes = [each.value for each in outcomes if each.value is not None]
        if cloud.schedules.kept_as_tags and any(
            each.before is None for each in changes
        ):
            say(NEEDS_SERVICE)
        self.end(ok=report.ok)

    def _forecast(
        self, cloud: Cloud, targets: list[Target], wanted: ScheduleSettings
    ) -> None:
        def show(server: Target, found: Forecast) -> None:
            print_forecast(server.label, found)

        with ServerReport(len(targets), error_line, show) as report:
            forecast(cloud, targets, wanted, report, report.progress)
        self.end(ok=report.ok)


class UnsetSchedule(Command):
    """Remove the schedules of servers; the images stay."""

    arguments = _TARGETS

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove the schedules."""
        check_targets(parsed_args)
        cloud = self.cloud
        targets = targets_of(cloud, parsed_args, scheduled=True)
        with ServerReport(len(targets), error_line) as report:
            disable(cloud, targets, report, report.progress)
        self.end(ok=report.ok)


class ShowSchedule(ShowOne):
    """Show the schedule of a server and the state of its images."""

    arguments = (arguments.SERVER,)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the schedule of the server."""
        found = read_status(self.cloud, parsed_args.server)
        fields = [*columns(found.now), *newest_columns(), limit_column()]
        fields.sort(key=lambda each: _SHOWN.index(each.key))
        return shown(fields, Row(None, found.servers[0]))


class ListSchedule(Lister):
    """List servers with their schedules and the state of their images."""

    arguments = (
        exclusive(arguments.ENABLED, arguments.DISABLED),
        arguments.BY_NAME,
        arguments.ALL_REGIONS,
        _LONG,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the servers."""
        regions = parsed_args.all_regions
        enabled = parsed_args.enabled or (False if parsed_args.disabled else None)
        with uncollected():
            found = read_rows(
                self.cloud,
                enabled=enabled,
                name=parsed_args.name,
                all_regions=regions,
                error_line=error_line,
            )
            self.end(ok=found.report(error_line))
            if found.now is None:
                raise NothingToShow
            every = [*columns(found.now, regions=regions), volumes_column()]
            wanted = _columns(every, parsed_args.long)
            return listed(wanted, ordered(found.rows))


class CheckSchedule(Lister):
    """List servers whose newest scheduled image is too old.

    The exit status is 3 if there are any, and 0 if there are none.
    """

    arguments = (arguments.MAXIMUM_AGE, arguments.BY_NAME, _LONG)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the servers, and set the exit status."""
        with uncollected():
            result = check(
                self.cloud, name=parsed_args.name, max_age=parsed_args.max_age
            )
            self.end(ok=report_unreadable(result.problems, error_line))
            if result.stale:
                self.status = STALE
            if not result.problems:
                self.log.info(all_fresh(result.servers))
            found = [*columns(result.now), limit_column()]
            rows = [Row(None, status) for status in result.problems]
            return listed(_columns(found, parsed_args.long), rows)


def _columns(found: list[Column[Row]], long: bool) -> list[Column[Row]]:
    """Return those that are listed."""
    return [each for each in found if long or each.key in (*_SHORT, *_STATE)]
