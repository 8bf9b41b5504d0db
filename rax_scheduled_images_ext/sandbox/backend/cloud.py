"""The sandbox's cloud: its regions, its time, its transactions.

Nothing runs in the background: what a clock would have brought about is made
up for whenever somebody looks (see ``service``), in the order of time.
"""

from __future__ import annotations

import hashlib
import random
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rax_scheduled_images_ext.sandbox.backend import service
from rax_scheduled_images_ext.sandbox.backend.clock import Clock
from rax_scheduled_images_ext.sandbox.backend.models import NotFound
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.store import Store
from rax_scheduled_images_ext.sandbox.faults.grammar import STATES, Fault, Faults


@dataclass(frozen=True)
class Timings:
    """How long each part of a snapshot takes, in virtual seconds."""

    queue: float = 2
    copy: float = 40
    pending: float = 3
    upload: float = 75
    # The image is ACTIVE a moment before the server's task state is cleared.
    release: float = 1

    @property
    def until_upload(self) -> float:
        """Seconds from the request to the upload."""
        return self.queue + self.copy + self.pending

    @property
    def until_active(self) -> float:
        """Seconds from the request to an ACTIVE image."""
        return self.until_upload + self.upload

    @property
    def until_released(self) -> float:
        """Seconds from the request to a server without a task state."""
        return self.until_active + self.release

    def task_state(self, elapsed: float, backup: bool) -> str:
        """Return the task state this many seconds after the request."""
        if elapsed < self.queue:
            return "image_backup" if backup else "image_snapshot_pending"
        if elapsed < self.queue + self.copy:
            return "image_backup" if backup else "image_snapshot"
        if elapsed < self.until_upload:
            return "image_pending_upload"
        return "image_uploading"

    def span(self, task_state: str) -> tuple[float, float]:
        """Return when a task state begins and ends, in seconds from the request."""
        marks = (0, self.queue, self.queue + self.copy, self.until_upload)
        place = STATES.index(task_state)
        return marks[place], (*marks[1:], self.until_active)[place]


class Cloud:
    """All regions, one clock, one store.

    :param store: where everything is kept; a store with content goes on from
        there, its clock included.
    :param seed: ids and times of day are derived from it.
    :param extension: whether it has scheduled images, as Rackspace's has and a plain
        OpenStack has not; without them there is neither the API nor the service.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        regions: Sequence[str] = ("RegionOne",),
        seed: int = 1,
        timings: Timings | None = None,
        extension: bool = True,
    ) -> None:
        self.store = store
        self.clock = clock
        self.timings = timings or Timings()
        self.extension = extension
        self.faults = Faults()
        self.now = 0.0
        self.request_id: str | None = None
        self._seed = seed
        self._lock = threading.RLock()
        self._regions = {name: Region(self, name) for name in regions}
        shown, since = store.noted("clock shown"), store.noted("clock since")
        if shown is not None and since is not None:
            clock.resume(shown, since)

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of the regions, the first one being the usual one."""
        return tuple(self._regions)

    def region(self, name: str) -> Region:
        """Return a region by its name.

        :raises NotFound: where there is none of that name.
        """
        try:
            return self._regions[name]
        except KeyError:
            raise NotFound(f"There is no region {name}.") from None

    @contextmanager
    def transaction(self, request_id: str | None = None) -> Iterator[float]:
        """Bring the cloud up to the present, and keep what is done inside.

        All requests go through here, one at a time. What is written is on
        disk when this ends; after an exception nothing of it is.

        :param request_id: what servers' histories tell of what is done inside.
        """
        with self._lock, self.store.transaction():
            before = self.store.changes
            now = self.clock.now()
            self.request_id = None
            service.settle(self, now)
            self.request_id = request_id
            self.now = now
            yield now
            if self.store.changes != before:
                self._keep_time()

    def advance(self, seconds: float) -> float:
        """Let virtual time pass, with all that happens in it; return the new time.

        :raises ValueError: for a negative number.
        """
        with self._lock:
            self.clock.advance(seconds)
            with self.transaction() as now:
                self._keep_time()
            return now

    def inject(self, faults: Iterable[Fault]) -> None:
        """Let things go wrong from now on, also with snapshots that are under way."""
        self.faults.add(faults)
        with self.transaction():
            for region in self._regions.values():
                region.afflict()

    def cure(self) -> None:
        """Take all faults away; frozen snapshots go on."""
        self.faults.clear()
        with self.transaction():
            for region in self._regions.values():
                region.cure()

    def task_states(self) -> set[str]:
        """Return the task states that servers have now, in all regions."""
        with self.transaction():
            return {s for each in self._regions.values() for s in each.task_states()}

    def _keep_time(self) -> None:
        self.store.note("clock shown", self.clock.now())
        self.store.note("clock since", self.clock.wall())

    def new_id(self) -> str:
        """Return the next id: a random-looking UUID that follows from the seed."""
        (new,) = self.new_ids(1)
        return new

    def new_ids(self, number: int) -> list[str]:
        """Return the next so many ids."""
        last = self.store.noted("serial") or 0
        self.store.note("serial", last + number)
        serials = range(last + 1, last + number + 1)
        digests = (self._digest(f"id {serial}") for serial in serials)
        return [str(uuid.UUID(bytes=each[:16], version=4)) for each in digests]

    def chance(self, *what: object) -> random.Random:
        """Return a random generator that always does the same for ``what``."""
        return random.Random(self._digest(repr(what)))

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._seed} {text}".encode()).digest()
