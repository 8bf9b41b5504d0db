"""``scheduled-images-list`` compared with bare requests and a loop of the old client.

Seven images a server. The peak of memory is measured in the same runs.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from rax_scheduled_images_ext.model.image import SERVER_KEY, ServerImage
from rax_scheduled_images_ext.model.server import ServerFacts, facts_metadata

from .cloud import Cloud, sandbox
from .environments import Environment
from .measure import Run, cpu, ratios, run, wall
from .results import Result, Target
from .setting import Setting

_PART = "b: list"
_SIZES = (100, 1_000, 10_000)
_QUICK_SIZES = (6,)
_IMAGES = 7
_FLOOR = Path(__file__).with_name("floor.py")
# How many servers the old client shows one by one in each turn; more take too long.
_LOOP = 14
# What an image says of its server: two networks and two groups, a volume, all else.
_SERVER = ServerFacts(
    "",
    flavor_name="general-purpose.large",
    sizes={"vcpus": 4, "ram": 8192, "disk": 80, "ephemeral": 0, "swap": 0},
    networks=(
        "b2ebbcb2-d6c5-4e82-83ab-905588bc26e8",
        "00000000-0000-4000-8000-000000000001",
    ),
    groups=("default", "web"),
    key_name="administrators",
    zone="nova",
    volumes=("3c1b8d0e-9f7a-4e25-8b16-d4c0a2f6e913",),
)
_SHELL_LOOP = 'while read -r id; do "$0" scheduled-images-show "$id" || exit; done'


def measure(setting: Setting) -> None:
    """Measure each size at each latency, then what images say of their servers."""
    _facts(setting)
    sizes = _QUICK_SIZES if setting.quick else _SIZES
    for latency in setting.latencies:
        medians = {size: _size(setting, size, latency) for size in sizes}
        if len(sizes) < 3:
            continue
        small, middle, large = sizes
        for name in ("list", "floor"):
            # One more server costs the same among many as among few: 1.
            at = {size: found[name] for size, found in medians.items()}
            more = (at[large] - at[middle]) / (large - middle)
            first = (at[middle] - at[small]) / (middle - small)
            what = f"{name}: a server more at {large} / at {middle} servers"
            setting.report.add(Result(_PART, what, "x wall", [more / first], latency))


def _size(setting: Setting, size: int, latency: float) -> dict[str, float]:
    """Measure one size; return the medians in seconds."""
    state = setting.folder / f"fleet-{size}.db"
    options = {
        "servers": size - 4,
        "images_per_server": _IMAGES,
        "speed": 0,
        "state": state,
    }
    with sandbox(setting.folder, latency=latency, **options) as cloud:
        return _compare(setting, cloud, size, latency)


def _facts(setting: Setting) -> None:
    """Compare images that carry what their server was made of with the same without."""
    size = _QUICK_SIZES[0] if setting.quick else _SIZES[-1]
    plain, carrying = (setting.folder / f"facts-{each}.db" for each in (0, 1))
    options = {"servers": size - 4, "images_per_server": _IMAGES, "speed": 0}
    with sandbox(setting.folder, state=plain, **options):
        pass
    shutil.copy(plain, carrying)
    number = _carry(carrying)
    with (
        sandbox(setting.folder, state=plain) as without,
        sandbox(setting.folder, state=carrying) as loaded,
    ):
        sides = {
            name: partial(
                run,
                [setting.environments.ours.nova, "scheduled-images-list"],
                setting.variables(cloud),
            )
            for name, cloud in (("before", without), ("after", loaded))
        }
        runs = setting.in_turn(sides, 3)
    of = f"list of {number} images"
    setting.report.add(
        *(
            Result(_PART, f"{of}, {name} they name their server", unit, values)
            for name, found in runs.items()
            for unit, values in (
                ("s wall", wall(found)),
                ("s cpu", cpu(found)),
                ("MiB", [each.peak for each in found]),
            )
        ),
        Result(
            _PART,
            f"{of}, after / before they name their server",
            "x wall",
            ratios(wall(runs["after"]), wall(runs["before"])),
        ),
        Result(
            _PART,
            f"{of}, after / before they name their server",
            "x cpu",
            ratios(cpu(runs["after"]), cpu(runs["before"])),
        ),
    )


def _carry(state: Path) -> int:
    """Let all images of a sandbox's state say of their servers what the service writes.

    :returns: how many there are.
    """
    with closing(sqlite3.connect(state)) as database, database:
        rows = database.execute("SELECT region, id, name, properties FROM images")
        changed = []
        for region, image_id, name, properties in rows.fetchall():
            known = json.loads(properties)
            if SERVER_KEY in known:
                server = replace(_SERVER, id=known[SERVER_KEY], name=name)
                image = ServerImage(image_id, name, "ACTIVE")
                known |= facts_metadata(image, server, region)
                changed.append((json.dumps(known), region, image_id))
        database.executemany(
            "UPDATE images SET properties = ? WHERE region = ? AND id = ?", changed
        )
    return len(changed)


def _compare(
    setting: Setting, cloud: Cloud, size: int, latency: float
) -> dict[str, float]:
    environment = setting.variables(cloud)
    ours = setting.environments.ours

    def listed() -> Run:
        return run([ours.nova, "scheduled-images-list"], environment)

    def floor() -> Run:
        return run([ours.python, str(_FLOOR)], environment)

    thorough = 7 if size < _SIZES[-1] else 3
    sides = {"list": listed, "floor": floor}
    old = setting.environments.old if size <= _SIZES[1] else None
    looped = setting.times(_LOOP, 1)
    if old:
        # The four that every sandbox has are the newest, and have no schedule.
        ids = cloud.server_ids(looped + 4)[4:]
        sides["loop"] = partial(_loop, old, environment, ids)
    runs = setting.in_turn(sides, thorough)
    cloud.requests()
    listed()
    sent = len(cloud.requests())
    took, least = wall(runs["list"]), wall(runs["floor"])
    of = f"of {size} servers"
    at_most = Target(1.2) if size == _SIZES[-1] else None
    memory = Target(120) if size == _SIZES[-1] else None
    setting.report.add(
        Result(_PART, f"list {of}", "s wall", took, latency),
        Result(_PART, f"list {of}", "s cpu", cpu(runs["list"]), latency),
        Result(_PART, f"list {of}", "requests", [sent], latency),
        Result(_PART, f"floor {of}", "s wall", least, latency),
        Result(_PART, f"floor {of}", "s cpu", cpu(runs["floor"]), latency),
        Result(
            _PART, f"list / floor {of}", "x wall", ratios(took, least), latency, at_most
        ),
        Result(
            "d: memory",
            f"peak of list {of}",
            "MiB",
            [each.peak for each in runs["list"]],
            latency,
            memory,
        ),
    )
    if old:
        each = [loop / looped for loop in wall(runs["loop"])]
        what = f"old client's show, each of a loop {of}"
        setting.report.add(Result(_PART, what, "s wall", each, latency))
        target = Target(200, at_least=True) if size == _SIZES[1] else None
        faster = ratios([one * size for one in each], took)
        what = f"old client's loop / list {of}"
        note = f"the loop was run over {looped} servers at each turn, and scaled"
        setting.report.add(Result(_PART, what, "x wall", faster, latency, target, note))
    return {name: Result("", "", "", wall(runs[name])).spread.median for name in runs}


def _loop(old: Environment, environment: dict[str, str], ids: list[str]) -> Run:
    """Show these servers one by one with the old client."""
    lines = "".join(f"{each}\n" for each in ids).encode()
    return run(["sh", "-c", _SHELL_LOOP, old.nova], environment, stdin=lines)
