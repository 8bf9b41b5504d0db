"""The sandbox's cloud: its regions, its time, its transactions.

Nothing runs in the background: each request first lets everything happen that was due
since the last one (see ``service``), in the order of time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.sandbox.backend import service
from rax_scheduled_images_ext.sandbox.backend.clock import Clock
from rax_scheduled_images_ext.sandbox.backend.models import NotFound
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.state import CloudState, Timings
from rax_scheduled_images_ext.sandbox.backend.store import Store
from rax_scheduled_images_ext.sandbox.faults.grammar import Fault

_WEEK = 7 * 24 * 3600
# What ``advance`` does at once, in some minutes; a scheduled image takes five steps.
_MOST_IMAGES = 200_000
_MOST_STEPS = 5 * _MOST_IMAGES


class Cloud(CloudState):
    """All regions, one clock, one store.

    :param store: where everything is kept; a store with content goes on from
        there, its clock included.
    :param seed: ids and times of day are derived from it.
    :param extension: whether it has scheduled images, as Rackspace's has and a plain
        OpenStack has not; without them there is neither the API nor the service.
    :param image_quota: how many images a project may have; None for any number.
    :param server_quota: how many servers a project may have; None for any number.
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
        image_quota: int | None = None,
        server_quota: int | None = None,
    ) -> None:
        super().__init__(store, seed=seed, timings=timings or Timings())
        self.image_quota = image_quota
        self.server_quota = server_quota
        self.clock = clock
        self.extension = extension
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

        :param request_id: the request that servers' histories name for what is done.
        """
        with self._lock, self.store.transaction():
            before = self.store.changes
            now = self.clock.now()
            self.request_id = None
            service.settle(self, self.region, now, scheduled=self.extension)
            self.request_id = request_id
            self.now = now
            yield now
            if self.store.changes != before:
                self._keep_time()

    def advance(self, seconds: float) -> float:
        """Let virtual time pass, with all that happens in it; return the new time.

        What cannot be done leaves the time and the cloud as they were.

        :raises ValueError: for a negative number, one beyond the end of time, or where
            so much would happen that nobody could wait for it.
        """
        with self._lock, self.store.transaction():
            now = self.clock.ahead(seconds)
            if self.extension:
                self._check_number(seconds)
            self.request_id = None
            service.settle(
                self, self.region, now, scheduled=self.extension, steps=_MOST_STEPS
            )
            self.now = self.clock.advance(seconds)
            self._keep_time()
            return self.now

    def _check_number(self, seconds: float) -> None:
        """See that there are not too many scheduled images in that time."""
        row = self.store.first(
            "SELECT TOTAL(CASE WHEN day_of_week IS NULL THEN 7 ELSE 1 END) AS a_week"
            " FROM servers WHERE next_run IS NOT NULL"
        )
        assert row is not None
        number = row["a_week"] * seconds / _WEEK
        if number > _MOST_IMAGES:
            longest = _MOST_IMAGES * _WEEK / row["a_week"]
            raise ValueError(
                f"cannot advance by {format_duration(seconds)}: that is"
                f" {number:.0f} scheduled images, and {_MOST_IMAGES} are the most at"
                f" once; {format_duration(longest)} is allowed"
            )

    def inject(self, faults: Iterable[Fault]) -> None:
        """Let things go wrong from now on, also with snapshots that are under way."""
        self.faults.add(faults)
        with self.transaction():
            for region in self._regions.values():
                region.snapshots.apply_faults()

    def clear_faults(self) -> None:
        """Take all faults away; frozen snapshots go on."""
        self.faults.clear()
        with self.transaction():
            for region in self._regions.values():
                region.snapshots.clear_faults()

    def task_states(self) -> set[str]:
        """Return the task states that servers have now, in all regions."""
        with self.transaction():
            regions = self._regions.values()
            return {s for each in regions for s in each.snapshots.task_states()}

    def _keep_time(self) -> None:
        self.store.note("clock shown", self.clock.now())
        self.store.note("clock since", self.clock.wall())
