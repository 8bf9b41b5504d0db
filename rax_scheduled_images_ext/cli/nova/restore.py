"""``nova scheduled-images-restore``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import (
    CONSOLE,
    end,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.cli.options import chosen
from rax_scheduled_images_ext.console.restore import Restoring, print_data
from rax_scheduled_images_ext.console.restore_arguments import NO_TERMINAL
from rax_scheduled_images_ext.console.terminal import can_ask, otherwise
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.restore import RestoreOptions

_COMMAND = "scheduled-images-restore"


def restore(cs: Any, args: Any) -> None:
    """Restore a server, or print the plan."""
    try:
        options = chosen(RestoreOptions, args).checked()
    except InvalidValue as error:
        usage_error(_COMMAND, str(error))
    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error(_COMMAND, NO_TERMINAL)
    restoring = Restoring(
        CONSOLE,
        f"nova {_COMMAND}",
        time_limit=args.time_limit,
        show_password=args.show_password,
    )
    data = restoring.prepare(open_cloud(cs), args.server, options)
    if data is not None and not args.dry_run:
        brief = args.format == "table"
        data = restoring.restore(asks=asks, wait=args.wait, brief=brief)
    if data is not None:
        with otherwise(restoring.say_done):
            print_data(data, args.format)
    end(restoring.status)
