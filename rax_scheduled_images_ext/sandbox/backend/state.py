"""What all parts of the sandbox's cloud share: store, time, randomness."""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass
from itertools import accumulate

from rax_scheduled_images_ext.model.task_states import (
    BACKUP,
    COPIED,
    COPYING,
    PENDING,
    UPLOADING,
)
from rax_scheduled_images_ext.sandbox.backend.store import Store
from rax_scheduled_images_ext.sandbox.faults.grammar import Faults


@dataclass(frozen=True)
class Timings:
    """The durations of the phases of a snapshot, in virtual seconds."""

    queue: float = 2
    copy: float = 40
    pending: float = 3
    upload: float = 75
    # The image is ACTIVE a moment before the server's task state is cleared.
    release: float = 1

    @property
    def phases(self) -> tuple[tuple[str, float], ...]:
        """The task states until the image is ACTIVE, with their lengths in seconds."""
        return (
            (PENDING, self.queue),
            (COPYING, self.copy),
            (COPIED, self.pending),
            (UPLOADING, self.upload),
        )

    @property
    def until_copied(self) -> float:
        """Seconds from the request to the moment whose state the image contains."""
        return self.queue + self.copy

    @property
    def until_upload(self) -> float:
        """Seconds from the request to the upload of the copy."""
        return self.until_active - self.upload

    @property
    def until_active(self) -> float:
        """Seconds from the request to an ACTIVE image."""
        return sum(seconds for _, seconds in self.phases)

    @property
    def until_released(self) -> float:
        """Seconds from the request to a server without a task state."""
        return self.until_active + self.release

    def task_state(self, elapsed: float, backup: bool) -> str:
        """Return the task state this many seconds after the request."""
        moments = accumulate(seconds for _, seconds in self.phases)
        phases = zip(self.phases, moments, strict=True)
        left = (state for (state, _), end in phases if elapsed < end)
        state = next(left, UPLOADING)
        return BACKUP if backup and state in (PENDING, COPYING) else state

    def span(self, task_state: str) -> tuple[float, float]:
        """Return when a task state begins and ends, in seconds from the request.

        Of one that comes twice it is the second time, which is longer.
        """
        spans = {}
        begin = 0.0
        for state, seconds in self.phases:
            spans[state] = begin, begin + seconds
            begin += seconds
        return spans[task_state]


@dataclass(frozen=True)
class LibvirtTimings(Timings):
    """Snapshots as a real Nova with libvirt and QEMU makes them.

    It passes ``image_snapshot``, ``image_pending_upload`` and ``image_uploading`` in an
    instant each, and only then copies the disk, in a second ``image_pending_upload``.
    """

    instant: float = 0.2

    @property
    def phases(self) -> tuple[tuple[str, float], ...]:
        """The task states until the image is ACTIVE, with their lengths in seconds."""
        return (
            (PENDING, self.queue),
            (COPYING, self.instant),
            (COPIED, self.instant),
            (UPLOADING, self.instant),
            (COPIED, self.copy),
            (UPLOADING, self.upload),
        )

    @property
    def until_copied(self) -> float:
        """Seconds from the request to the moment whose state the image contains."""
        return self.until_upload


#: How hosts make snapshots: as Rackspace documents it for its own, or as libvirt does.
HYPERVISORS = {"xen": Timings, "libvirt": LibvirtTimings}


class CloudState:
    """What regions share; used only inside a transaction.

    ``now`` is the virtual time of the present event, ``request_id`` the ID of its
    request, None for what the cloud does by itself.

    :param seed: determines IDs and times of day.
    """

    def __init__(self, store: Store, *, seed: int, timings: Timings) -> None:
        self.store = store
        self.timings = timings
        self.faults = Faults()
        self.image_quota: int | None = None
        self.server_quota: int | None = None
        #: The region whose image service all regions use, None for one in each.
        self.images_of: str | None = None
        self.now = 0.0
        self.request_id: str | None = None
        self._seed = seed

    def new_id(self) -> str:
        """Return the next ID: a random-looking UUID that the seed determines."""
        (new,) = self.new_ids(1)
        return new

    def new_ids(self, number: int) -> list[str]:
        """Return that many next IDs."""
        last = self.store.noted("serial") or 0
        self.store.note("serial", last + number)
        serials = range(last + 1, last + number + 1)
        digests = (self._digest(f"id {serial}") for serial in serials)
        return [str(uuid.UUID(bytes=each[:16], version=4)) for each in digests]

    def named_id(self, *what: object) -> str:
        """Return the ID of a thing by its name, independently of the next IDs."""
        return str(uuid.UUID(bytes=self._digest(repr(what))[:16], version=4))

    def chance(self, *what: object) -> random.Random:
        """Return a random generator that the seed and ``what`` determine."""
        return random.Random(self._digest(repr(what)))

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._seed} {text}".encode()).digest()
