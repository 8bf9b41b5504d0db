"""Watching the snapshots of several servers at once."""

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

    #: What was waited for has come: the snapshot is over, or the disk copied.
    DONE = "done"
    #: No snapshot is under way.
    NONE = "none"
    #: None has begun in the time that was given.
    NOT_BEGUN = "not begun"
    #: The server is gone.
    GONE = "gone"


@dataclass
class Watch:
    """One server that is watched: as it was seen last, and how far it has come."""

    state: ServerState
    progress: SnapshotProgress
    end: End | None = None
    #: Whether anything differs from what was seen before.
    changed: bool = True
    #: Whether it has not been seen since it was handed in.
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
    """What a watch is for.

    ``until`` ends it when the disk is copied, or when the whole snapshot is done.
    ``wait_start`` is how many seconds a snapshot may take to begin, None if it must be
    under way at once; ``time_limit`` how many the watch may take in all.
    """

    until: str = "done"
    wait_start: float | None = None
    interval: float = 5.0
    time_limit: float | None = None

    @property
    def copied(self) -> bool:
        """Whether it ends as soon as the disk is copied."""
        return self.until == DISK_COPIED

    def end(self, watch: Watch, elapsed: float) -> End | None:
        """Return whether, and why, a server need not be watched any longer."""
        progress = watch.progress
        if watch.end:
            return watch.end
        if progress.over or (self.copied and progress.copied):
            return End.DONE
        start = self.wait_start
        if progress.begun or (start is not None and elapsed < start):
            return None
        return End.NONE if start is None else End.NOT_BEGUN


def watch(
    servers: ServerStates,
    watches: Iterable[Watch],
    wanted: Wanted,
    poller: Poller,
) -> Iterator[list[Watch]]:
    """Yield the servers that are left after each poll.

    The state that they are passed with counts as the first poll. Those that
    have no ``end`` when the iteration is over were left at the time limit.

    :param poller: sends the requests, and notes errors that end nothing.
    """
    left = {each.state.id: each for each in watches}
    begun = poller.clock()

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
            each.end = wanted.end(each, now - begun)
        seen = [left[server_id] for server_id in states]
        left = {each.state.id: each for each in seen if not each.end}
        yield seen
        if not left:
            return
