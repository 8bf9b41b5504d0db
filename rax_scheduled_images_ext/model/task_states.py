"""The task states of a server during a snapshot, and how to follow them.

Nothing here uses a network or a clock.

The meanings are those of Rackspace's documents: a server's disk is safe as soon as
``image_snapshot`` is over. Clouds on libvirt copy the disk during
``image_pending_upload``, so there a disk counts as copied from ``image_uploading`` on
(see :class:`SnapshotProgress`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeVar

Seen = TypeVar("Seen")


PENDING = "image_snapshot_pending"
COPYING = "image_snapshot"
BACKUP = "image_backup"
COPIED = "image_pending_upload"
UPLOADING = "image_uploading"
#: The states in which a disk may count as copied.
SAFE_STATES = (COPIED, UPLOADING)


class Disk(Enum):
    """What a snapshot is doing to the disk of a server."""

    UNTOUCHED = "untouched"
    COPYING = "being copied"
    SAFE = "safe"
    UNKNOWN = "not known to be safe"


@dataclass(frozen=True)
class TaskState:
    """What a task state means.

    ``snapshot`` is whether it is a step of a snapshot, ``accepts`` whether another
    image-create is accepted; in all other states it is refused with 409.
    """

    name: str
    disk: Disk
    meaning: str
    snapshot: bool = True
    accepts: bool = False


#: The known states, in the order in which a snapshot passes through them.
STATES = {
    state.name: state
    for state in (
        TaskState(
            "none", Disk.UNTOUCHED, "no snapshot is under way", False, accepts=True
        ),
        TaskState(PENDING, Disk.UNTOUCHED, "the snapshot is queued on the host"),
        TaskState(COPYING, Disk.COPYING, "the disk is being copied"),
        TaskState(BACKUP, Disk.COPYING, "as image_snapshot, started by nova backup"),
        TaskState(COPIED, Disk.SAFE, "the copy waits to be uploaded"),
        TaskState(UPLOADING, Disk.SAFE, "the copy is being uploaded"),
    )
}


def task_state(word: str | None) -> TaskState:
    """Return the meaning of a server's task state; None is the state ``none``."""
    unknown = "something other than a snapshot, or a state that is not known"
    return STATES.get(word or "none") or TaskState(
        str(word), Disk.UNKNOWN, unknown, snapshot=False
    )


@dataclass(frozen=True)
class ServerState:
    """A server as it was seen at one moment: ``seen``, by the cloud's clock.

    ``boots_from_volume`` is whether its root disk is a volume.
    """

    id: str
    name: str
    status: str
    vm_state: str
    task_state: str | None
    power_state: int | None
    seen: datetime | None = field(default=None, compare=False)
    boots_from_volume: bool = False

    def __str__(self) -> str:
        return (
            f"status: {self.status}   vm_state: {self.vm_state}   task_state:"
            f" {self.task_state or 'none'}   power_state: {self.power_state}"
        )


@dataclass
class Phase:
    """A task state and when it was seen: from ``started`` to ``ended``, in seconds."""

    task_state: str
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it lasted, as far as was seen."""
        return self.ended - self.started


@dataclass
class SnapshotProgress:
    """The progress of the snapshot of one server, as far as was seen.

    :param safe_from: the state from which the disk counts as copied.
        ``image_pending_upload`` is the documented one. ``image_uploading`` must be seen
        twice in a row: libvirt shows it for an instant before it starts to copy.
    """

    safe_from: str = COPIED
    phases: list[Phase] = field(default_factory=list)
    #: Whether a snapshot in progress has been seen.
    started: bool = False
    #: Whether it was seen and has ended, successfully or not: the disk is not in use.
    over: bool = False
    #: Whether the disk has been copied, or at least is no longer being copied.
    copied: bool = False
    _last: str | None = None

    def see(self, time: float, word: str | None) -> None:
        """Record the task state seen at ``time`` (in seconds)."""
        state = task_state(word)
        if self.over:
            return
        if self.phases:
            self.phases[-1].ended = time
        self.started = self.started or state.snapshot
        self.over = self.started and state.accepts
        if self.started and not self.over and state.name != self._last:
            self.phases.append(Phase(state.name, time, time))
        self.copied = self.over or self._safe(state)
        self._last = state.name

    def _safe(self, state: TaskState) -> bool:
        if state.disk is not Disk.SAFE:
            return False
        if self.safe_from == COPIED:
            return True
        return state.name == UPLOADING and self._last == UPLOADING
