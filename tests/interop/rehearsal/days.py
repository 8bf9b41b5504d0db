"""The same days with one undisturbed runner, and with several that are killed."""

from __future__ import annotations

import random
import re
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from .fleet import Fleet, History
from .runners import Crew, Program, Runners, kills, now, wait_until
from .workers import Workers

_HOUR = timedelta(hours=1)
#: How long nothing happens to a claim whose runner was killed, and a reserve.
_SWEEP_SECONDS = 15 * 60
_PATIENCE = 300
# Celery itself logs a traceback when it has lost RabbitMQ.
_OUR_FRAME = re.compile(r'^  File ".*/rax_scheduled_images_ext/\w', re.MULTILINE)
#: Who can be killed.
CREWS: dict[str, type[Crew]] = {"runners": Runners, "workers": Workers}


@dataclass(frozen=True)
class Options:
    """What is rehearsed.

    ``speed`` is how many times faster time passes, ``crew`` who is killed: a name of
    `CREWS`, and ``number`` how many of them there are.
    """

    servers: int = 20
    retention: int = 3
    days: float = 10.0
    crew: str = "runners"
    number: int = 3
    kills: int = 30
    speed: float = 480.0
    seed: int = 1


@dataclass(frozen=True)
class Report:
    """What was left by the undisturbed runner, and by those that were killed.

    :param seconds_to_end: how long the slowest took to end after SIGTERM.
    :param tracebacks: lines of tracebacks in the logs that lead through the package.
    """

    expected: Counter[str]
    found: Counter[str]
    undisturbed: History
    killed: History
    kills: int
    seconds_to_end: float
    tracebacks: int

    @property
    def same(self) -> bool:
        """Whether both have left the same, and made each image once."""
        once = set(self.killed.filled.values()) <= {1}
        return (
            self.expected == self.found
            and self.undisturbed.filled == self.killed.filled
            and once
            and not self.tracebacks
        )

    def __str__(self) -> str:
        slots = self.undisturbed.filled
        again = [s for s, number in self.killed.claims.items() if number > 1]
        lines = [
            f"images due, and made by the undisturbed runner: {slots.total()}",
            f"made by those that were killed: {self.killed.filled.total()}",
            f"kills: {self.kills}",
            f"slots claimed more than once: {len(again)}",
            f"images that never got data: {self.killed.empty.total()}",
            f"seconds to end after SIGTERM: {self.seconds_to_end:.1f}",
            f"lines of tracebacks in the logs: {self.tracebacks}",
        ]
        for title, counter in (
            ("missing", slots - self.killed.filled),
            ("made too often", self.killed.filled - slots),
            ("not left", self.expected - self.found),
            ("left besides", self.found - self.expected),
        ):
            lines.append(f"{title}: {counter.total()}")
            lines += [f"  {each}" for each in counter]
        return "\n".join(lines)


def rehearse(options: Options, fleet: Fleet, folder: Path) -> Report:
    """Rehearse the days twice with the servers of a fleet.

    :param folder: where the runners write their logs.
    """
    with fleet.booted(options.servers, options.retention):
        begun = now()
        # Time enough for the first pass, which the second one must not catch up with.
        end = begun + timedelta(days=options.days)
        say(f"{options.days:g} days, undisturbed")
        _undisturbed(fleet, begun, end)
        expected, undisturbed = fleet.holding(), fleet.history(begun)
        fleet.delete_images()
        # Records have whole seconds.
        time.sleep(2)
        again = now()
        say(f"the same days, with {options.kills} kills")
        seconds = _killed(options, fleet, folder, again, end)
        killed = fleet.history(again)
        logs = "".join(path.read_text() for path in folder.glob("*.log"))
        return Report(
            expected,
            fleet.holding(),
            undisturbed,
            killed,
            options.kills,
            seconds,
            len(_OUR_FRAME.findall(logs)),
        )


def _undisturbed(fleet: Fleet, begun: datetime, end: datetime) -> None:
    program = Program(fleet.env, uuid.uuid4().hex)
    at = begun
    while at < end:
        at = min(at + 6 * _HOUR, end)
        assert program.settle(at, _PATIENCE), at
    _finish(program, end)


def _killed(
    options: Options, fleet: Fleet, folder: Path, since: datetime, end: datetime
) -> float:
    program = Program(fleet.env, uuid.uuid4().hex)
    days = range(1, int(options.days) + 1)
    dues = [due for day in days for due in program.due(since + day * timedelta(days=1))]
    chance = random.Random(options.seed)
    begin = CREWS[options.crew]
    crew = begin(options.number, program, folder, since, options.speed, chance)
    try:
        times = kills(options.kills, dues, end, crew.moment, options.seed)
        for number, moment in enumerate(times, 1):
            wait_until(moment)
            victim = crew.kill()
            rehearsed = since + (now() - since) * options.speed
            say(f"kill {number}: {victim}, {rehearsed:%Y-%m-%d %H:%M}")
        wait_until(crew.moment(end))
        seconds = crew.end()
    finally:
        crew.close()
    _finish(program, end)
    _sweep(program, fleet, end)
    return seconds


def _finish(program: Program, end: datetime) -> None:
    """Let a fresh runner make what is missing, in the three hours after the end."""
    for hours in (1, 2):
        program.settle(end + hours * _HOUR, 60)
    assert program.settle(end + 3 * _HOUR, _PATIENCE)


def _sweep(program: Program, fleet: Fleet, end: datetime) -> None:
    """Tick until no claim of a killed runner is left: the cloud's time counts there."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    while fleet.unfinished() and time.monotonic() < deadline:
        say(f"{len(fleet.unfinished())} images without data are left")
        time.sleep(30)
        program.tick(end + 3 * _HOUR)


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{now():%H:%M:%S} {text}", file=sys.stderr, flush=True)
