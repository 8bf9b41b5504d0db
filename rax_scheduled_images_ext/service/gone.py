"""The images of servers that are gone, once a day beside the scans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.engine.gone import GoneImages
from rax_scheduled_images_ext.engine.results import Tick
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.service.events import EventLog


@dataclass(frozen=True)
class GoneWork:
    """Deletes images of servers that are gone.

    :param after: how long after the deletion of a server its images stay.
    """

    after: timedelta

    def do(
        self, runner: Runner, tick: Tick, events: EventLog, stopping: Callable[[], bool]
    ) -> bool:
        """Do it, if that is not done yet today; return whether nothing failed."""
        if not events.begins_day("gone", tick.now):
            return True
        done = not self.delete(runner, events, stopping)
        events.save()
        return done

    def delete(
        self, runner: Runner, events: EventLog, stopping: Callable[[], bool]
    ) -> list[Exception]:
        """Delete what is old enough; return the errors, which are logged."""
        failed: list[Exception] = []

        def report(pruned: PrunedImage) -> None:
            events.add_deleted(pruned)
            if pruned.error is not None:
                failed.append(pruned.error)

        work = GoneImages(
            runner.projects,
            self.after,
            runner.clock,
            stopping,
            report,
            runner.limits.requests,
        )
        try:
            errors: list[Exception] = work.delete()
        except (*PASSING, ScheduledImagesError) as error:
            errors = [error]
        for each in errors:
            events.add_gone_failed(each)
        return errors + failed
