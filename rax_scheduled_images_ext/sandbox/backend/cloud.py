"""The sandbox's cloud: its regions, its time, its transactions.

Nothing runs in the background: each request first processes everything that has become
due since the last one, in chronological order (see ``service``).
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
# The most that one ``advance`` may do: some minutes of work. A scheduled image takes
# five steps.
_MOST_IMAGES = 200_000
_MOST_STEPS = 5 * _MOST_IMAGES


class Cloud(CloudState):
    """All regions, one clock, one store.

    :param store: where everything is kept; with the content of an earlier cloud, that
        cloud and its clock continue.
    :param seed: determines IDs and times of day.
    :param extension: whether the cloud has scheduled images, like Rackspace's and
        unlike a plain OpenStack; without them it has neither the API nor the service.
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
        super().__init__(store, seed=seed, timings=timings or Timings())
        self.clock = clock
        self.extension = extension
        self._lock = threading.RLock()
        self._regions = {name: Region(self, name) for name in regions}
        shown, since = store.noted("clock shown"), store.noted("clock since")
        if shown is not None and since is not None:
            clock.resume(shown, since)

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of the regions, the default one first."""
        return tuple(self._regions)

    def region(self, name: str) -> Region:
        """Return a region by its name.

        :raises NotFound: if there is none with that name.
        """
        try:
            return self._regions[name]
        except KeyError:
            raise NotFound(f"There is no region {name}.") from None

    @contextmanager
    def transaction(self, request_id: str | None = None) -> Iterator[float]:
        """Bring the cloud up to the present, and save the changes of the block.

        All requests go through here, one at a time. At the end, all changes are on
        disk; after an exception, none of them.

        :param request_id: the ID of the request, for servers' histories.
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
        """Let virtual time pass, with everything that is due in it; return the new
        time.

        After an error, the time and the cloud are as before.

        :raises ValueError: for a negative number, one beyond the clock's end, or if too
            much would happen in that time.
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
        """Check that there are not too many scheduled images in that time."""
        row = self.store.first(
            "SELECT TOTAL(CASE WHEN day_of_week IS NULL THEN 7 ELSE 1 END) AS a_week"
            " FROM servers WHERE next_run IS NOT NULL"
        )
        assert row is not None
        number = row["a_week"] * seconds / _WEEK
        if number > _MOST_IMAGES:
            longest = _MOST_IMAGES * _WEEK / row["a_week"]
            raise ValueError(
                f"cannot advance by {format_duration(seconds)}: that would make"
                f" {number:.0f} scheduled images, more than the maximum of"
                f" {_MOST_IMAGES}; advance by at most {format_duration(longest)}"
            )

    def inject(self, faults: Iterable[Fault]) -> None:
        """Inject faults from now on, also into snapshots that are under way."""
        self.faults.add(faults)
        with self.transaction():
            for region in self._regions.values():
                region.snapshots.apply_faults()

    def clear_faults(self) -> None:
        """Remove all faults; frozen snapshots continue."""
        self.faults.clear()
        with self.transaction():
            for region in self._regions.values():
                region.snapshots.clear_faults()

    def task_states(self) -> set[str]:
        """Return the present task states of servers in all regions."""
        with self.transaction():
            regions = self._regions.values()
            return {s for each in regions for s in each.snapshots.task_states()}

    def _keep_time(self) -> None:
        self.store.note("clock shown", self.clock.now())
        self.store.note("clock since", self.clock.wall())
