"""``openstack server snapshot verify``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed
from rax_scheduled_images_ext.cli.openstack.command import (
    CONSOLE,
    Lister,
    NothingToShow,
    WrongUsage,
)
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.console.verify import VERIFIED, VerifyReport
from rax_scheduled_images_ext.console.verify_arguments import (
    NAMED,
    NO_TERMINAL,
    VERIFY,
    VERIFY_STATUSES,
    verify_options,
)
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.operations.verify import verify_named


class VerifySnapshot(Lister):
    """Prove that images boot: create a test server from each, check and delete it."""

    statuses = VERIFY_STATUSES
    arguments = (*VERIFY, NAMED)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Prove images, and return the result of each."""
        try:
            options = verify_options(parsed_args)
        except InvalidValue as error:
            raise WrongUsage(str(error)) from None
        asks = not parsed_args.yes
        if asks and not can_ask():
            raise WrongUsage(NO_TERMINAL)
        # Before anything is made.
        self.check_output(parsed_args, *listed(VERIFIED, ()))
        report = VerifyReport(CONSOLE, len(parsed_args.named), options, asks=asks)
        with report.failing():
            cloud = replace(self.cloud, waits=report.waits)
            verify_named(cloud, parsed_args.named, options, report)
        self.status = report.status
        if not report.done:
            raise NothingToShow
        return listed(VERIFIED, report.done)
