"""What an extension costs every ``nova``, and what showing one schedule costs."""

from __future__ import annotations

import re
import shutil

from .cloud import sandbox
from .environments import Environment
from .measure import Run, cpu, ratios, run, wall
from .results import Result, Target
from .setting import Setting

_PART = "a: start-up"
# Per cent that an extension may add.
_LIMIT = Target(3)
_MYSERVER = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
_NAMES = {"ours": "this package", "old": "old client", "bare": "no extension"}
_SHOW = ("scheduled-images-show", _MYSERVER)
# novaclient's own cheapest command that logs in and sends one request.
_PLAIN = ("list", "--minimal")


def measure(setting: Setting) -> None:
    """Measure ``nova help`` offline, then showing a schedule."""
    _help(setting)
    if not setting.quick and shutil.which("valgrind"):
        _instructions(setting)
    for latency in setting.latencies:
        _show(setting, latency)


def _sides(setting: Setting) -> dict[str, Environment]:
    found = setting.environments
    sides = {"ours": found.ours, "old": found.old, "bare": found.bare}
    return {name: side for name, side in sides.items() if side}


def _help(setting: Setting) -> None:
    def helped(side: Environment) -> Run:
        return run([side.nova, "help"], setting.home_alone)

    sides = _sides(setting)
    calls = {name: lambda side=side: helped(side) for name, side in sides.items()}
    runs = setting.in_turn(calls, 25)
    report = setting.report
    for name in sides:
        what = f"nova help, {_NAMES[name]}"
        report.add(Result(_PART, what, "s wall", wall(runs[name])))
        report.add(Result(_PART, what, "s cpu", cpu(runs[name])))
    for name in sides if "bare" in sides else ():
        if name == "bare":
            continue
        target = _LIMIT if name == "ours" else None
        more = [100 * (r - 1) for r in ratios(cpu(runs[name]), cpu(runs["bare"]))]
        what = f"nova help, more for {_NAMES[name]}"
        report.add(Result(_PART, what, "% cpu", more, target=target))
        least = 100 * (min(cpu(runs[name])) / min(cpu(runs["bare"])) - 1)
        report.add(Result(_PART, f"{what}, fastest runs", "% cpu", [least]))


def _instructions(setting: Setting) -> None:
    """Count the instructions of ``nova help``, regardless of other processes."""
    sides = _sides(setting)
    counted = {name: _counted(setting, side) for name, side in sides.items()}
    for name in (n for n in ("ours", "old") if "bare" in sides and n in sides):
        more = 100 * (counted[name] / counted["bare"] - 1)
        what = f"nova help, more for {_NAMES[name]}"
        target = _LIMIT if name == "ours" else None
        setting.report.add(Result(_PART, what, "% instructions", [more], target=target))


def _counted(setting: Setting, side: Environment) -> int:
    """Return how many instructions it takes."""
    log = setting.folder / "valgrind.log"
    argv = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        f"--log-file={log}",
        side.python,
        side.nova,
        "help",
    ]
    run(argv, {**setting.home_alone, "PYTHONHASHSEED": "0"})
    (number,) = re.findall(r"Collected : (\d+)", log.read_text())
    return int(number)


def _show(setting: Setting, latency: float) -> None:
    """Compare showing a schedule with the old client's way and a plain command."""
    with sandbox(setting.folder, speed=0, latency=latency) as cloud:
        environment = setting.variables(cloud)
        sides = _sides(setting)
        enable = ["scheduled-images-enable", _MYSERVER, "7"]
        run([sides["ours"].nova, *enable], environment)

        def asked(name: str) -> Run:
            words = _PLAIN if name == "bare" else _SHOW
            return run([sides[name].nova, *words], environment)

        calls = {name: lambda name=name: asked(name) for name in sides}
        runs = setting.in_turn(calls, 11)
        for name in sides:
            cloud.requests()
            asked(name)
            sent = len(cloud.requests())
            words = "list --minimal" if name == "bare" else "scheduled-images-show"
            what = f"nova {words}, {_NAMES[name]}"
            setting.report.add(
                Result(_PART, what, "s wall", wall(runs[name]), latency),
                Result(_PART, what, "requests", [sent], latency),
            )
        for name in (n for n in ("old", "bare") if n in sides):
            ratio = ratios(wall(runs["ours"]), wall(runs[name]))
            what = f"scheduled-images-show, this package / {_NAMES[name]}"
            setting.report.add(Result(_PART, what, "x wall", ratio, latency))
