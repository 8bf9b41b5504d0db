"""``nova scheduled-images-image-list``, ``-protect``, ``-unprotect`` and ``-prune``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    LOG,
    argument,
    attempt,
    checked,
    finish,
    format_name,
    name_or_id,
    number_to_keep,
    on_server,
    open_cloud,
    say,
    usage_error,
)
from rax_scheduled_images_ext.cli.nova.images import failed_delete
from rax_scheduled_images_ext.cli.nova.server_arguments import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rax_scheduled_images_ext.cli.nova.targets import Target
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.model.retention import Decision
    from rax_scheduled_images_ext.model.schedule import ImageSchedule
    from rax_scheduled_images_ext.operations.retention import ImageRetention
    from rax_scheduled_images_ext.operations.retention import Outcome as KeptOutcome
    from rax_scheduled_images_ext.operations.work_queue import Outcome
    from rax_scheduled_images_ext.output.retention import Plan, Pruned

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


def keeper(cloud: Cloud) -> ImageRetention:
    """Open the cloud's schedules and images."""
    from rax_scheduled_images_ext.client.images.factory import image_store
    from rax_scheduled_images_ext.operations.retention import ImageRetention

    return ImageRetention(cloud.compute, image_store(cloud))


@form
@argument(
    "server", metavar="<server>", type=checked(name_or_id), help="Name or ID of server."
)
def do_scheduled_images_image_list(cs: Any, args: Any) -> None:
    """List a server's images, newest first, and what becomes of each and why."""
    from rax_scheduled_images_ext.output import retention as retention_output

    cloud = open_cloud(cs)
    judged = on_server(cloud, keeper(cloud).judged)

    def show(server: str) -> None:
        retention_output.print_images(judged(server), args.format)

    finish(attempt([args.server], show))


@images
def do_scheduled_images_protect(cs: Any, args: Any) -> None:
    """Keep images for good: they are neither counted nor deleted any more."""
    kept = keeper(open_cloud(cs))

    def protect(wanted: str) -> None:
        kept.protect(kept.images.find(wanted))

    finish(attempt(args.image, protect, _naming(args.image)))


@images
def do_scheduled_images_unprotect(cs: Any, args: Any) -> None:
    """Hand images back to their schedule, and tell which one goes next."""
    kept = keeper(open_cloud(cs))
    # In the order given, each once.
    touched: dict[str, None] = {}

    def unprotect(wanted: str) -> None:
        image = kept.images.find(wanted)
        kept.unprotect(image)
        touched[str(image.server_id)] = None

    done = attempt(args.image, unprotect, _naming(args.image))
    for server_id in touched:
        say(_next(kept, server_id))
    finish(done)


def _naming(wanted: Sequence[str]) -> Callable[[str, Exception], str]:
    """Return what makes the lines of failures; among several they name the image."""
    from rax_scheduled_images_ext.cli.nova.targets import Target, failure

    return lambda image, error: failure(Target(image), error, len(wanted))


def _next(kept: ImageRetention, server_id: str) -> str:
    """Return what goes next; not to know it fails no command that is done."""
    from rax_scheduled_images_ext.client.errors import NoSuchServer
    from rax_scheduled_images_ext.output.retention import what_goes_next

    try:
        retention = kept.retention(server_id)
        if retention is None:
            return f"Nothing goes of server {server_id}: it has no schedule"
        return what_goes_next(server_id, kept.counted(server_id, retention))
    except NoSuchServer:
        return f"Nothing goes of server {server_id}: it does not exist any more"
    except Exception as error:
        why = " ".join(str(error).split())
        return f"What goes next of server {server_id} is not known: {why}"


@argument(
    "--keep",
    metavar="<number>",
    type=checked(number_to_keep),
    help="How many scheduled images of each server stay, 1 to 65535; without it as"
    " many as its schedule says.",
)
@argument(
    "--dry-run",
    action="store_true",
    default=False,
    help="Delete nothing: print what would go, and why.",
)
@argument(
    "--yes",
    action="store_true",
    default=False,
    help="Do not ask. Needed where there is no terminal to ask on.",
)
@form
@servers
def do_scheduled_images_prune(cs: Any, args: Any) -> None:
    """Delete now the scheduled images that the retention leaves no place for."""
    from rax_scheduled_images_ext.output import retention as retention_output

    asks = not (args.yes or args.dry_run)
    if asks and not (sys.stdin.isatty() and sys.stderr.isatty()):
        usage_error(
            "scheduled-images-prune",
            "there is no terminal to ask on: say --yes to delete, or --dry-run to see"
            " what would go",
        )
    cloud = open_cloud(cs)
    cloud = cloud.shared() if len(args.server) > 1 else cloud
    kept = keeper(cloud)
    plans, done = _plans(cloud, kept, args)
    rows = [
        retention_output.Pruned.planned(plan.server, decision)
        for plan in plans
        for decision in plan.decisions
    ]
    if args.dry_run or not rows:
        retention_output.print_pruned(rows, args.format)
        if plans and not rows:
            say("Nothing is to go.")
    else:
        if asks:
            _ask(rows)
            # The answer may have taken long: what goes must still be to go.
            fresh, still = _plans(cloud, kept, args)
            plans, done = [plan.within(plans) for plan in fresh], done and still
        done = _prune(plans, kept, args.format) and done
    finish(done)


