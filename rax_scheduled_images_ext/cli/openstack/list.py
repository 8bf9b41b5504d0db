"""``openstack server image schedule list``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed
from rax_scheduled_images_ext.cli.openstack.command import (
    CONSOLE,
    Lister,
    NothingToShow,
    WrongUsage,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.arguments import exclusive
from rax_scheduled_images_ext.console.gone import gone_columns, say_unknown
from rax_scheduled_images_ext.console.servers import (
    at_full_speed,
    columns,
    detail_columns,
    ordered,
    say_failures,
    say_space,
    say_unreadable,
    short,
)
from rax_scheduled_images_ext.operations.gone import find_gone
from rax_scheduled_images_ext.operations.listing import list_servers


class ListSchedule(Lister):
    """List servers with their schedules and the state of their images."""

    arguments = (
        exclusive(
            arguments.ENABLED,
            arguments.DISABLED,
            arguments.LIST_GONE,
            arguments.UNPROTECTED,
        ),
        arguments.POLICIES,
        arguments.BY_NAME,
        arguments.ALL_REGIONS,
        arguments.LONG_LIST,
        arguments.PRICE,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the servers."""
        if parsed_args.price is not None and not parsed_args.long:
            raise WrongUsage(arguments.PRICE_OF_LONG)
        if parsed_args.gone:
            if parsed_args.all_regions or parsed_args.long:
                raise WrongUsage(arguments.GONE_ALONE)
            return self._gone(parsed_args)
        regions = parsed_args.all_regions
        enabled = parsed_args.enabled or (False if parsed_args.disabled else None)
        if parsed_args.policies and not parsed_args.unprotected:
            raise WrongUsage(arguments.NEEDS_UNPROTECTED)
        with at_full_speed():
            found = list_servers(
                self.cloud,
                enabled=enabled,
                name=parsed_args.name,
                all_regions=regions,
                space=parsed_args.long,
                unprotected_only=parsed_args.unprotected,
                policies=parsed_args.policies,
                report=CONSOLE.report((), noun="regions"),
            )
            complete = say_failures(CONSOLE, found)
            readable = say_unreadable(CONSOLE, (row.status for row in found.rows))
            self.end(ok=complete and readable)
            if found.now is None:
                raise NothingToShow
            wanted = columns(found.now, regions=regions)
            if parsed_args.long:
                wanted += detail_columns(found.now, parsed_args.price)
                if parsed_args.formatter == "table":
                    say_space(found, parsed_args.price)
            else:
                wanted = short(wanted)
            return listed(wanted, ordered(found.rows), parsed_args.formatter)

    def _gone(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the servers that are gone."""
        with at_full_speed():
            found = find_gone(self.cloud, parsed_args.name)
            self.end(ok=say_unknown(CONSOLE, found))
            return listed(gone_columns(found), found.servers, parsed_args.formatter)
