"""Workers and beats as processes, which are killed and come back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("scheduled-images-service")


@dataclass
class Cluster:
    """So many workers and beats; a context that ends them.

    :param environ: with the cloud and the broker.
    :param options: of all of them.
    :param children: processes of each worker.
    :param program: what runs one of them.
    """

    folder: Path
    environ: Mapping[str, str]
    options: tuple[str, ...] = ()
    workers: int = 1
    beats: int = 1
    children: int = 2
    program: tuple[str, ...] = (str(PROGRAM),)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of all processes."""
        workers = [f"worker{number}" for number in range(self.workers)]
        return workers + [f"beat{number}" for number in range(self.beats)]

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start what is not running."""
        for name in self.names:
            if not self.runs(name):
                self._start(name)

    def runs(self, name: str) -> bool:
        """Whether a process runs."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def kill(self, name: str) -> None:
        """Kill a process, with no chance to do anything more."""
        self.end(name, signal.SIGKILL)

    def end(self, name: str, signum: int = signal.SIGTERM) -> None:
        """End a process by a signal, and wait for that."""
        process = self._processes[name]
        process.send_signal(signum)
        process.wait(60)

    def kill_child(self, name: str, chance: random.Random) -> bool:
        """Kill one of the processes in which a worker does its tasks, if it has any."""
        children = _children(self._processes[name].pid)
        if not children:
            return False
        try:
            os.kill(chance.choice(children), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def stop(self) -> None:
        """End them all, by force those that do not end."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def log(self, name: str) -> str:
        """What a process has written so far."""
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> str:
        """What all have written so far."""
        return "".join(map(self.log, self.names))

    def _start(self, name: str) -> None:
        kind = name.rstrip("0123456789")
        argv = [*self.program, kind, *self.options, "--"]
        if kind == "worker":
            argv += ["--concurrency", str(self.children), "-n", f"{name}@%h"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                argv,
                env=dict(self.environ),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        children = [int(word) for word in path.read_text().split()]
        # Python starts one of its own, which keeps track of semaphores.
        return [each for each in children if not _is_tracker(each)]
    except OSError:
        return []


def _is_tracker(pid: int) -> bool:
    return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
