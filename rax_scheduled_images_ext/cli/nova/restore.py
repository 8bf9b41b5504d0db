"""``nova scheduled-images-restore``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    declared,
    error_line,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.console.restore_arguments import RESTORE, SERVER
from rax_scheduled_images_ext.programs.arguments import one_of

_COMMAND = "scheduled-images-restore"


@declared(*RESTORE)
@argument(
    "--format",
    metavar="<format>",
    type=one_of("table", "json"),
    default="table",
    help="Print the plan and the result as table (the default), or json.",
)
@declared(SERVER)
def do_scheduled_images_restore(cs: Any, args: Any) -> None:
    """Get a server back from an image of it, as a new server or in place."""
    from rax_scheduled_images_ext.console.restore import Restoring, print_data
    from rax_scheduled_images_ext.console.restore_arguments import (
        NO_TERMINAL,
        options_of,
    )
    from rax_scheduled_images_ext.console.terminal import can_ask
    from rax_scheduled_images_ext.errors import InvalidValue

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
        error_line,
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
    if restoring.status:
        raise SystemExit(restoring.status)
