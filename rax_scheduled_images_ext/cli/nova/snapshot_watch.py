"""What ``nova snapshot-watch`` does and prints."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from rax_scheduled_images_ext.cli.nova.cloud import cloud_of
from rax_scheduled_images_ext.cli.nova.commands import (
    attempt,
    error_line,
    on_server,
    say,
)
from rax_scheduled_images_ext.client.errors import (
    ImageLost,
    ServerDisappeared,
    TimeLimitReached,
)
from rax_scheduled_images_ext.client.images.factory import image_store
from rax_scheduled_images_ext.client.snapshots import Snapshots, Watched
from rax_scheduled_images_ext.model.task_states import (
    COPIED,
    Progress,
    ServerState,
)
from rax_scheduled_images_ext.operations.snapshot.image_tracker import ImageTracker
from rax_scheduled_images_ext.operations.snapshot.polling import Poller
from rax_scheduled_images_ext.operations.snapshot.watch import (
    End,
    Wanted,
    Watch,
    watch,
)
from rax_scheduled_images_ext.output.console import put

# Seconds between two looks at images whose snapshots are all over.
_SETTLING_INTERVAL = 1.5


def watch_servers(cs: Any, args: Any) -> None:
    """Watch the snapshots of servers, as the command's arguments say."""
    cloud = cloud_of(cs)
    snapshots = Snapshots(cloud.compute)
    states: dict[str, ServerState] = {}

    def find(server: str) -> None:
        state = on_server(cloud, snapshots.server)(server)
        states[state.id] = state

    # Otherwise all that a server has in the way of trouble has a status of its own.
    status = 0 if attempt(args.server, find) else 1
    if states:
        copied = args.until == "disk-copied"
        safe_from = snapshots.safe_from() if copied else COPIED
        wanted = Wanted(copied, args.wait_start, args.interval, args.time_limit)
        watches = [Watch(state, Progress(safe_from)) for state in states.values()]
        names = {state.id: state.name for state in states.values()}
        show = _json if args.format == "json" else _text(len(args.server) > 1)
        outcomes = ImageTracker(image_store(cloud), Poller(), say)
        watcher = _Watcher(snapshots, outcomes, wanted, show, args.changes_only)
        watcher.run(Watched(snapshots, names), watches)
        status = watcher.status or status
    if status:
        raise SystemExit(status)


class _Watcher:
    """Prints what is seen, and remembers the worst that has happened."""

    def __init__(
        self,
        snapshots: Snapshots,
        outcomes: ImageTracker,
        wanted: Wanted,
        show: Callable[[Watch, bool], str],
        changes_only: bool,
    ) -> None:
        self._snapshots = snapshots
        self._outcomes = outcomes
        self._wanted = wanted
        self._show = show
        self._changes_only = changes_only
        self._last_error = ""
        self.status = 0

    def run(self, watched: Watched, watches: list[Watch]) -> None:
        """Watch to the end."""
        limit = self._wanted.limit
        end = None if limit is None else time.monotonic() + limit
        for seen in watch(
            watched,
            watches,
            self._wanted,
            clock=time.monotonic,
            failed=self._failed,
        ):
            self._last_error = ""
            for each in seen:
                self._seen(each, end)
            self._outcomes.note(seen)
            self._look()
        for each in watches:
            if each.end is None:
                self._told(each)
                self._trouble(self._late(each))
        while self._outcomes.open:
            time.sleep(min(_SETTLING_INTERVAL, self._wanted.interval))
            self._look()

    def _look(self) -> None:
        """Tell what became of the images of the snapshots that are over."""
        for trouble in self._outcomes.look():
            self._trouble(trouble)

    def _seen(self, each: Watch, end: float | None) -> None:
        """Tell how a server is."""
        if each.end is not End.GONE and (each.changed or not self._changes_only):
            self._put(each, phases=False)
        if each.end:
            self._ended(each, end)

    def _ended(self, each: Watch, end: float | None) -> None:
        """Tell why a server is no longer watched."""
        name = each.state.name
        self._told(each)
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
                reason = Poller().call(ask)
            if reason:
                text = f"The snapshot of server {name} has failed ({reason})"
                self._trouble(ImageLost(text))
            else:
                self._outcomes.over(each.state, end)

    def _told(self, each: Watch) -> None:
        """Tell how long each phase took."""
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
        say(error_line(None, error))
        order = (0, 6, 4, 5)
        self.status = max(self.status, error.exit_status, key=order.index)

    def _failed(self, error: Exception) -> None:
        """Tell of an error that ends nothing, once as long as it stays the same."""
        text = " ".join(str(error).split()) or type(error).__name__
        if text != self._last_error:
            say(f"{text}; trying again")
        self._last_error = text


def clock_time() -> str:
    """Return the time of day, as the lines of a watch begin."""
    return time.strftime("%H:%M:%S")


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
