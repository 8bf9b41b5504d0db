"""``nova scheduled-images-restore``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    end,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console.restore import Restoring, print_data
from rax_scheduled_images_ext.console.restore_arguments import NO_TERMINAL, options_of
from rax_scheduled_images_ext.console.terminal import can_ask
from rax_scheduled_images_ext.errors import InvalidValue

_COMMAND = "scheduled-images-restore"


def restore(cs: Any, args: Any) -> None:
    """Restore a server, or print how that would be done."""
    try:
        options = options_of(args)
    except InvalidValue as error:
        usage_error(_COMMAND, str(error))
    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error(_COMMAND, NO_TERMINAL)
    restoring = Restoring(
        open_cloud(cs),
        args.server,
        options,
        f"nova {_COMMAND}",
        CONSOLE,
        args.time_limit,
        args.show_password,
    )
    data = restoring.prepare()
    if data is not None and not args.dry_run:
        data = None
        if not asks or restoring.is_agreed():
            wait = True if args.wait else False if args.no_wait else None
            data = restoring.carry_out(wait=wait)
    if data is not None:
        print_data(data, args.format)
    end(restoring.status)
