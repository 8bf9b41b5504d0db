"""The proof on a real OpenStack, which must be up: ``python -m tests.workers.real``.

Servers of the cloud's usual user get a daily schedule. Workers and beats make their
images over rehearsed days, and are killed at random, as is their RabbitMQ.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

from rax_scheduled_images_ext.model.image import RUN_KEY, SERVER_KEY, SLOT_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.service.cli import main as service

from ..functional.laws import last_slots
from ..interop.cloud.layout import Layout
from ..scenarios.resources import Workshop
from .broker import Broker, installed
from .cluster import Cluster
from .test_chaos import BEATS, KEPT, VICTIMS, WORKERS

SCHEDULE = ImageSchedule(KEPT)
_HOUR = timedelta(hours=1)
_LIMITS = ("--limit-region", "10", "--limit-project", "10")
# Seconds until nothing is left to do, after the last day.
_SETTLE = 900


def main() -> int:
    options = _options()
    layout = Layout(options.state)
    workshop = Workshop(layout.environ("demo"))
    folder = Path(tempfile.mkdtemp(prefix="workers-"))
    with booted(workshop, options.servers) as ids:
        since = datetime.now(timezone.utc).replace(microsecond=0)
        end = since + timedelta(days=options.days)
        environ = client_environment(layout.environ("demo"))
        with Broker(folder / "broker", installed()) as broker:
            environ["CELERY_BROKER_URL"] = broker.url
            kills = rehearse(options, environ, broker, folder, since)
        del environ["CELERY_BROKER_URL"]
        settle(environ, end + 3 * _HOUR)
        problems = list(check(workshop, layout, ids, since, end + 3 * _HOUR))
    print(f"killed {dict(kills)}")
    print("\n".join(problems) or "each slot has its image, and nothing else is there")
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.workers.real", description=__doc__
    )
    add = parser.add_argument
    add("--state", type=lambda text: Path(text).resolve(), required=True)
    for name, default in (
        ("servers", 20),
        ("days", 10),
        ("kills", 50),
        ("speed", 480),
        ("seed", 1),
    ):
        add(f"--{name}", type=int, default=default)
    return parser.parse_args()


@contextmanager
def booted(workshop: Workshop, number: int) -> Iterator[list[str]]:
    """Boot servers with a schedule, and remove them and their images at last."""
    ids: list[str] = []
    tags = [MARKER_TAG, schedule_tag(SCHEDULE)]
    try:
        for _ in range(number):
            _, server_id = workshop.boot()
            ids.append(server_id)
            path = f"/servers/{server_id}/tags"
            workshop.api.do("compute", "PUT", path, {"tags": tags})
        yield ids
    finally:
        for image in images_of(workshop, ids):
            workshop.delete_image(image["id"])
        workshop.clear()


def images_of(workshop: Workshop, ids: list[str]) -> list[dict[str, Any]]:
    """All images of the servers that there are."""
    api = workshop.api
    found = api.pages(f"/images?owner={api.project_id}")
    return [image for image in found if image.get(SERVER_KEY) in ids]


def rehearse(
    options: argparse.Namespace,
    environ: dict[str, str],
    broker: Broker,
    folder: Path,
    since: datetime,
) -> Counter[str]:
    """Let the days pass, and kill whoever it is; return how often each was."""
    clock = ("--speed", str(options.speed), "--since", str(write_time(since)))
    argv = ("--every", "2s", "--rehearsal", *clock, *_LIMITS)
    cluster = Cluster(folder, environ, argv, WORKERS, BEATS)
    chance, killed = random.Random(options.seed), Counter[str]()
    length = options.days * 86400 / options.speed
    moments = sorted(chance.uniform(0, length) for _ in range(options.kills))
    with cluster:
        for number, moment in enumerate(moments):
            time.sleep(max(0.0, since.timestamp() + moment - time.time()))
            victim = VICTIMS[number % len(VICTIMS)]
            kill(cluster, broker, victim, chance)
            killed[victim] += 1
            say(f"kill {number + 1} of {options.kills}: {victim}")
        time.sleep(max(0.0, since.timestamp() + length - time.time()))
    return killed


def kill(cluster: Cluster, broker: Broker, victim: str, chance: random.Random) -> None:
    """Kill one of them, and bring it back."""
    if victim == "broker":
        broker.kill()
        broker.start()
    elif victim == "child":
        while not cluster.kill_child(f"worker{chance.randrange(WORKERS)}", chance):
            time.sleep(0.1)
    else:
        cluster.kill(
            f"{victim}{chance.randrange(WORKERS if victim == 'worker' else BEATS)}"
        )
    cluster.start()


def settle(environ: dict[str, str], end: datetime) -> None:
    """Let a fresh runner do what is left, in the hours after the last day."""
    deadline = time.monotonic() + _SETTLE
    for hours in (2, 1, 0):
        at = ("--at", str(write_time(end - hours * _HOUR)))
        while time.monotonic() < deadline:
            run(environ, "tick", "--rehearsal", *at, *_LIMITS)
            rows = json.loads(run(environ, "plan", "--all", "--format", "json", *at))
            if not [
                r
                for r in rows
                if r["action"] != "nothing" or "being made" in r["reason"]
            ]:
                break
            time.sleep(1)


def run(environ: dict[str, str], *argv: str) -> str:
    """Run a command of the service in this process; return what it prints."""
    out = io.StringIO()
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        redirect_stdout(out),
        redirect_stderr(io.StringIO()),
    ):
        service(argv)
    return out.getvalue()


def check(
    workshop: Workshop, layout: Layout, ids: list[str], since: datetime, now: datetime
) -> Iterator[str]:
    """Yield what is not as it should be, a line each."""
    filled = made(layout, ids)
    say(f"{filled.total()} images were made")
    found: dict[str, list[str]] = {server_id: [] for server_id in ids}
    for image in images_of(workshop, ids):
        if image["status"] == "active" and RUN_KEY in image:
            found[image[SERVER_KEY]].append(image[SLOT_KEY])
        elif RUN_KEY in image:
            yield f"image {image['id']} of {image[SERVER_KEY]} is {image['status']}"
    for server_id in ids:
        slots = last_slots(server_id, SCHEDULE, now, since)
        if sorted(found[server_id]) != slots:
            yield f"{server_id} has {sorted(found[server_id])}, not {slots}"
        every = last_slots(server_id, ImageSchedule(1000), now, since)
        for slot in every:
            if filled[server_id, slot] != 1:
                yield f"{server_id} {slot}: {filled[server_id, slot]} images were made"


def made(layout: Layout, ids: list[str]) -> Counter[tuple[str, str]]:
    """Count the images that ever got data, by the image service's own records."""
    query = (
        "SELECT i.id, s.value, p.value FROM images i"
        " JOIN image_properties p ON p.image_id = i.id AND p.name = ?"
        " JOIN image_properties s ON s.image_id = i.id AND s.name = ?"
        " WHERE i.checksum IS NOT NULL"
    )
    address = f"file:{layout.databases / 'glance.sqlite'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        rows = set(connection.execute(query, [SLOT_KEY, SERVER_KEY]))
    return Counter((server, slot) for _, server, slot in rows if server in ids)


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{datetime.now(timezone.utc):%H:%M:%S} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
