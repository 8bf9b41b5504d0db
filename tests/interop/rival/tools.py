"""The tools that are compared: how each makes a backup of a server and restores it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.times import read_time, write_time
from rax_scheduled_images_ext.sandbox.environment import client_environment

from ... import rehearsed
from ...hypervisor.guests import Guest, Lab, until
from ..cloud.install import find_python
from ..cloud.layout import CloudError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
#: As large a file can become where a disk is full.
DISK = 8 << 20

# When later ticks come: soon, when the next attempt may be made, and when the image
# of that is complete.
_LATER = tuple(timedelta(minutes=minutes) for minutes in (10, 75, 80))


@dataclass(frozen=True)
class Step:
    """A command that has ended.

    :param status: its exit status; negative for the signal that has killed it.
    :param said: the last line of its errors.
    """

    status: int
    said: str
    seconds: float


class Tool(ABC):
    """A tool that backs up one server, which has one complete backup."""

    name: str
    #: Whether all that is in a backup passes through it.
    moves_data: bool

    def __init__(self, lab: Lab, guest: Guest, env: Mapping[str, str], folder: Path):
        """Know the server.

        :param env: the variables with which the tool reaches the cloud.
        :param folder: where it runs, and may keep files.
        """
        self.lab, self.guest, self.env, self.folder = lab, guest, env, folder
        self.server_name = str(guest.server.name)
        #: When the last backup was complete, by the monotonic clock.
        self.complete_at = 0.0

    @abstractmethod
    def backup(
        self, full: bool = False, killed: threading.Event | None = None
    ) -> list[Step]:
        """Make a backup, as if it were due.

        :param full: whether the disk that the tool writes to is full.
        :param killed: when its process is killed.
        """

    @abstractmethod
    def again(self, number: int) -> Step:
        """Let a later run come, after one that may have failed.

        :param number: which one after that, from 0.
        """

    @abstractmethod
    def restore(self, killed: threading.Event | None = None) -> Step:
        """Make a new server from the newest backup."""

    @abstractmethod
    def backups(self) -> list[str]:
        """Return which complete backups there are, oldest first."""

    @abstractmethod
    def restored(self) -> list[Guest]:
        """Return the servers that it has made."""

    @abstractmethod
    def source(self, guest: Guest) -> str:
        """Return the backup from which a server was made."""

    @abstractmethod
    def clean(self) -> None:
        """Remove what is of no use, and all backups but the newest."""

    @abstractmethod
    def stored(self) -> int:
        """Return the bytes of all backups outside the cloud's image service."""

    def wait_until_idle(self) -> None:
        """Wait until Nova has done with the server."""
        until(lambda: self.guest.server.task_state is None)

    def _run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        killed: threading.Event | None = None,
    ) -> Step:
        began = time.monotonic()
        process = subprocess.Popen(
            argv,
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if killed is not None:
            while not killed.wait(0.1) and process.poll() is None:
                pass
            if killed.is_set():
                os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        lines = [line for line in errors.splitlines() if line.strip()]
        said = lines[-1].strip() if lines else ""
        return Step(process.returncode, said, time.monotonic() - began)


class Freezer(Tool):
    """Freezer's agent, which keeps backups in a folder of this machine."""

    name = "Freezer"
    moves_data = True

    def backup(
        self, full: bool = False, killed: threading.Event | None = None
    ) -> list[Step]:
        limit = ["prlimit", f"--fsize={DISK}"] if full else []
        step = self._agent("backup", killed, limit)
        self.complete_at = time.monotonic()
        return [step]

    def again(self, number: int) -> Step:
        (step,) = self.backup()
        return step

    def restore(self, killed: threading.Event | None = None) -> Step:
        # Backups are told apart by the second.
        time.sleep(1)
        return self._agent("restore", killed)

    def backups(self) -> list[str]:
        return [path.name for path in self._folders() if _is_complete(path)]

    def restored(self) -> list[Guest]:
        found = self.lab.cloud.compute.servers()
        prefix = f"{self.server_name}~"
        return [Guest(self.lab.cloud, s.id) for s in found if s.name.startswith(prefix)]

    def source(self, guest: Guest) -> str:
        return str(guest.server.name).rpartition("~")[2]

    def clean(self) -> None:
        complete = self.backups()
        for path in self._folders():
            if path.name not in complete[-1:]:
                shutil.rmtree(path)

    def stored(self) -> int:
        return sum(p.stat().st_size for p in self._store.rglob("*") if p.is_file())

    @property
    def _store(self) -> Path:
        return self.folder / "store"

    def _folders(self) -> list[Path]:
        return sorted(self._store.glob(f"data/nova/*/{self.guest.id}/*"))

    def _agent(
        self,
        action: str,
        killed: threading.Event | None = None,
        before: Sequence[str] = (),
    ) -> Step:
        argv = [
            *before,
            str(self.folder / "venv/bin/freezer-agent"),
            *("--action", action, "--mode", "nova", "--engine", "nova"),
            *("--storage", "local", "--container", str(self._store)),
            *("--hostname", "rival", "--backup-name", "backup"),
            *("--nova-inst-id", self.guest.id),
            *("--log-file", str(self.folder / "agent.log")),
        ]
        env = {**client_environment(self.env), "HOME": str(self.folder)}
        # Its own environment, not that of this package.
        env.pop("PYTHONPATH", None)
        return self._run(argv, {**env, "PYTHONWARNINGS": "ignore"}, killed)


def install_freezer(folder: Path) -> str:
    """Install it into an environment of its own if it is not there; its version."""
    venv = folder / "venv"
    pip = (str(venv / "bin/python"), "-m", "pip", "--quiet", "install", "--no-deps")
    if not (venv / "bin/freezer-agent").exists():
        python = find_python()
        if python is None:
            raise CloudError("Freezer takes a Python 3.11 that can make environments")
        subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
    pinned = REQUIREMENTS.read_text().splitlines()
    return next(p.partition("==")[2] for p in pinned if p.startswith("freezer=="))


def _is_complete(folder: Path) -> bool:
    """Whether a backup of Freezer has all its data and its descriptions."""
    try:
        (described,) = folder.glob("*/engine_metadata")
        length = int(json.loads(described.read_text())["length"])
        path = Path(str(folder).replace("/store/data/", "/store/metadata/"))
        return (
            any(path.glob("*/metadata"))
            and described.with_name("data").stat().st_size == length
        )
    except (OSError, ValueError):
        return False


class Service(Tool):
    """This package: ``tick``, by a clock of its own, and ``scheduled-images-restore``.

    A backup takes two ticks, as from cron: one that requests the image, and one after
    it is complete that applies the retention, which is one image here.
    """

    name = "this package"
    moves_data = False

    def __init__(self, lab: Lab, guest: Guest, env: Mapping[str, str], folder: Path):
        super().__init__(lab, guest, env, folder)
        lab.tag(guest, MARKER_TAG, schedule_tag(ImageSchedule(1)))
        self._at = self._plan()["next_due"]

    def backup(
        self, full: bool = False, killed: threading.Event | None = None
    ) -> list[Step]:
        assert not full
        steps = [self._tick(timedelta(), killed)]
        self.wait_until_idle()
        self.complete_at = time.monotonic()
        if killed is None:
            steps.append(self._tick(timedelta(minutes=5)))
        return steps

    def again(self, number: int) -> Step:
        step = self._tick(_LATER[number])
        self.wait_until_idle()
        return step

    def pass_day(self) -> None:
        """Let the next slot be due."""
        self._at = self._later(timedelta(days=1))

    def restore(self, killed: threading.Event | None = None) -> Step:
        back = ("--as", f"{self.server_name}-back", "--yes", "--wait")
        command = ("nova", "scheduled-images-restore", self.guest.id, *back)
        return self._run(command, client_environment(self.env), killed)

    def backups(self) -> list[str]:
        found = self.lab.images(self.guest)
        return [i.id for i in reversed(found) if i.status == "active"]

    def restored(self) -> list[Guest]:
        named = self.lab.named(f"{self.server_name}-back")
        return [Guest(self.lab.cloud, server.id) for server in named]

    def source(self, guest: Guest) -> str:
        return str(guest.server.image.id)

    def clean(self) -> None:
        for image in self.backups()[:-1]:
            self.lab.cloud.image.delete_image(image)
        self.pass_day()

    def stored(self) -> int:
        return 0

    def _tick(self, later: timedelta, killed: threading.Event | None = None) -> Step:
        argv = (*rehearsed.PROGRAM, "--at", self._later(later), "tick")
        return self._run(argv, client_environment(self.env), killed)

    def _later(self, time: timedelta) -> str:
        at = read_time(self._at)
        assert isinstance(at, datetime)
        return str(write_time(at + time))

    def _plan(self) -> dict[str, str]:
        command = ("scheduled-images-service", "plan", "--all", "--format", "json")
        done = subprocess.run(
            command,
            env=client_environment(self.env),
            check=True,
            capture_output=True,
            text=True,
        )
        rows = json.loads(done.stdout)
        (row,) = (row for row in rows if row["id"] == self.guest.id)
        found: dict[str, str] = row
        return found
