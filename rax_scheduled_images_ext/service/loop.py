"""Ticks, one after another, until the service is told to end."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FrameType

from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.engine.runner import Runner, Tick
from rax_scheduled_images_ext.model.errors import ScheduledImagesError
from rax_scheduled_images_ext.service.events import EventLog, log
from rax_scheduled_images_ext.service.metrics import Metrics, MetricsServer
from rax_scheduled_images_ext.service.notify import Notifier

#: What ends a tick, and not the service: whether it lasts is known by trying again.
FAILURES = (ScheduledImagesError, ClientException, OSError)
# A runner that does not end within this many seconds is left behind: it has claimed
# what it was about to make, and another one goes on.
_GRACE = 4.0


@dataclass
class Service:
    """A runner, and those who are told what it does.

    :param time: returns the time to decide by, None for the cloud's own.
    """

    open_runner: Callable[[], Runner]
    notifier: Notifier = field(default_factory=Notifier)
    metrics: Metrics | None = None
    server: MetricsServer | None = None
    time: Callable[[], datetime | None] = lambda: None
    _events: EventLog = field(default_factory=EventLog)
    _runner: Runner | None = None

    def tick(self) -> bool:
        """Do what is due, once; return whether nothing has failed."""
        began = time.monotonic()
        try:
            tick = self._tick()
        except FAILURES as error:
            log(logging.ERROR, "tick failed", {"reason": f"{label(error)}: {error}"})
            if self.metrics is not None:
                self.metrics.add_failed()
            good = False
        else:
            if self.metrics is not None:
                self.metrics.add(tick, time.monotonic() - began)
            self.notifier.failed(tick.failures)
            good = not tick.failures
        if self.server is not None:
            (self.server.healthy.set if good else self.server.healthy.clear)()
        self.notifier.ping(good=good)
        return good

    def run(self, every: float) -> None:
        """Tick every so many seconds until SIGTERM or SIGINT."""
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()

        before = {n: signal.signal(n, end) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            port = self.server.port if self.server else None
            log(logging.INFO, "service started", {"every_seconds": every, "port": port})
            while not ended.is_set():
                due = time.monotonic() + every
                # A thread, so that this one hears of signals.
                worker = threading.Thread(target=self.tick, daemon=True)
                worker.start()
                while worker.is_alive() and not ended.is_set():
                    worker.join(0.1)
                if ended.is_set():
                    worker.join(_GRACE)
                ended.wait(max(0.0, due - time.monotonic()))
            log(logging.INFO, "service ended")
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tick(self) -> Tick:
        if self._runner is None:
            self._runner = self.open_runner()
        tick = self._runner.tick(self.time(), self._events.add)
        self._events.end(tick)
        return tick


def label(error: Exception) -> str:
    """Return the kind of an error."""
    return type(error).__name__


def sped_up(start: datetime, speed: float) -> Callable[[], datetime]:
    """Return a clock that shows ``start`` now and goes so many times faster."""
    began = time.monotonic()
    return lambda: start + timedelta(seconds=(time.monotonic() - began) * speed)
