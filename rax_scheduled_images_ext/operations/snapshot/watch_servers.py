"""Watches the snapshots of servers to their end, and then checks the images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import with_server
from rax_scheduled_images_ext.client.snapshots import ServerStates, Snapshots
from rax_scheduled_images_ext.errors import (
    ImageLost,
    ServerDisappeared,
    TimeLimitReached,
)
from rax_scheduled_images_ext.model.task_states import (
    COPIED,
    ServerState,
    SnapshotProgress,
)
from rax_scheduled_images_ext.operations.snapshot.image_tracker import ImageTracker
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
    is_unauthorized,
)
from rax_scheduled_images_ext.operations.snapshot.watch import (
    End,
    Wanted,
    Watch,
    watch,
)
from rax_scheduled_images_ext.operations.work_queue import run

# Seconds between two polls of images whose snapshots are all over.
_SETTLING_INTERVAL = 1.5
# Seconds that a single request may take: nothing depends on a watch.
_ANSWER = 30.0


class WatchListener(Listener):
    """Receives the progress of snapshots; this one ignores it.

    A failure comes with the server as the user named it.
    """

    def seen(self, watch: Watch) -> None:
        """Note the state of a server; called at every poll."""

    def phases(self, watch: Watch) -> None:
        """Note how long each phase took, of a snapshot that is no longer watched."""

    def failed(self, server: str, error: Exception) -> None:
        """Note why a server cannot be watched, or why its snapshot is not done."""


def watch_servers(
    cloud: Cloud, servers: Sequence[str], wanted: Wanted, listener: WatchListener
) -> None:
    """Watch the snapshots of servers until they are over.

    :param servers: names or IDs.
    :raises ApiError: with status 401, if the user's token is no longer valid.
    """
    snapshots = Snapshots(cloud.compute)

    def find(server: str) -> ServerState:
        return with_server(cloud.compute, server, snapshots.server)

    states: dict[str, ServerState] = {}
    labels: dict[str, str] = {}
    for found in run(servers, find, workers=1):
        if found.value is not None:
            states[found.value.id] = found.value
            labels.setdefault(found.value.id, found.item)
        elif found.error is not None:
            if is_unauthorized(found.error):
                raise found.error
            listener.failed(found.item, found.error)
    if states:
        safe_from = snapshots.safe_from() if wanted.copied else COPIED
        watches = [Watch(each, SnapshotProgress(safe_from)) for each in states.values()]
        _Watcher(cloud, snapshots, wanted, listener, labels).run(watches)


class _Watcher:
    """Watches servers, and passes on what is seen."""

    def __init__(
        self,
        cloud: Cloud,
        snapshots: Snapshots,
        wanted: Wanted,
        listener: WatchListener,
        labels: Mapping[str, str],
    ) -> None:
        self._snapshots = snapshots
        self._wanted = wanted
        self._listener = listener
        self._labels = labels
        self._poller = Poller(limits=Timeouts(answer=_ANSWER), listener=listener)
        self._images = ImageTracker(cloud.images, self._poller)

    def run(self, watches: Sequence[Watch]) -> None:
        """Watch to the end."""
        limit = self._wanted.time_limit
        end = None if limit is None else self._poller.clock() + limit
        names = {each.state.id: each.state.name for each in watches}
        servers = ServerStates(self._snapshots, names)
        for seen in watch(servers, watches, self._wanted, self._poller):
            for each in seen:
                self._seen(each, end)
            self._images.note(seen)
            self._look()
        for each in watches:
            if each.end is None:
                self._phases(each)
                self._failed(each.state, self._late(each))
        while self._images.open:
            time.sleep(min(_SETTLING_INTERVAL, self._wanted.interval))
            self._look()

    def _look(self) -> None:
        """Report the images of the snapshots that are over."""
        for server, error in self._images.look():
            self._failed(server, error)

    def _seen(self, each: Watch, end: float | None) -> None:
        if each.end is not End.GONE:
            self._listener.seen(each)
        if each.end:
            self._phases(each)
            self._ended(each, end)

    def _ended(self, each: Watch, end: float | None) -> None:
        """Report why a server is no longer watched."""
        name = each.state.name
        if each.end is End.GONE:
            self._failed(each.state, ServerDisappeared(each.state.id, name))
        elif each.end is End.NONE:
            self._listener.note(f"No snapshot of server {name} is under way.")
        elif each.end is End.NOT_STARTED:
            start = f"{self._wanted.wait_start:g} s"
            text = f"No snapshot of server {name} has started within {start}"
            self._failed(each.state, TimeLimitReached(text))
        elif each.progress.over:
            reason = None
            with suppress(TimeoutError):
                ask = partial(self._snapshots.failure, each.state.id)
                reason = self._poller.call(ask)
            if reason:
                text = f"The snapshot of server {name} has failed ({reason})"
                self._failed(each.state, ImageLost(text))
            else:
                self._images.over(each.state, end)

    def _phases(self, each: Watch) -> None:
        if each.progress.phases:
            self._listener.phases(each)

    def _failed(self, server: ServerState, error: Exception) -> None:
        self._listener.failed(self._labels[server.id], error)

    def _late(self, each: Watch) -> TimeLimitReached:
        return TimeLimitReached(
            f"The snapshot of server {each.state.name} was not over after"
            f" {self._wanted.time_limit:g} s; last seen:"
            f" {each.state.task_state or 'none'}"
        )
