"""Starting processes that outlive this one, and stopping those and no others."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .layout import HOST, CloudError, Layout

_EMPTY = re.compile(r"(.* ERROR [\w.]+)?\s*")


def _start_time(pid: int) -> str | None:
    """When the kernel started that process; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


@dataclass(frozen=True)
class Process:
    """One process of the cloud, leader of its own session.

    It is known by pid and start time: a pid that was used again is never touched.
    """

    layout: Layout
    name: str

    @property
    def _note(self) -> Path:
        return self.layout.run / f"{self.name}.json"

    def pid(self) -> int | None:
        """Its pid, if it runs."""
        try:
            noted = json.loads(self._note.read_text())
        except FileNotFoundError:
            return None
        pid = int(noted["pid"])
        return pid if _start_time(pid) == noted["start"] else None

    def was_started(self) -> bool:
        """Whether it was started, and not stopped since; it may have died."""
        return self._note.exists()

    def start(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        with self.layout.log(self.name).open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, "HOME": str(self.layout.var), **environ},
                cwd=self.layout.var,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # It outlives this program; without this Python warns that nobody waits for it.
        process.returncode = 0
        note = {"pid": process.pid, "start": _start_time(process.pid)}
        self._note.write_text(json.dumps(note))

    def signal(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is not None:
            os.killpg(pid, number)

    def forget(self) -> None:
        self._note.unlink(missing_ok=True)


def last_words(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(errors="replace").splitlines()
    # OpenStack's loggers end a traceback with a line of nothing but its prefix.
    said = (line.strip() for line in reversed(lines) if not _EMPTY.fullmatch(line))
    return next(said, "it said nothing")


def wait_until(
    what: str,
    ready: Callable[[], bool],
    seconds: float,
    processes: Iterable[Process] = (),
) -> None:
    """Wait for ``ready``; CloudError when time is over or one of the processes died."""
    watched = tuple(processes)
    deadline = time.monotonic() + seconds
    while not ready():
        for process in watched:
            if process.pid() is None:
                log = process.layout.log(process.name)
                raise CloudError(
                    f"{process.name} died: {last_words(log)} (more in {log})"
                )
        if time.monotonic() > deadline:
            raise CloudError(f"waited {seconds:g} seconds for {what}")
        time.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((HOST, port)) == 0


def stop(processes: Sequence[Process], *, retry_policy: float = 20) -> None:
    """End them all at once, the stubborn ones by force."""
    for process in processes:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + retry_policy
    while time.monotonic() < deadline and any(p.pid() for p in processes):
        time.sleep(0.1)
    for process in processes:
        process.signal(signal.SIGKILL)
        process.forget()
