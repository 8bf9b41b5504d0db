"""``openstack server snapshot restore``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.command import (
    CONSOLE,
    NothingToShow,
    ShowOne,
    WrongUsage,
)
from rax_scheduled_images_ext.console.restore import Restoring
from rax_scheduled_images_ext.console.restore_arguments import (
    NO_TERMINAL,
    RESTORE,
    RESTORE_STATUSES,
    SERVER,
    options_of,
)
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.errors import InvalidValue


class RestoreSnapshot(ShowOne):
    """Get a server back from an image of it, as a new server or in place."""

    statuses = RESTORE_STATUSES
    arguments = (*RESTORE, SERVER)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Restore, or plan that, and return it."""
        try:
            options = options_of(parsed_args)
        except InvalidValue as error:
            raise WrongUsage(str(error)) from None
        asks = not (parsed_args.yes or parsed_args.dry_run)
        if asks and not can_ask():
            raise WrongUsage(NO_TERMINAL)
        restoring = Restoring(
            self.cloud,
            parsed_args.server,
            options,
            "openstack server snapshot restore",
            CONSOLE,
            parsed_args.time_limit,
            parsed_args.show_password,
        )
        data = restoring.prepare()
        if data is not None and not parsed_args.dry_run:
            data = None
            if not asks or restoring.is_agreed():
                wait = {(True, False): True, (False, True): False}.get(
                    (parsed_args.wait, parsed_args.no_wait)
                )
                data = restoring.carry_out(wait=wait)
        self.status = restoring.status
        if data is None:
            raise NothingToShow
        return list(data), list(data.values())
