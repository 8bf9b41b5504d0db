"""The task states of a server while a snapshot of it is taken, and how to watch them.

Nothing here knows of a network or a clock: both are handed in.

The meanings are those of the documents of the clouds with scheduled images: a
server's disk is safe as soon as ``image_snapshot`` is over. Clouds on libvirt copy
the disk while they say ``image_pending_upload``, so for those a snapshot counts as
copied from ``image_uploading`` on (see :class:`SnapshotProgress`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

Seen = TypeVar("Seen")


PENDING = "image_snapshot_pending"
COPYING = "image_snapshot"
BACKUP = "image_backup"
COPIED = "image_pending_upload"
UPLOADING = "image_uploading"
#: The states from which on a disk may count as copied.
SAFE_STATES = (COPIED, UPLOADING)


class Disk(Enum):
    """What a snapshot does to the disk of a server."""

    UNTOUCHED = "untouched"
    COPYING = "being copied"
    SAFE = "safe"
    UNKNOWN = "not known to be safe"


@dataclass(frozen=True)
class TaskState:
    """What a task state means.

    ``snapshot`` is whether it is a step of a snapshot, ``accepts`` whether a
    further image-create is accepted; in all other states it is refused with 409.
    """

    name: str
    disk: Disk
    meaning: str
    snapshot: bool = True
    accepts: bool = False


#: The states that are known, in the order in which a snapshot passes them.
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
    """Return what the task state of a server means; None is the state none."""
    unknown = "something other than a snapshot, or a state that is not known"
    return STATES.get(word or "none") or TaskState(
        str(word), Disk.UNKNOWN, unknown, snapshot=False
    )


@dataclass(frozen=True)
class ServerState:
    """A server as it was seen at one moment."""

    id: str
    name: str
    status: str
    vm_state: str
    task_state: str | None
    power_state: int | None

    def __str__(self) -> str:
        return (
            f"status: {self.status}   vm_state: {self.vm_state}   task_state:"
            f" {self.task_state or 'none'}   power_state: {self.power_state}"
        )


@dataclass
class Phase:
    """A task state and when it was seen: from ``begun`` until ``ended``, in seconds."""

    task_state: str
    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took, as far as could be seen."""
        return self.ended - self.begun


@dataclass
class SnapshotProgress:
    """How far the snapshot of one server has come, as far as was seen.

    :param safe_from: the state from which on the disk counts as copied.
        ``image_pending_upload`` is the documented one. With ``image_uploading``
        that state must be seen twice in a row: libvirt shows it for an instant
        before it begins to copy.
    """

    safe_from: str = COPIED
    phases: list[Phase] = field(default_factory=list)
    #: Whether a snapshot has been seen under way.
    begun: bool = False
    #: Whether it was seen, and has ended: well or not, the disk is not in use.
    over: bool = False
    #: Whether the disk is copied, or at least is no longer being copied.
    copied: bool = False
    _last: str | None = None

    def see(self, time: float, word: str | None) -> None:
        """Note the task state that was seen at ``time`` (in seconds)."""
        state = task_state(word)
        if self.over:
            return
        if self.phases:
            self.phases[-1].ended = time
        self.begun = self.begun or state.snapshot
        self.over = self.begun and state.accepts
        if self.begun and not self.over and state.name != self._last:
            self.phases.append(Phase(state.name, time, time))
        self.copied = self.over or self._safe(state)
        self._last = state.name

    def _safe(self, state: TaskState) -> bool:
        if state.disk is not Disk.SAFE:
            return False
        if self.safe_from == COPIED:
            return True
        return state.name == UPLOADING and self._last == UPLOADING
