"""``nova scheduled-images-image-list``, ``-protect``, ``-unprotect`` and ``-prune``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    LOG,
    argument,
    attempt,
    checked,
    failing_as_one,
    finish,
    format_name,
    name_or_id,
    named_servers,
    number_to_keep,
    open_cloud,
    say,
    usage_error,
)
from rax_scheduled_images_ext.cli.nova.images import failed_delete

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.operations.prune import PrunedImage, PrunePlan

form = argument(
    "--format",
    metavar="<format>",
    type=checked(format_name),
    default="table",
    help="Print rows as table (the default), json, csv or value.",
)
images = argument(
    "image",
    metavar="<image>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of image(s).",
)


@form
@argument(
    "server", metavar="<server>", type=checked(name_or_id), help="Name or ID of server."
)
def do_scheduled_images_image_list(cs: Any, args: Any) -> None:
    """List a server's images, newest first, and what becomes of each and why."""
    from rax_scheduled_images_ext.operations.retention import list_images
    from rax_scheduled_images_ext.output.retention import print_images

    with failing_as_one():
        print_images(list_images(open_cloud(cs), args.server), args.format)


@images
def do_scheduled_images_protect(cs: Any, args: Any) -> None:
    """Keep images for good: they are neither counted nor deleted any more."""
    from rax_scheduled_images_ext.operations.retention import protect

    cloud = open_cloud(cs)
    done = attempt(args.image, lambda image: protect(cloud, image), _naming(args.image))
    finish(done)


@images
def do_scheduled_images_unprotect(cs: Any, args: Any) -> None:
    """Hand images back to their schedule, and report which one expires next."""
    from rax_scheduled_images_ext.operations.retention import unprotect

    cloud = open_cloud(cs)
    # In the order given, each once.
    servers: dict[str, None] = {}

    def hand_back(wanted: str) -> None:
        image = unprotect(cloud, wanted)
        servers[str(image.server_id)] = None

    done = attempt(args.image, hand_back, _naming(args.image))
    for server_id in servers:
        say(_next_expiry(cloud, server_id))
    finish(done)


def _naming(wanted: Sequence[str]) -> Callable[[str, Exception], str]:
    """Return what makes the lines of failures; among several they name the image."""
    from rax_scheduled_images_ext.cli.nova.report import failure

    return lambda image, error: failure(image, error, len(wanted))


def _next_expiry(cloud: Cloud, server_id: str) -> str:
    """Return what expires next; the images are handed back even if that is unknown."""
    from rax_scheduled_images_ext.client.errors import NoSuchServer
    from rax_scheduled_images_ext.operations.retention import next_expiry
    from rax_scheduled_images_ext.output.retention import next_expiry_line

    try:
        return next_expiry_line(server_id, next_expiry(cloud, server_id))
    except NoSuchServer:
        return f"No image of server {server_id} expires: it no longer exists"
    except Exception as error:
        why = " ".join(str(error).split())
        return f"Which image of server {server_id} expires next is not known: {why}"


@argument(
    "--keep",
    metavar="<number>",
    type=checked(number_to_keep),
    help="How many scheduled images of each server stay, 1 to 65535; by default the"
    " retention of its schedule.",
)
@argument(
    "--dry-run",
    action="store_true",
    default=False,
    help="Delete nothing: print what would be deleted, and why.",
)
@argument(
    "--yes",
    action="store_true",
    default=False,
    help="Do not ask first. Needed without a terminal.",
)
@form
@named_servers
def do_scheduled_images_prune(cs: Any, args: Any) -> None:
    """Delete the scheduled images beyond the retention now."""
    from rax_scheduled_images_ext.output.retention import print_pruned

    asks = not (args.yes or args.dry_run)
    if asks and not (sys.stdin.isatty() and sys.stderr.isatty()):
        usage_error(
            "scheduled-images-prune",
            "there is no terminal to ask on: use --yes to delete, or --dry-run to see"
            " what would be deleted",
        )
    cloud = open_cloud(cs)
    plans, labels, done = _plan(cloud, args)
    rows = [row for plan in plans for row in plan.images()]
    if args.dry_run or not rows:
        print_pruned(rows, labels, args.format)
        if plans and not rows:
            say("There is nothing to delete.")
    else:
        if asks:
            _ask(rows, labels)
            # The answer may have taken long: what goes must still be to go.
            fresh, labels, still = _plan(cloud, args)
            plans, done = [plan.within(plans) for plan in fresh], done and still
        done = _prune(cloud, plans, labels, args.format) and done
    finish(done)


def _plan(cloud: Cloud, args: Any) -> tuple[list[PrunePlan], dict[str, str], bool]:
    """Plan for each server, once.

    Returns the plans, what the user called the servers, and whether all went well.
    """
    from rax_scheduled_images_ext.cli.nova.report import ServerReport
    from rax_scheduled_images_ext.operations.prune import plan_prune

    with ServerReport(len(args.server), ends=False) as report:
        found = plan_prune(cloud, args.server, args.keep, report, report.progress)
    plans: dict[str, PrunePlan] = {}
    labels: dict[str, str] = {}
    for each in found:
        if each.value is not None:
            plans.setdefault(each.value.server_id, each.value)
            labels.setdefault(each.value.server_id, each.item.label)
    return list(plans.values()), labels, report.ok


def _ask(rows: Sequence[PrunedImage], labels: Mapping[str, str]) -> None:
    """Show what would go, and end the command unless that is agreed to."""
    from rax_scheduled_images_ext.output.retention import pruned_table

    print(pruned_table(rows, labels), file=sys.stderr)
    print("Delete these images for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        say("Nothing was deleted.")
        raise SystemExit(1)


def _prune(
    cloud: Cloud,
    plans: Sequence[PrunePlan],
    labels: Mapping[str, str],
    form_name: str,
) -> bool:
    """Carry plans out; print what was done, even if only part of it could be."""
    from rax_scheduled_images_ext.operations.prune import prune
    from rax_scheduled_images_ext.operations.work_queue import RunInterrupted

    rows: dict[str, list[PrunedImage]] = {plan.server_id: [] for plan in plans}
    done = True

    def report(row: PrunedImage) -> None:
        nonlocal done
        rows[row.server_id].append(row)
        if row.error is not None:
            LOG.debug("%s", row.error, exc_info=row.error)
            deleted = row.action == "deleted"
            say(row.reason if deleted else failed_delete(row.image.id, row.error))
            done = False

    try:
        prune(cloud, plans, report)
    except RunInterrupted as interrupted:
        for decision in interrupted.unknown:
            say(f"Not known whether deleted: image {decision.image.id}")
        raise
    finally:
        _print_done([row for each in rows.values() for row in each], labels, form_name)
    return done


def _print_done(
    rows: Sequence[PrunedImage], labels: Mapping[str, str], form_name: str
) -> None:
    """Print what was done; on stderr, if stdout fails, at least what was deleted."""
    from rax_scheduled_images_ext.output.console import OutputFailed
    from rax_scheduled_images_ext.output.retention import print_pruned

    try:
        print_pruned(rows, labels, form_name)
    except OutputFailed:
        for row in rows:
            if row.action == "deleted":
                name = f"{row.image.name} ({row.image.id})"
                say(f"Deleted: image {name} of server {labels[row.server_id]}")
        raise SystemExit(1) from None
