"""Watches the snapshots of several servers at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from rax_scheduled_images_ext.client.snapshots import ServerStates
from rax_scheduled_images_ext.model.task_states import ServerState, SnapshotProgress
from rax_scheduled_images_ext.operations.snapshot.polling import Poller

DISK_COPIED = "disk-copied"


class End(Enum):
    """Why a server is no longer watched."""

    #: The awaited end: the snapshot is over, or the disk is copied.
    DONE = "done"
    #: No snapshot is under way.
    NONE = "none"
    #: No snapshot has started in time.
    NOT_STARTED = "not started"
    #: The server is gone.
    GONE = "gone"


@dataclass
class Watch:
    """A server that is watched: its last known state, and its snapshot's progress."""

    state: ServerState
    progress: SnapshotProgress
    end: End | None = None
    #: Whether the last poll differs from the one before.
    changed: bool = True
    #: Whether it has not been polled yet.
    _first: bool = field(default=True, repr=False)

    def see(self, time: float, state: ServerState | None) -> None:
        """Note the present state of the server; None means that it is gone."""
        if state is None:
            self.end = End.GONE
            return
        self.changed = self._first or state != self.state
        self.state, self._first = state, False
        self.progress.see(time, state.task_state)


@dataclass(frozen=True)
class Wanted:
    """What to watch for.

    ``until`` is whether the watch ends when the disk is copied, or when the snapshot is
    done. ``wait_start`` is how many seconds to wait for a snapshot to start, None if it
    must be under way already; ``time_limit`` is the limit for the complete watch, in
    seconds.
    """

    until: str = "done"
    wait_start: float | None = None
    interval: float = 5.0
    time_limit: float | None = None

    @property
    def copied(self) -> bool:
        """Whether the watch ends as soon as the disk is copied."""
        return self.until == DISK_COPIED

    def end(self, watch: Watch, elapsed: float) -> End | None:
        """Return why a server need not be watched any longer, None if it must."""
        progress = watch.progress
        if watch.end:
            return watch.end
        if progress.over or (self.copied and progress.copied):
            return End.DONE
        start = self.wait_start
        if progress.started or (start is not None and elapsed < start):
            return None
        return End.NONE if start is None else End.NOT_STARTED


def watch(
    servers: ServerStates,
    watches: Iterable[Watch],
    wanted: Wanted,
    poller: Poller,
) -> Iterator[list[Watch]]:
    """Yield the servers that are still watched, after each poll.

    Their initial state counts as the first poll. Servers without an ``end`` after the
    iteration were still being watched at the time limit.

    :param poller: sends the requests, and notes errors after which it continues.
    """
    left = {each.state.id: each for each in watches}
    started = poller.clock()

    def look() -> dict[str, ServerState | None]:
        return servers.read(left)

    def at_first() -> dict[str, ServerState | None]:
        return {server_id: each.state for server_id, each in left.items()}

    looks = iter((at_first,))
    for states in poller.polls(
        lambda: next(looks, look)(), wanted.interval, wanted.time_limit
    ):
        now = poller.clock()
        for server_id, state in states.items():
            each = left[server_id]
            each.see(now, state)
            each.end = wanted.end(each, now - started)
        seen = [left[server_id] for server_id in states]
        left = {each.state.id: each for each in seen if not each.end}
        yield seen
        if not left:
            return
