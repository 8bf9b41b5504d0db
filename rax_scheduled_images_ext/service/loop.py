"""Ticks, one after another, until the service is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.engine.results import Tick
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.programs.signals import ended_by_signals
from rax_scheduled_images_ext.service.events import LOG, EventLog, log
from rax_scheduled_images_ext.service.gone import GoneWork
from rax_scheduled_images_ext.service.health import Health
from rax_scheduled_images_ext.service.metrics import Metrics
from rax_scheduled_images_ext.service.notify import Notifier
from rax_scheduled_images_ext.service.proofs import ProofWork

#: The exit statuses of ``tick``: everything due was done, something failed, or
#: something was due but could not be done yet.
DONE, FAILED, LEFT = 0, 1, 4
#: The errors of clouds in a tick; any other is a bug.
FAILURES = (ScheduledImagesError, ClientException, OSError)
# When the service is stopped it starts nothing more, and what is in progress gets these
# seconds to end. What takes longer is left, and the next runner sweeps it.
_GRACE = 3.0
# Seconds for the test servers that are deleted then.
_DELETION = 60.0


@dataclass
class RegionWork:
    """A region that the service works for, and what it has reported about it.

    :param name: empty if the cloud has only one.
    """

    name: str
    open_runner: Callable[[], Runner]
    events: EventLog = field(default_factory=EventLog)
    runner: Runner | None = None
    proofs: ProofWork | None = None
    gone: GoneWork | None = None

    def tick(self, stopping: Callable[[], bool]) -> Tick:
        """Do what is due, once, with a new login if the last one failed."""
        if self.runner is None:
            self.runner = self.open_runner()
            self.runner.stopping = stopping
            self.runner.deleted = self.events.add_deleted
        return self.runner.tick(self.events.add)

    def delete_gone(self, tick: Tick, stopping: Callable[[], bool]) -> bool:
        """Delete images of servers that are gone; return whether nothing failed."""
        if self.gone is None or self.runner is None:
            return True
        return self.gone.do(self.runner, tick, self.events, stopping)

    @property
    def has_owners(self) -> bool:
        """Whether servers belong to owners who must fix their own problems."""
        return self.runner is not None and self.runner.projects.all_projects


@dataclass
class Service:
    """The work in some regions, and the notifications about it."""

    regions: Sequence[RegionWork]
    notifier: Notifier = field(default_factory=Notifier)
    metrics: Metrics | None = None
    server: Server | None = None
    health: Health = field(default_factory=Health)
    _ended: threading.Event = field(default_factory=threading.Event)

    def tick(self) -> int:
        """Do what is due, once; return the exit status.

        A region that fails does not affect the others.
        """
        done = [self._tick(region) for region in self.regions]
        self.notifier.ping(good=all(good for _, good in done))
        statuses = {status for status, _ in done}
        return next(each for each in (FAILED, LEFT, DONE) if each in statuses)

    def _tick(self, region: RegionWork) -> tuple[int, bool]:
        """Return the exit status of one region, and whether all is well there."""
        began = time.monotonic()
        try:
            tick = region.tick(self._ended.is_set)
        except Exception as error:
            self._report_failure(region, error)
            self.health.looked(good=False)
            return FAILED, False
        finally:
            if region.runner is not None:
                self.health.throttle = region.runner.projects.listing.throttle
        self.health.looked(good=True)
        if self.metrics is not None:
            self.metrics.add(region.name, tick, time.monotonic() - began)
        self.notifier.failed(region.events.end(tick))
        broken = tick.coverage.problem if tick.coverage else None
        if region.events.take_news_of_policies() is not None:
            self._notify(region, "policies not obeyed", str(broken))
        failures = tick.failures or broken or (tick.coverage and tick.coverage.failures)
        status = FAILED if failures else LEFT if tick.left else DONE
        good = not broken and not tick.overdue(owners=not region.has_owners)
        if region.proofs is not None:
            region.proofs.start(region.name, tick, self._ended.is_set)
            good = good and not region.proofs.failed
        if not region.delete_gone(tick, self._ended.is_set):
            status = FAILED
        return status, good

    def run(self, every: float) -> None:
        """Tick every so many seconds until SIGTERM or SIGINT."""
        with ended_by_signals(self._ended):
            port = self.server.port if self.server else None
            log(logging.INFO, "service started", {"every_seconds": every, "port": port})
            while not self._ended.is_set():
                due = time.monotonic() + every
                self._tick_aside()
                self._ended.wait(max(0.0, due - time.monotonic()))
            for region in self.regions:
                if region.proofs is not None:
                    region.proofs.wait(_DELETION)
            self.notifier.close(_GRACE)
            log(logging.INFO, "service ended")

    def once(self) -> int:
        """Tick once; return the exit status, after a signal as a shell writes it."""
        with ended_by_signals(self._ended) as came:
            status = self._tick_aside()
            self.notifier.close(_GRACE if came else None)
        return 128 + came[0] if came else status

    def _tick_aside(self) -> int:
        """Tick in another thread, so that this one handles signals."""
        ended: list[int] = []
        worker = threading.Thread(target=lambda: ended.append(self.tick()), daemon=True)
        worker.start()
        while worker.is_alive() and not self._ended.is_set():
            worker.join(0.1)
        worker.join(_GRACE)
        return ended[0] if ended else FAILED

    def _report_failure(self, region: RegionWork, error: Exception) -> None:
        """Report that a tick failed; run the command only for the first failure."""
        begins = region.events.add_failed(label(error), str(error))
        if not isinstance(error, FAILURES):
            LOG.debug("tick failed", exc_info=error)
        if isinstance(error, ClientException):
            # The password may have been changed: log in with the current one.
            region.runner = None
        if self.metrics is not None:
            self.metrics.add_failed(region.name)
        if begins:
            self._notify(region, "tick failed", f"{label(error)}: {error}")

    def _notify(self, region: RegionWork, event: str, reason: str) -> None:
        facts = {"region": region.name} if len(self.regions) > 1 else {}
        self.notifier.notify({"event": event, **facts, "reason": reason})


def label(error: Exception) -> str:
    """Return the kind of an error."""
    return type(error).__name__
