"""Prints the snapshots that are watched."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.terminal import clock_time, put, say
from rax_scheduled_images_ext.operations.snapshot.watch import Watch
from rax_scheduled_images_ext.operations.snapshot.watch_servers import WatchListener

# Exit statuses from the least to the most serious.
_ORDER = (0, 1, 6, 4, 5)


class WatchReport(WatchListener):
    """Prints each poll on stdout, and errors on stderr.

    ``status`` is the exit status.

    :param servers: the number of servers watched.
    :param changes_only: print a poll only if it differs from the one before.
    :param as_json: print one object per line, not text.
    """

    def __init__(
        self, console: Console, servers: int, *, changes_only: bool, as_json: bool
    ) -> None:
        self.status = 0
        self._console = console
        self._servers = servers
        self._changes_only = changes_only
        self._as_json = as_json

    def note(self, text: str) -> None:
        say(text)

    def seen(self, watch: Watch) -> None:
        if watch.changed or not self._changes_only:
            self._put(watch, phases=False)

    def phases(self, watch: Watch) -> None:
        self._put(watch, phases=True)

    def failed(self, server: str, error: Exception) -> None:
        self._console.failure(server, error, self._servers)
        status = getattr(error, "exit_status", 1)
        found = status if status in _ORDER else 1
        self.status = max(self.status, found, key=_ORDER.index)

    def _put(self, watch: Watch, *, phases: bool) -> None:
        if self._as_json:
            put(_json(watch, phases), as_json=True)
        else:
            put(_text(watch, phases, named=self._servers > 1))


def _text(watch: Watch, phases: bool, *, named: bool) -> str:
    """Return a line for people, with or without the server's name."""
    name = f"{watch.state.name}   " if named else ""
    if not phases:
        return f"{name}{clock_time()}   {watch.state}"
    took = (f"{p.task_state} {p.seconds:.0f} s" for p in watch.progress.phases)
    return f"{name}{', '.join(took)}"


def _json(watch: Watch, phases: bool) -> str:
    """Return a line for programs."""
    fields = asdict(watch.state)
    # The line has a clock of its own, and tells only what may change.
    del fields["seen"], fields["boots_from_volume"]
    if phases:
        took = [
            {"task_state": p.task_state, "seconds": round(p.seconds, 3)}
            for p in watch.progress.phases
        ]
        fields = {"id": watch.state.id, "name": watch.state.name, "phases": took}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"time": now, **fields}, ensure_ascii=False)
