"""Watching the snapshots of servers, and what is printed of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import with_server
from rax_scheduled_images_ext.client.snapshots import ServerStates, Snapshots
from rax_scheduled_images_ext.console.report import ErrorLine, attempt
from rax_scheduled_images_ext.console.terminal import clock_time, put, say
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
)
from rax_scheduled_images_ext.operations.snapshot.watch import (
    End,
    Wanted,
    Watch,
    watch,
)

# Seconds between two polls of images whose snapshots are all over.
_SETTLING_INTERVAL = 1.5
# Seconds that a single request may take: nothing waits for a watch.
_ANSWER = 30.0


def watch_servers(cloud: Cloud, args: Any, error_line: ErrorLine) -> int:
    """Watch the snapshots of servers until they are over; return the exit status.

    :param args: what :data:`.cli.arguments.WATCH` declares, ``time_limit``, ``format``
        and ``server``, a list.
    :param error_line: returns the line about an error.
    """
    snapshots = Snapshots(cloud.compute)
    states: dict[str, ServerState] = {}

    def find(server: str) -> None:
        state = with_server(cloud.compute, server, snapshots.server)
        states[state.id] = state

    # Otherwise all that a server has in the way of trouble has a status of its own.
    done = attempt(args.server, find, lambda _, error: error_line(error))
    status = 0 if done else 1
    if states:
        copied = args.until == "disk-copied"
        safe_from = snapshots.safe_from() if copied else COPIED
        wanted = Wanted(copied, args.wait_start, args.interval, args.time_limit)
        watches = [
            Watch(state, SnapshotProgress(safe_from)) for state in states.values()
        ]
        names = {state.id: state.name for state in states.values()}
        show = _json if args.format == "json" else _text(len(args.server) > 1)
        poller = Poller(limits=Timeouts(answer=_ANSWER), listener=_Listener())
        images = ImageTracker(cloud.images, poller)
        watcher = _Watcher(
            snapshots, images, wanted, poller, show, error_line, args.changes_only
        )
        watcher.run(ServerStates(snapshots, names), watches)
        status = watcher.status or status
    return status


class _Listener(Listener):
    """Prints on stderr what happens."""

    def note(self, text: str) -> None:
        say(text)


class _Watcher:
    """Prints each poll of the servers, and keeps the worst exit status."""

    def __init__(
        self,
        snapshots: Snapshots,
        images: ImageTracker,
        wanted: Wanted,
        poller: Poller,
        show: Callable[[Watch, bool], str],
        error_line: ErrorLine,
        changes_only: bool,
    ) -> None:
        self._snapshots = snapshots
        self._images = images
        self._wanted = wanted
        self._show = show
        self._error_line = error_line
        self._changes_only = changes_only
        self._poller = poller
        self.status = 0

    def run(self, servers: ServerStates, watches: list[Watch]) -> None:
        """Watch to the end."""
        limit = self._wanted.limit
        end = None if limit is None else self._poller.clock() + limit
        for seen in watch(servers, watches, self._wanted, self._poller):
            for each in seen:
                self._seen(each, end)
            self._images.note(seen)
            self._look()
        for each in watches:
            if each.end is None:
                self._print_phases(each)
                self._trouble(self._late(each))
        while self._images.open:
            time.sleep(min(_SETTLING_INTERVAL, self._wanted.interval))
            self._look()

    def _look(self) -> None:
        """Report what became of the images of the snapshots that are over."""
        for trouble in self._images.look():
            self._trouble(trouble)

    def _seen(self, each: Watch, end: float | None) -> None:
        """Print the state of a server."""
        if each.end is not End.GONE and (each.changed or not self._changes_only):
            self._put(each, phases=False)
        if each.end:
            self._ended(each, end)

    def _ended(self, each: Watch, end: float | None) -> None:
        """Report why a server is no longer watched."""
        name = each.state.name
        self._print_phases(each)
        if each.end is End.GONE:
            self._trouble(ServerDisappeared(each.state.id, name))
        elif each.end is End.NONE:
            say(f"No snapshot of server {name} is under way.")
        elif each.end is End.NOT_BEGUN:
            text = f"No snapshot of server {name} has begun in {self._wanted.start:g} s"
            self._trouble(TimeLimitReached(text))
        elif each.progress.over:
            reason = None
            with suppress(TimeoutError):
                ask = partial(self._snapshots.failure, each.state.id)
                reason = self._poller.call(ask)
            if reason:
                text = f"The snapshot of server {name} has failed ({reason})"
                self._trouble(ImageLost(text))
            else:
                self._images.over(each.state, end)

    def _print_phases(self, each: Watch) -> None:
        """Print how long each phase took."""
        if each.progress.phases:
            self._put(each, phases=True)

    def _put(self, each: Watch, *, phases: bool) -> None:
        put(self._show(each, phases), as_json=self._show is _json)

    def _late(self, each: Watch) -> TimeLimitReached:
        return TimeLimitReached(
            f"The snapshot of server {each.state.name} was not over after"
            f" {self._wanted.limit:g} s; last seen: {each.state.task_state or 'none'}"
        )

    def _trouble(self, error: ImageLost | ServerDisappeared | TimeLimitReached) -> None:
        say(self._error_line(error))
        order = (0, 6, 4, 5)
        self.status = max(self.status, error.exit_status, key=order.index)


def _text(named: bool) -> Callable[[Watch, bool], str]:
    """Return how a line is written for people, with the server's name or not."""

    def show(each: Watch, phases: bool) -> str:
        name = f"{each.state.name}   " if named else ""
        if not phases:
            return f"{name}{clock_time()}   {each.state}"
        took = (f"{p.task_state} {p.seconds:.0f} s" for p in each.progress.phases)
        return f"{name}{', '.join(took)}"

    return show


def _json(each: Watch, phases: bool) -> str:
    """Return a line for programs."""
    fields = asdict(each.state)
    if phases:
        took = [
            {"task_state": p.task_state, "seconds": round(p.seconds, 3)}
            for p in each.progress.phases
        ]
        fields = {"id": each.state.id, "name": each.state.name, "phases": took}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"time": now, **fields}, ensure_ascii=False)
