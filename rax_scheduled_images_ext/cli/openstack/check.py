"""``openstack server image schedule check``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed
from rax_scheduled_images_ext.cli.openstack.command import CONSOLE, Lister, WrongUsage
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.servers import (
    all_fresh,
    at_full_speed,
    check_columns,
    say_unreadable,
    short,
)
from rax_scheduled_images_ext.model.verify import LEVELS
from rax_scheduled_images_ext.operations.check import STALE, check
from rax_scheduled_images_ext.operations.listing import Row


class CheckSchedule(Lister):
    """List servers whose newest scheduled image is too old."""

    statuses = arguments.CHECK_STATUSES
    arguments = (
        arguments.MAXIMUM_AGE,
        *arguments.VERIFIED_WITHIN,
        arguments.UNPROTECTED_TOO,
        arguments.POLICIES,
        arguments.ALL_PROJECTS,
        arguments.BY_NAME,
        arguments.LONG,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the servers, and set the exit status."""
        if parsed_args.policies and not parsed_args.unprotected:
            raise WrongUsage(arguments.NEEDS_UNPROTECTED)
        with at_full_speed():
            result = check(
                self.cloud,
                name=parsed_args.name,
                max_age=parsed_args.max_age,
                verified_within=parsed_args.verified_within,
                level=LEVELS[parsed_args.level],
                unprotected_too=parsed_args.unprotected,
                policies=parsed_args.policies,
                all_projects=parsed_args.all_projects,
            )
            self.end(ok=say_unreadable(CONSOLE, result.problems))
            if result.stale:
                self.status = STALE
            if not result.problems:
                self.log.info(all_fresh(result))
            found = check_columns(result)
            rows = [Row(None, status) for status in result.problems]
            return listed(
                found if parsed_args.long else short(found), rows, parsed_args.formatter
            )
