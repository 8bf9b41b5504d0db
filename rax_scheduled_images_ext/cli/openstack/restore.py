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
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.console.restore import Restoring
from rax_scheduled_images_ext.console.restore_arguments import (
    NO_TERMINAL,
    RESTORE,
    RESTORE_STATUSES,
    RESTORED_SERVER,
)
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.restore import RestoreOptions


class RestoreSnapshot(ShowOne):
    """Restore a server from one of its images, as a new server or in place."""

    statuses = RESTORE_STATUSES
    arguments = (*RESTORE, RESTORED_SERVER)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Restore, or only plan that, and return the result or the plan."""
        try:
            options = chosen(RestoreOptions, parsed_args).checked()
        except InvalidValue as error:
            raise WrongUsage(str(error)) from None
        asks = not (parsed_args.yes or parsed_args.dry_run)
        if asks and not can_ask():
            raise WrongUsage(NO_TERMINAL)
        restoring = Restoring(
            CONSOLE,
            "openstack server snapshot restore",
            time_limit=parsed_args.time_limit,
            show_password=parsed_args.show_password,
        )
        data = restoring.prepare(self.cloud, parsed_args.server, options)
        if data is not None and not parsed_args.dry_run:
            # Before anything is changed.
            keys = [*data, *restoring.result_keys]
            self.check_output(parsed_args, keys, keys)
            self.say_done = restoring.say_done
            brief = parsed_args.formatter == "table" and not parsed_args.columns
            data = restoring.restore(asks=asks, wait=parsed_args.wait, brief=brief)
        self.status = restoring.status
        if data is None:
            raise NothingToShow
        return list(data), list(data.values())
