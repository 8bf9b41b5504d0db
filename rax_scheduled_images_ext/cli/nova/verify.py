"""``nova scheduled-images-verify``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    end,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console.formats import print_rows
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.console.verify import VERIFIED, VerifyReport
from rax_scheduled_images_ext.console.verify_arguments import (
    NO_TERMINAL,
    verify_options,
)
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.operations.verify import verify_named

_COMMAND = "scheduled-images-verify"


def verify(cs: Any, args: Any) -> None:
    """Prove images, and print the result of each."""
    try:
        options = verify_options(args)
    except InvalidValue as error:
        usage_error(_COMMAND, str(error))
    if not args.yes and not can_ask():
        usage_error(_COMMAND, NO_TERMINAL)
    report = VerifyReport(CONSOLE, len(args.named), options, asks=not args.yes)
    with report.failing():
        cloud = replace(open_cloud(cs), waits=report.waits)
        verify_named(cloud, args.named, options, report)
    if report.done or args.format != "table":
        print_rows(VERIFIED, report.done, args.format)
    end(report.status)
