"""``scheduled-images-enable`` of a whole fleet, compared with one server at a time."""

from __future__ import annotations

from pathlib import Path

from .cloud import sandbox
from .measure import Run, ratios, run, wall
from .results import Result, Target
from .setting import LATENCIES, Setting

_PART = "c: enable"
_SERVERS = 1_000
# How many are enabled one at a time; the others would take just as long.
_SINGLY = 200
_PROGRAM = Path(__file__).with_name("one_at_a_time.py")


def measure(setting: Setting) -> None:
    """Measure at each latency."""
    for latency in setting.latencies:
        _measure(setting, latency)


def _measure(setting: Setting, latency: float) -> None:
    servers = setting.times(_SERVERS, 10)
    singly = setting.times(_SINGLY, 5)
    ours = setting.environments.ours
    options = {"servers": servers - 4, "speed": 0, "latency": latency}
    with sandbox(setting.folder, **options) as cloud:
        environment = setting.variables(cloud)
        ids = cloud.server_ids(servers)

        def together() -> Run:
            # The whole command, its start and its log-in included.
            return run([ours.nova, "scheduled-images-enable", *ids, "7"], environment)

        def one_by_one() -> Run:
            # Without the start of the program, which favours this side.
            done = run(
                [ours.python, str(_PROGRAM), *ids[:singly]], environment, keep=True
            )
            return Run(float(done.out) * servers / singly, done.cpu, done.peak)

        sides = {"together": together, "one by one": one_by_one}
        runs = setting.in_turn(sides, 5)
        cloud.requests()
        together()
        sent = len(cloud.requests())
    took, slow = wall(runs["together"]), wall(runs["one by one"])
    target = Target(8, at_least=True) if latency == LATENCIES[-1] else None
    note = (
        f"one at a time in one process over one connection, {singly} of them, scaled;"
        " the command's time has its start and log-in in it"
    )
    of = f"of {servers} servers"
    setting.report.add(
        Result(_PART, f"enable {of}", "s wall", took, latency),
        Result(_PART, f"enable {of}", "requests", [sent], latency),
        Result(_PART, f"one at a time {of}", "s wall", slow, latency, note=note),
        Result(
            _PART,
            f"one at a time / enable {of}",
            "x wall",
            ratios(slow, took),
            latency,
            target,
        ),
    )