def _plans(cloud: Cloud, kept: ImageRetention, args: Any) -> tuple[list[Plan], bool]:
    """Plan for each server, once; and say whether all could be planned."""
    from rax_scheduled_images_ext.cli.nova.targets import Target, each_server
    from rax_scheduled_images_ext.output.retention import Plan

    plans: dict[str, Plan] = {}

    def plan(_manager: object, server_id: str) -> tuple[str, list[Decision]]:
        return server_id, kept.plan(server_id, args.keep)

    def add(server: Target, found: tuple[str, list[Decision]]) -> None:
        plans.setdefault(found[0], Plan(server.label, *found))

    targets = [Target(server) for server in args.server]
    done = each_server(cloud, targets, plan, add)
    return list(plans.values()), done


def _ask(rows: Sequence[Pruned]) -> None:
    """Show what would go, and end the command unless that is agreed to."""
    from rax_scheduled_images_ext.output.formats import as_table
    from rax_scheduled_images_ext.output.retention import PRUNED

    print(as_table(PRUNED, rows), file=sys.stderr)
    print("Delete these images for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        say("Nothing was deleted.")
        raise SystemExit(1)


def _prune(plans: Sequence[Plan], kept: ImageRetention, form_name: str) -> bool:
    """Carry plans out; print what was done, even if only part of it could be.

    Servers are pruned side by side, the images of each one by one.
    """
    from rax_scheduled_images_ext.operations.work_queue import Interrupted, run
    from rax_scheduled_images_ext.output.retention import Pruned

    rows: dict[str, list[Pruned]] = {plan.server_id: [] for plan in plans}
    done = True

    def delete(item: tuple[Plan, Decision]) -> KeptOutcome:
        return kept.delete(item[1])

    def told(outcome: Outcome[tuple[Plan, Decision], KeptOutcome]) -> None:
        nonlocal done
        plan, decision = outcome.item
        if outcome.value is not None:
            rows[plan.server_id].append(Pruned.done(plan.server, outcome.value))
        elif outcome.error is not None:
            failed = Pruned.failed(plan.server, decision, outcome.error)
            rows[plan.server_id].append(failed)
            line = failed_delete(decision.image.id, outcome.error)
            LOG.debug("%s", outcome.error, exc_info=outcome.error)
            say(line)
            done = False

    try:
        for items in _rounds(plans):
            run(items, delete, told)
    except Interrupted as interrupted:
        for _, decision in interrupted.unknown:
            say(f"Not known whether deleted: image {decision.image.id}")
        raise
    finally:
        _report([row for each in rows.values() for row in each], form_name)
    return done


def _report(rows: Sequence[Pruned], form_name: str) -> None:
    """Print what was done; what was deleted is told on stderr if stdout fails."""
    from rax_scheduled_images_ext.output.console import OutputFailed
    from rax_scheduled_images_ext.output.retention import print_pruned

    try:
        print_pruned(rows, form_name)
    except OutputFailed:
        for row in rows:
            if row.action == "deleted":
                name = f"{row.image.name} ({row.image.id})"
                say(f"Deleted: image {name} of server {row.server}")
        raise SystemExit(1) from None


def _rounds(plans: Sequence[Plan]) -> Iterator[list[tuple[Plan, Decision]]]:
    """Yield what may go side by side: the oldest of each server, then the next."""
    for place in range(max((len(plan.decisions) for plan in plans), default=0)):
        yield [(p, p.decisions[place]) for p in plans if place < len(p.decisions)]


def forecast(cloud: Cloud, targets: Sequence[Target], new: ImageSchedule) -> bool:
    """Print what a schedule would change of servers, and which images would go.

    Returns whether all could be told.
    """
    from rax_scheduled_images_ext.cli.nova.targets import each_server
    from rax_scheduled_images_ext.output.retention import print_forecast

    cloud = cloud.shared() if len(targets) > 1 else cloud
    kept = keeper(cloud)

    def foresee(
        _manager: object, server_id: str
    ) -> tuple[ImageSchedule | None, list[Decision]]:
        return kept.schedule(server_id), kept.forecast(server_id, new.retention)

    def tell(
        server: Target, found: tuple[ImageSchedule | None, list[Decision]]
    ) -> None:
        old, going = found
        print_forecast(server.label, old, new, going)

    return each_server(cloud, targets, foresee, tell)
