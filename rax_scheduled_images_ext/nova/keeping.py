"""``nova scheduled-images-image-list``, ``-protect``, ``-unprotect`` and ``-prune``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .. import schedules
from .commands import (
    argument,
    attempt,
    checked,
    finish,
    format_name,
    name_or_id,
    on_server,
    usage_error,
)
from .images import failed_delete

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..keeping import Keeper
    from ..retention import Verdict
    from .fates import Plan, Pruned

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


def keeper(cs: Any) -> Keeper:
    """Open the cloud's schedules and images."""
    from ..images import image_store
    from ..keeping import Keeper

    return Keeper(cs.scheduled_images, image_store(cs))


@form
@argument(
    "server", metavar="<server>", type=checked(name_or_id), help="Name or ID of server."
)
def do_scheduled_images_image_list(cs: Any, args: Any) -> None:
    """List a server's images, newest first, and what becomes of each and why."""
    from . import fates

    judged = on_server(cs, keeper(cs).judged)

    def show(server: str) -> None:
        fates.print_fates(judged(server), args.format)

    finish(attempt([args.server], show))


@images
def do_scheduled_images_protect(cs: Any, args: Any) -> None:
    """Keep images for good: they are neither counted nor deleted any more."""
    kept = keeper(cs)
    finish(attempt(args.image, lambda image: kept.protect(kept.images.find(image))))


@images
def do_scheduled_images_unprotect(cs: Any, args: Any) -> None:
    """Hand images back to their schedule, and tell which one goes next."""
    kept = keeper(cs)
    # In the order given, each once.
    servers: dict[str, None] = {}

    def unprotect(wanted: str) -> None:
        image = kept.images.find(wanted)
        kept.unprotect(image)
        servers[str(image.server_id)] = None

    done = attempt(args.image, unprotect)
    for server_id in servers:
        print(_next(kept, server_id), file=sys.stderr)
    finish(done)


def _next(kept: Keeper, server_id: str) -> str:
    """Return what goes next; not to know it fails no command that is done."""
    from ..errors import NoSuchServer
    from .fates import what_goes_next

    try:
        retention = kept.retention(server_id)
        if retention is None:
            return f"Nothing goes of server {server_id}: it has no schedule"
        return what_goes_next(server_id, kept.counted(server_id, retention))
    except NoSuchServer:
        return f"Nothing goes of server {server_id}: it does not exist any more"
    except Exception as error:
        return f"What goes next of server {server_id} is not known: {error}"


@argument(
    "--keep",
    metavar="<number>",
    type=checked(schedules.parse_retention),
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
@argument(
    "server",
    metavar="<server>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of server(s).",
)
def do_scheduled_images_prune(cs: Any, args: Any) -> None:
    """Delete now what the retention would delete with the next scheduled image."""
    from . import fates

    asks = not (args.yes or args.dry_run)
    if asks and not (sys.stdin.isatty() and sys.stderr.isatty()):
        usage_error(
            "scheduled-images-prune",
            "there is no terminal to ask on: say --yes to delete, or --dry-run to see"
            " what would go",
        )
    kept = keeper(cs)
    plans, done = _plans(cs, kept, args)
    rows = [
        fates.Pruned.planned(plan.server, verdict)
        for plan in plans
        for verdict in plan.verdicts
    ]
    if args.dry_run or not rows:
        fates.print_pruned(rows, args.format)
        if plans and not rows:
            print("Nothing is to go.", file=sys.stderr)
    else:
        if asks:
            _ask(rows)
            # The answer may have taken long: what goes must still be to go.
            fresh, still = _plans(cs, kept, args)
            plans, done = [plan.within(plans) for plan in fresh], done and still
        done = _prune(kept, plans, args.format) and done
    finish(done)


def _plans(cs: Any, kept: Keeper, args: Any) -> tuple[list[Plan], bool]:
    """Plan for each server, once; and say whether all could be planned."""
    from .fates import Plan

    plans: dict[str, Plan] = {}
    plan_of = on_server(cs, lambda id_: (id_, kept.plan(id_, args.keep)))

    def add(server: str) -> None:
        server_id, verdicts = plan_of(server)
        plans.setdefault(server_id, Plan(server, server_id, verdicts))

    done = attempt(args.server, add)
    return list(plans.values()), done


def _ask(rows: Sequence[Pruned]) -> None:
    """Show what would go, and end the command unless that is agreed to."""
    from ..formatting import as_table
    from .fates import PRUNED

    print(as_table(PRUNED, rows), file=sys.stderr)
    print("Delete these images for good? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        print("Nothing was deleted.", file=sys.stderr)
        raise SystemExit(1)


def _prune(kept: Keeper, plans: Iterable[Plan], form_name: str) -> bool:
    """Carry plans out; print what was done, even if only part of it could be."""
    from .fates import Pruned, print_pruned

    rows: list[Pruned] = []

    def delete(item: tuple[str, Verdict]) -> None:
        server, verdict = item
        rows.append(Pruned.done(server, kept.delete(verdict)))

    def failed(item: tuple[str, Verdict], error: Exception) -> str:
        server, verdict = item
        rows.append(Pruned.failed(server, verdict, error))
        return failed_delete(verdict.image.id, error)

    items = [(plan.server, verdict) for plan in plans for verdict in plan.verdicts]
    try:
        return attempt(items, delete, failed)
    finally:
        print_pruned(rows, form_name)


def forecast(cs: Any, servers: Iterable[str], new: schedules.ImageSchedule) -> None:
    """Print what a schedule would change of servers, and which images would go."""
    from .fates import print_forecast

    kept = keeper(cs)
    foresee = on_server(
        cs, lambda id_: (kept.schedule(id_), kept.forecast(id_, new.retention))
    )

    def show(server: str) -> None:
        old, going = foresee(server)
        print_forecast(server, old, new, going)

    finish(attempt(servers, show))
