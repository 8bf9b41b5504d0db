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
from rax_scheduled_images_ext.console.servers import (
    columns,
    ordered,
    say_failures,
    say_unreadable,
    short,
    uncollected,
    verified_columns,
    volumes_column,
)
from rax_scheduled_images_ext.operations.listing import list_servers


class ListSchedule(Lister):
    """List servers with their schedules and the state of their images."""

    arguments = (
        exclusive(arguments.ENABLED, arguments.DISABLED, arguments.UNPROTECTED),
        arguments.POLICIES,
        arguments.BY_NAME,
        arguments.ALL_REGIONS,
        arguments.LONG,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the servers."""
        regions = parsed_args.all_regions
        enabled = parsed_args.enabled or (False if parsed_args.disabled else None)
        if parsed_args.policies and not parsed_args.unprotected:
            raise WrongUsage(arguments.NEEDS_UNPROTECTED)
        with uncollected():
            found = list_servers(
                self.cloud,
                enabled=enabled,
                name=parsed_args.name,
                all_regions=regions,
                unprotected_only=parsed_args.unprotected,
                policies=parsed_args.policies,
                report=CONSOLE.report((), noun="regions"),
            )
            complete = say_failures(CONSOLE, found)
            readable = say_unreadable(CONSOLE, (row.status for row in found.rows))
            self.end(ok=complete and readable)
            if found.now is None:
                raise NothingToShow
            wanted = [*columns(found.now, regions=regions), volumes_column()]
            proofs = verified_columns(found.now)
            wanted = [*wanted, *proofs] if parsed_args.long else short(wanted)
            return listed(wanted, ordered(found.rows), parsed_args.formatter)
