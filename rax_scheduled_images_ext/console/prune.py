"""Asks before images are pruned, and prints the result."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.arguments import NOTHING_TO_DELETE
from rax_scheduled_images_ext.console.formats import (
    Column,
    as_table,
    attribute,
    print_rows,
)
from rax_scheduled_images_ext.console.images import image_columns
from rax_scheduled_images_ext.console.report import Console, ConsoleReport
from rax_scheduled_images_ext.console.terminal import agreed, otherwise, say
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import NO_RULES, Keep
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.operations.gone import find_gone
from rax_scheduled_images_ext.operations.prune import (
    PrunedImage,
    PruneListener,
    PrunePlan,
)
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome


def gone_targets(cloud: Cloud, report: ConsoleReport) -> list[Target]:
    """Return all servers whose deletion is known; report where it is not known.

    Others have to be named.
    """
    found = find_gone(cloud)
    for failure in found.failures:
        if failure.error is not None:
            report.ok = False
            report.console.error(failure.error, failure.item)
    return [
        Target(server.label, server.id)
        for server in found.servers
        if server.deleted is not None and server.going()
    ]


def pruned_columns(
    labels: Mapping[str, str], sizes: Sizes
) -> tuple[Column[PrunedImage], ...]:
    """Return the columns of images that were or would be deleted.

    :param labels: the servers' names or IDs as the user typed them, by ID.
    :param sizes: as for :func:`.image_columns`.
    """
    return (
        Column("server", "Server", lambda row: labels[row.server_id]),
        *image_columns(sizes),
        attribute("action", "Action"),
        attribute("reason", "Reason"),
    )


def keep_of(args: Any) -> Keep | None:
    """Return what the options of a command say to keep; None for nothing said.

    :raises InvalidValue: for an age without a number or rules beside it.
    """
    if args.keep is None and args.keep_within is None:
        return None
    keep: Keep = args.keep or NO_RULES
    return replace(keep, within_days=args.keep_within or 0).checked()


class PruneReport(ConsoleReport, PruneListener):
    """Reports on stderr what is pruned; asks for confirmation first if ``asks``."""

    def __init__(self, console: Console, servers: Sequence[str], *, asks: bool) -> None:
        super().__init__(console, len(servers))
        self.asks = asks
        # The servers as the user typed them, and what was done so far, by ID.
        self._labels: dict[str, str] = {}
        self._done: dict[str, list[PrunedImage]] = {}

    @property
    def columns(self) -> tuple[Column[PrunedImage], ...]:
        """The columns of what was or would be done."""
        return pruned_columns(self._labels, self.sizes)

    @property
    def done(self) -> list[PrunedImage]:
        """What was done so far, server by server."""
        return [row for rows in self._done.values() for row in rows]

    def print(self, rows: Sequence[PrunedImage], form: str) -> None:
        """Print images that were or would be deleted; no table for none."""
        with otherwise(self.say_deleted):
            if rows or form != "table":
                print_rows(self.columns, rows, form)

    def say_nothing(self) -> None:
        """Report on stderr that there is nothing to delete, if that is known."""
        if self._labels or self.ok:
            say(NOTHING_TO_DELETE)

    def say_deleted(self) -> None:
        """Report on stderr what was deleted."""
        for row in self.done:
            if row.action == "deleted":
                name = f"{row.image.name} ({row.image.id})"
                say(f"Deleted: image {name} of server {self._labels[row.server_id]}")

    def ended(self, outcome: Outcome[Target, PrunePlan]) -> None:
        super().ended(outcome)
        if outcome.value is not None:
            server_id = outcome.value.server_id
            self._labels.setdefault(server_id, outcome.item.label)
            self._done.setdefault(server_id, [])

    def agrees(self, images: Iterable[PrunedImage]) -> bool:
        if not self.asks:
            return True
        print(as_table(self.columns, images), file=sys.stderr)
        if agreed("Delete these images permanently?"):
            return True
        say("Nothing was deleted.")
        return False

    def pruned(self, image: PrunedImage) -> None:
        self._done[image.server_id].append(image)
        if image.error is None:
            return
        self.ok = False
        # The reason names what a deletion has left behind, if anything.
        if image.action == "deleted":
            say(str(image.reason))
        else:
            self.console.not_deleted(image.image.id, image.error)

    def unknown(self, image: ServerImage) -> None:
        say(f"Unknown whether deleted: image {image.id}")
