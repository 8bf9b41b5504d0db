"""Proofs beside the ticks: some images a day are shown to boot, and failures told."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.engine.proofs import Proofs
from rax_scheduled_images_ext.engine.results import Tick
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.slots import Window
from rax_scheduled_images_ext.model.verify import Finding, Verification
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Interrupted,
    SignalCatcher,
)
from rax_scheduled_images_ext.operations.verify import (
    Verified,
    VerifyListener,
    VerifyPlan,
)
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.service.events import log
from rax_scheduled_images_ext.service.metrics import Metrics, Numbers
from rax_scheduled_images_ext.service.notify import Notifier

#: How long after a look at whose turn it is there is another one: all images are listed
#: for it. An hour less than a day, so that it does not leave the window.
PAUSE = timedelta(hours=23)
_LEVELS = {
    Finding.PROVEN: logging.INFO,
    Finding.FAILED: logging.ERROR,
    Finding.UNKNOWN: logging.WARNING,
}


def facts_of(done: Verified, region: str | None) -> dict[str, Any]:
    """Return what identifies a proof, and why it ended so."""
    server, image = done.plan.server, done.plan.image
    return {
        "server": server.id,
        "server_name": server.name,
        "project": image.owner,
        "region": region,
        "image": image.id,
        "reason": f"{done.level.word}: {done.seen}" if done.level else done.seen,
    }


class ProofLog(VerifyListener):
    """Logs proofs, counts them, and has failures told.

    :param region: is named in all events, None where there is only one.
    """

    def __init__(
        self,
        region: str,
        notifier: Notifier,
        metrics: Numbers | None,
        *,
        several: bool,
    ) -> None:
        self._region = region
        self._named = region if several else None
        self._notifier = notifier
        self._metrics = metrics
        #: What has come of each server's image since this was last emptied.
        self.done: list[Verified] = []

    def note(self, text: str) -> None:
        log(logging.DEBUG, "proof", {"region": self._named, "reason": text})

    def planned(self, outcome: Outcome[str, VerifyPlan]) -> None:
        if outcome.error is not None:
            facts = {"server": outcome.item, "region": self._named}
            reason = str(outcome.error)
            log(logging.WARNING, "proof not tried", facts | {"reason": reason})
            self._count(Finding.UNKNOWN)

    def verified(self, done: Verified) -> None:
        self.done.append(done)
        facts = facts_of(done, self._named)
        event = f"proof {done.finding.value}"
        log(_LEVELS[done.finding], event, facts)
        self._count(done.finding)
        if done.finding is Finding.FAILED:
            self._notifier.notify(facts | {"event": event})
        if done.problem is not None:
            log(logging.WARNING, "proof not written", facts | {"reason": done.problem})
        if done.left_id is not None:
            reason = f"server {done.left_id}"
            log(logging.WARNING, "test server left", facts | {"reason": reason})

    def _count(self, finding: Finding) -> None:
        if self._metrics is not None:
            self._metrics.add_proof(self._region, finding)


class Ending(SignalCatcher):
    """Interrupts what goes on when the service is told to end."""

    def __init__(self, ended: Callable[[], bool]) -> None:
        super().__init__(catch=False)
        self._ended = ended

    def check(self) -> None:
        if self._ended():
            raise Interrupted(signal.SIGTERM)


@dataclass
class ProofWork:
    """The proofs of a region in a thread of their own, so that no tick waits for them.

    ``failed`` are the servers whose last proof failed.
    """

    window: Window
    open_proofs: Callable[[], Proofs]
    log: ProofLog
    metrics: Metrics | None = None
    failed: frozenset[str] = frozenset()
    _looked: datetime | None = None
    _thread: threading.Thread | None = None
    _proofs: Proofs | None = field(default=None, repr=False)

    def start(self, region: str, tick: Tick, ended: Callable[[], bool]) -> None:
        """Begin with those whose turn it is, if it is time to look for them."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._report(region, tick)
        early = self._looked is not None and tick.now - self._looked < PAUSE
        if early or not self.window.contains(tick.now):
            return
        self._looked = tick.now
        self._thread = threading.Thread(
            target=self._work, args=(tick, Ending(ended)), daemon=True
        )
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until the test servers are deleted."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self, tick: Tick, signals: SignalCatcher) -> None:
        self._proofs = proofs = self._proofs or self.open_proofs()
        try:
            due = proofs.find(tick.servers, tick.now)
            proofs.prove(due, self.log, signals)
        except (ScheduledImagesError, *PASSING) as error:
            self._proofs = None
            log(logging.ERROR, "proofs failed", {"reason": str(error)})
        except Interrupted:
            log(logging.INFO, "proofs ended")

    def _report(self, region: str, tick: Tick) -> None:
        """Report what is known of all servers."""
        if self._proofs is None:
            return
        known = self._proofs.known
        for done in self.log.done:
            if done.finding is not Finding.UNKNOWN:
                time = done.time or datetime.now(timezone.utc)
                image_id = done.plan.image.id
                found = Verification(image_id, time, done.level, done.seen)
                known[done.plan.server.id] = found
        self.log.done.clear()
        self.failed = frozenset(k for k, v in known.items() if v and v.failed)
        if self.metrics is not None:
            proven = {k: v.time for k, v in known.items() if v and not v.failed}
            self.metrics.set_verified(region, tick, proven, len(self.failed))
