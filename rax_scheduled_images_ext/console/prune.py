"""Pruning the images of several servers, with a person's consent where one is asked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.report import ErrorLine, ServerReport
from rax_scheduled_images_ext.console.retention import pruned_table
from rax_scheduled_images_ext.console.terminal import agreed, say
from rax_scheduled_images_ext.operations.prune import (
    PrunedImage,
    PrunePlan,
    plan_prune,
    prune,
)
from rax_scheduled_images_ext.operations.work_queue import RunInterrupted

LOG = logging.getLogger(__name__)


class Pruning:
    """The pruning of some servers; failures are lines on stderr.

    ``ok`` is whether nothing has failed so far, ``labels`` what the user called the
    servers, by their IDs.

    :param servers: names or IDs.
    :param keep: how many images stay; None for the retention of each server's schedule.
    :param error_line: returns the line about an error of a server.
    :param failed_delete: returns the line about the image of an ID that could not be
        deleted.
    """

    def __init__(
        self,
        cloud: Cloud,
        servers: Sequence[str],
        keep: int | None,
        error_line: ErrorLine,
        failed_delete: Callable[[str, Exception], str],
    ) -> None:
        self.ok = True
        self.labels: dict[str, str] = {}
        self._cloud = cloud
        self._servers = servers
        self._keep = keep
        self._error_line = error_line
        self._failed_delete = failed_delete
        self._done: dict[str, list[PrunedImage]] = {}

    def plan(self) -> list[PrunePlan]:
        """Plan for each server, once."""
        with ServerReport(len(self._servers), self._error_line) as report:
            found = plan_prune(
                self._cloud, self._servers, self._keep, report, report.progress
            )
        self.ok = self.ok and report.ok
        plans: dict[str, PrunePlan] = {}
        for each in found:
            if each.value is not None:
                plans.setdefault(each.value.server_id, each.value)
                self.labels.setdefault(each.value.server_id, each.item.label)
        return list(plans.values())

    def agreed(self, plans: Sequence[PrunePlan]) -> list[PrunePlan] | None:
        """Show what would go, and return what still is to go if that is agreed to."""
        print(pruned_table(images_of(plans), self.labels), file=sys.stderr)
        if not agreed("Delete these images for good?"):
            say("Nothing was deleted.")
            return None
        # The answer may have taken long: what goes must still be to go.
        return [plan.within(plans) for plan in self.plan()]

    def carry_out(self, plans: Sequence[PrunePlan]) -> None:
        """Delete what the plans name.

        :raises RunInterrupted: on Ctrl-C; ``done`` has what was done until then.
        """
        self._done = {plan.server_id: [] for plan in plans}
        try:
            prune(self._cloud, plans, self._report)
        except RunInterrupted as interrupted:
            for decision in interrupted.unknown:
                say(f"Not known whether deleted: image {decision.image.id}")
            raise

    @property
    def done(self) -> list[PrunedImage]:
        """What was done so far, server by server."""
        return [row for rows in self._done.values() for row in rows]

    def report_deleted(self) -> None:
        """Report on stderr what was deleted: standard output did not take it."""
        for row in self.done:
            if row.action == "deleted":
                name = f"{row.image.name} ({row.image.id})"
                say(f"Deleted: image {name} of server {self.labels[row.server_id]}")

    def _report(self, row: PrunedImage) -> None:
        self._done[row.server_id].append(row)
        if row.error is not None:
            LOG.debug("%s", row.error, exc_info=row.error)
            # What was deleted may have left something behind, which the reason names.
            if row.action == "deleted":
                say(str(row.reason))
            else:
                say(self._failed_delete(row.image.id, row.error))
            self.ok = False


def images_of(plans: Sequence[PrunePlan]) -> list[PrunedImage]:
    """Return what would be done with each image of some plans."""
    return [row for plan in plans for row in plan.images()]
