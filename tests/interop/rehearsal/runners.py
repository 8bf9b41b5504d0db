"""``scheduled-images-service``, once and as processes that are killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.service.cli import KEY
from rax_scheduled_images_ext.service.loop import DONE, LEFT

from ... import rehearsed
from ...serviceshell import Service

# More than the fleet has: limits are another test's.
_LIMITS = ("--limit-region", "1000", "--limit-project", "1000")


def now() -> datetime:
    """Return this machine's time."""
    return datetime.now(timezone.utc)


class Program:
    """The program as one user calls it.

    :param key: what makes claims unforeseeable; with another one the same days can be
        rehearsed again.
    """

    def __init__(self, env: Mapping[str, str], key: str) -> None:
        self._variables = {**env, KEY: key}

    def env(self, user: str = "") -> dict[str, str]:
        """Return the variables of the user, and the key."""
        return dict(self._variables)

    def tick(self, at: datetime) -> None:
        """Do in this process what is due at a time."""
        result = Service(self).tick(str(write_time(at)), *_LIMITS)
        # What is left for later shows in the plan.
        assert result.status in (DONE, LEFT), result

    def settle(self, at: datetime, seconds: float) -> bool:
        """Tick at a time until nothing is left to do; return whether that came."""
        deadline = time.monotonic() + seconds
        while not self._is_settled(at):
            if time.monotonic() > deadline:
                return False
            self.tick(at)
        return True

    def due(self, at: datetime) -> list[datetime]:
        """Return when the images were due that are the latest at a time."""
        return [
            datetime.fromisoformat(row["due"].replace("Z", "+00:00"))
            for row in self._plan(at)
        ]

    def _is_settled(self, at: datetime) -> bool:
        return all(
            row["action"] == "nothing" and "is being made" not in row["reason"]
            for row in self._plan(at)
        )

    def _plan(self, at: datetime) -> list[dict[str, Any]]:
        argv = ("plan", "--all", "--format", "json", "--at", str(write_time(at)))
        # By the real clock, images are named after days that are still to come.
        with rehearsed.by_clock(Clock(at=at)):
            rows: list[dict[str, Any]] = json.loads(Service(self).ok(*argv))
        return rows


class Crew(ABC):
    """Processes side by side on days that pass faster.

    :param folder: where each writes its log, ``*.log``.
    """

    def __init__(
        self,
        number: int,
        program: Program,
        folder: Path,
        since: datetime,
        speed: float,
        chance: random.Random,
    ) -> None:
        self.folder, self.since, self.speed = folder, since, speed
        self.chance = chance
        self.env = client_environment(program.env())
        #: The program, by a fast clock.
        self.program = (
            *rehearsed.PROGRAM,
            *("--since", str(write_time(since)), "--speed", str(speed)),
        )
        # Two tries: the second one comes two minutes later.
        self.options = (*_LIMITS, "--max-delay", "24h")

    def moment(self, rehearsed: datetime) -> datetime:
        """Return when it is a rehearsed time."""
        return self.since + (rehearsed - self.since) / self.speed

    @abstractmethod
    def kill(self) -> str:
        """Kill one of them, and start another one; return which."""

    @abstractmethod
    def end(self) -> float:
        """Tell all to end; return how many seconds the slowest took."""

    @abstractmethod
    def close(self) -> None:
        """End those that are left."""


class Runners(Crew):
    """Runners, each of which does everything."""

    def __init__(self, number: int, *args: Any) -> None:
        super().__init__(number, *args)
        self._logs = [self.folder / f"runner-{each}.log" for each in range(number)]
        self._processes = [self._start(log) for log in self._logs]

    def kill(self) -> str:
        number = self.chance.randrange(len(self._processes))
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start(self._logs[number])
        return f"runner {number}"

    def end(self) -> float:
        began = time.monotonic()
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        statuses = [process.wait(timeout=60) for process in self._processes]
        assert statuses == [0] * len(statuses), self._logs
        return time.monotonic() - began

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, log: Path) -> subprocess.Popen[bytes]:
        argv = [*self.program, "run", "--every", "1s", *self.options]
        with log.open("ab") as file:
            return subprocess.Popen(
                argv, env=self.env, stdout=subprocess.DEVNULL, stderr=file
            )


def kills(
    number: int,
    dues: Sequence[datetime],
    end: datetime,
    moment: Callable[[datetime], datetime],
    seed: int,
) -> list[datetime]:
    """Return when to kill: half of the times at random, half while images are made.

    :param dues: when images are due, in rehearsed time.
    :param end: the end of the rehearsed days.
    :param moment: the moment of a rehearsed time.
    """
    chance = random.Random(seed)
    first, last = now().timestamp(), moment(end).timestamp()
    times = [chance.uniform(first, last) for _ in range(number - number // 2)]
    times += [
        moment(chance.choice(dues)).timestamp() + chance.uniform(0, 4)
        for _ in range(number // 2)
    ]
    return [datetime.fromtimestamp(each, timezone.utc) for each in sorted(times)]


def wait_until(moment: datetime) -> None:
    """Wait until it is that time."""
    time.sleep(max(0.0, (moment - now()) / timedelta(seconds=1)))
