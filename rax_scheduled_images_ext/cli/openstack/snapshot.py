"""``openstack server snapshot``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed, shown
from rax_scheduled_images_ext.cli.openstack.command import (
    INTERRUPTED,
    Command,
    Lister,
    NothingToShow,
    ShowOne,
    WrongUsage,
    error_line,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.arguments import argument, switch
from rax_scheduled_images_ext.console.prune import Pruning, images_of
from rax_scheduled_images_ext.console.retention import (
    IMAGES,
    IMAGES_AS_DATA,
    protect_each,
    pruned_columns,
    unprotect_each,
)
from rax_scheduled_images_ext.console.snapshot_create import (
    TAKEN,
    console_listener,
    take_snapshot,
)
from rax_scheduled_images_ext.console.snapshot_watch import watch_servers
from rax_scheduled_images_ext.console.terminal import can_ask, say
from rax_scheduled_images_ext.operations.server import list_images
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot
from rax_scheduled_images_ext.operations.work_queue import RunInterrupted
from rax_scheduled_images_ext.programs.arguments import checked, duration


def _time_limit(text: str, **options: Any) -> arguments.Argument:
    return argument(
        "--time-limit",
        metavar="<duration>",
        type=checked(duration),
        help=text,
        **options,
    )


class ListSnapshot(Lister):
    """List the images of a server, newest first, and what becomes of each and why."""

    arguments = (switch("--long", "List additional columns."), arguments.SERVER)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the images."""
        columns = IMAGES_AS_DATA if parsed_args.long else IMAGES
        return listed(columns, list_images(self.cloud, parsed_args.server))


class CreateSnapshot(ShowOne):
    """Create an image of a server, and quiesce it for no longer than needed.

    Exit statuses: 4 the image is lost, 5 the server is gone, 6 a time limit was
    reached, 7 the server was resumed before its disk was copied.
    """

    arguments = (
        arguments.metadata("--property", "--metadata"),
        *arguments.CREATE,
        _time_limit(arguments.CREATE_LIMIT, default="6h"),
        arguments.SERVER,
        arguments.IMAGE_NAME,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Take the snapshot and return its image."""
        made: list[Snapshot] = []
        with console_listener() as console:
            try:
                taken = take_snapshot(
                    self.cloud, parsed_args, error_line, console, made.append
                )
                self.status = taken.status
            except KeyboardInterrupt:
                self.status = INTERRUPTED
        if not made:
            raise NothingToShow
        return shown(TAKEN, made[0])


class WatchSnapshot(Command):
    """Watch the snapshots of servers until they are over.

    Exit statuses: 4 a snapshot has failed, 5 a server is gone, 6 a time limit was
    reached.
    """

    arguments = (
        *arguments.WATCH,
        _time_limit(arguments.WATCH_LIMIT),
        arguments.watch_format("-f", "--format"),
        arguments.SERVERS,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print a line for each poll."""
        self.status = watch_servers(self.cloud, parsed_args, error_line)


class ProtectSnapshot(Command):
    """Keep images for good: they are neither counted nor deleted any more."""

    arguments = (arguments.IMAGES,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Protect the images."""
        self.end(ok=protect_each(self.cloud, parsed_args.image, error_line))


class UnprotectSnapshot(Command):
    """Hand images back to their schedule, and report which one expires next."""

    arguments = (arguments.IMAGES,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Unprotect the images."""
        self.end(ok=unprotect_each(self.cloud, parsed_args.image, error_line))


class PruneSnapshot(Lister):
    """Delete the scheduled images beyond the retention now."""

    arguments = (arguments.KEEP, arguments.PLAN, arguments.YES, arguments.SERVERS)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Delete images, or plan that, and return them."""
        asks = not (parsed_args.yes or parsed_args.dry_run)
        if asks and not can_ask():
            raise WrongUsage(arguments.NO_TERMINAL)
        self.pruning = Pruning(
            self.cloud, parsed_args.server, parsed_args.keep, error_line, _failed_delete
        )
        rows = self._plan(asks=asks, dry_run=parsed_args.dry_run)
        return listed(pruned_columns(self.pruning.labels), rows)

    def _plan(self, *, asks: bool, dry_run: bool) -> list[Any]:
        """Return what was done, or would be."""
        pruning = self.pruning
        plans = pruning.plan()
        rows = images_of(plans)
        self.end(ok=pruning.ok)
        if plans and not rows:
            say(arguments.NOTHING_TO_DELETE)
        if dry_run or not rows:
            return rows
        agreed = pruning.agreed(plans) if asks else plans
        if agreed is None:
            self.end(ok=False)
            raise NothingToShow
        try:
            pruning.carry_out(agreed)
            self.end(ok=pruning.ok)
        except RunInterrupted:
            self.status = INTERRUPTED
        return pruning.done

    def produce_output(self, *given: Any) -> int:
        """Print the rows; on stderr, if stdout fails, at least what was deleted."""
        try:
            super().produce_output(*given)
            self.app.stdout.flush()
        except OSError:
            self.pruning.report_deleted()
            raise
        return 0


def _failed_delete(image_id: str, error: Exception) -> str:
    return f"Failed to delete image {image_id}: {error}"
