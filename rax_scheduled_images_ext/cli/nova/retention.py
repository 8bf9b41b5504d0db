"""``nova scheduled-images-image-list``, ``-protect``, ``-unprotect`` and ``-prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    declared,
    error_line,
    failing_as_one,
    finish,
    format_name,
    open_cloud,
    usage_error,
)
from rax_scheduled_images_ext.cli.nova.images import failed_delete
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.programs.arguments import checked

if TYPE_CHECKING:
    from rax_scheduled_images_ext.console.prune import Pruning

form = argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    default="table",
    help="Print rows as table (the default), json, csv or value.",
)


@form
@declared(arguments.SERVER)
def do_scheduled_images_image_list(cs: Any, args: Any) -> None:
    """List a server's images, newest first, and what becomes of each and why."""
    from rax_scheduled_images_ext.console.retention import print_images
    from rax_scheduled_images_ext.operations.server import list_images

    with failing_as_one():
        print_images(list_images(open_cloud(cs), args.server), args.format)


@declared(arguments.IMAGES)
def do_scheduled_images_protect(cs: Any, args: Any) -> None:
    """Keep images for good: they are neither counted nor deleted any more."""
    from rax_scheduled_images_ext.console.retention import protect_each

    finish(protect_each(open_cloud(cs), args.image, error_line))


@declared(arguments.IMAGES)
def do_scheduled_images_unprotect(cs: Any, args: Any) -> None:
    """Hand images back to their schedule, and report which one expires next."""
    from rax_scheduled_images_ext.console.retention import unprotect_each

    finish(unprotect_each(open_cloud(cs), args.image, error_line))


@declared(arguments.KEEP, arguments.PLAN, arguments.YES)
@form
@declared(arguments.SERVERS)
def do_scheduled_images_prune(cs: Any, args: Any) -> None:
    """Delete the scheduled images beyond the retention now."""
    from rax_scheduled_images_ext.console.prune import Pruning, images_of
    from rax_scheduled_images_ext.console.retention import print_pruned
    from rax_scheduled_images_ext.console.terminal import can_ask, say

    asks = not (args.yes or args.dry_run)
    if asks and not can_ask():
        usage_error("scheduled-images-prune", arguments.NO_TERMINAL)
    pruning = Pruning(open_cloud(cs), args.server, args.keep, error_line, failed_delete)
    plans = pruning.plan()
    rows = images_of(plans)
    if args.dry_run or not rows:
        print_pruned(rows, pruning.labels, args.format)
        if plans and not rows:
            say(arguments.NOTHING_TO_DELETE)
        finish(pruning.ok)
        return
    agreed = pruning.agreed(plans) if asks else plans
    if agreed is None:
        raise SystemExit(1)
    try:
        pruning.carry_out(agreed)
    finally:
        _print_done(pruning, args.format)
    finish(pruning.ok)


def _print_done(pruning: Pruning, form_name: str) -> None:
    """Print what was done; on stderr, if stdout fails, at least what was deleted."""
    from rax_scheduled_images_ext.console.retention import print_pruned
    from rax_scheduled_images_ext.console.terminal import OutputFailed

    try:
        print_pruned(pruning.done, pruning.labels, form_name)
    except OutputFailed:
        pruning.report_deleted()
        raise SystemExit(1) from None
