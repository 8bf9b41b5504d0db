"""python -m tests.interop.rival: Freezer and this package, side by side."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...hypervisor.guests import Guest, Lab, until
from ..cloud.layout import DEFAULT_STATE, Layout
from ..cloud.seed import FILLED_FLAVOR, GUEST_FLAVOR
from ..cloud.services import say
from . import page
from .cases import CASES
from .stage import Stage
from .tools import Freezer, Service, install_freezer


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.interop.rival", description=__doc__
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(unknown)}")
    # What was changed in the cloud is put back then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    layout = Layout(DEFAULT_STATE)
    folder = layout.state / "freezer"
    folder.mkdir(exist_ok=True)
    install_freezer(folder)
    measured = json.loads(page.MEASURED.read_text()) if page.MEASURED.exists() else {}
    lab = Lab(layout.environ("demo"))
    try:
        for part in options.parts or PARTS:
            flavor, measure = PARTS[part]
            measured[part] = []
            counted = measure in (_costs, _times)
            with _stage(layout, lab, folder, flavor, counted=counted) as stage:
                for found in measure(stage):
                    say(json.dumps(found))
                    measured[part].append(found)
    finally:
        # What is there so far is of use, too.
        page.MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
        page.write(measured)
        lab.clear()
    return 0


@contextmanager
def _stage(
    layout: Layout, lab: Lab, folder: Path, flavor: dict[str, Any], *, counted: bool
) -> Iterator[Stage]:
    """Boot a server for each tool, and stop it.

    :param counted: whether the guests count a little before that.
    """
    shutil.rmtree(folder / "store", ignore_errors=True)
    kinds = (Freezer, Service)
    guests = [lab.boot(each.__name__, flavor)[1] for each in kinds]
    for guest in guests:
        if counted:
            guest.count_to(5)
        _stop(guest)
    env = layout.environ("demo")
    pairs = zip(kinds, guests, strict=True)
    yield Stage(lab, layout, [kind(lab, guest, env, folder) for kind, guest in pairs])
    for guest in guests:
        lab.delete(guest)


def _stop(guest: Guest) -> None:
    guest.cloud.compute.stop_server(guest.id)
    until(lambda: guest.server.status == "SHUTOFF")


def _costs(stage: Stage) -> Iterator[dict[str, Any]]:
    """Count what a backup and a restore move, through the gate."""
    with stage.gated():
        for tool in stage.tools:
            for kind in ("backup", "restore"):
                cost = asdict(stage.count(tool, kind))
                yield {"kind": kind, "tool": tool.name, **cost}


def _times(stage: Stage) -> Iterator[dict[str, Any]]:
    """Measure how long they take with a large disk, without the gate."""
    for tool in stage.tools:
        for kind in ("backup", "restore"):
            yield {"kind": kind, "tool": tool.name, **asdict(stage.time(tool, kind))}


def _trials(stage: Stage) -> Iterator[dict[str, Any]]:
    with stage.gated():
        for tool in stage.tools:
            stage.prepare(tool)
        for case in CASES:
            for tool in stage.tools:
                if tool.moves_data or not case.moves_data:
                    yield asdict(stage.try_out(tool, case))


#: What can be measured: the flavor of the servers, and how.
PARTS: dict[str, tuple[dict[str, Any], Callable[[Stage], Iterator[dict[str, Any]]]]] = {
    "costs": (GUEST_FLAVOR, _costs),
    "trials": (GUEST_FLAVOR, _trials),
    "times": (FILLED_FLAVOR, _times),
}


if __name__ == "__main__":
    sys.exit(main())
