"""Workers, their children, beats and RabbitMQ are killed at random: the laws hold."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path

import pytest

from rax_scheduled_images_ext.model.image import RUN_KEY, SERVER_KEY, SLOT_KEY
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.plan import Policy
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    parse_window,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery

from ..functional import laws
from ..functional.fleet import MARKED, add_image
from ..functional.raw import START
from .broker import Broker
from .cluster import Cluster
from .killer import Killer
from .rehearsal import Rehearsal

WORKERS, BEATS = 4, 2
KEPT = 2
# Virtual seconds of a step, so that about as many images are due in each.
STEP = 3600
# In the hours without it all can be done: a proof ends in the middle of them, at noon.
WINDOW = "16:00-08:00"
# Virtual seconds of these hours that follow the last step.
QUIET = 3 * 3600
# Each has as many servers as any other. No image is due in the hours without a window.
SCHEDULES = (
    ImageSchedule(KEPT),
    ImageSchedule(KEPT, "SATURDAY"),
    ImageSchedule(KEPT, hours=6, at="01:00"),
    ImageSchedule(at="20:00", keep=Keep(last=KEPT, yearly=1)),
)


class Chaos:
    """A cloud, its workers, and what is done to them."""

    def __init__(
        self, rehearsal: Rehearsal, cluster: Cluster, chance: random.Random, limit: int
    ) -> None:
        self.rehearsal = rehearsal
        self.killer = Killer(cluster, rehearsal.broker, chance)
        self.chance = chance
        self.limit = limit
        self.most_under_way = 0
        sandbox = rehearsal.sandbox
        servers = {server.id: server for server in sandbox.servers()}
        ids = sorted(servers)
        self.schedules = {
            server_id: SCHEDULES[number % len(SCHEDULES)]
            for number, server_id in enumerate(ids)
        }
        # What was due before, and not too long ago, is made up for.
        oldest = (rehearsal.now() - Policy().max_delay).timestamp()
        self.begun = {
            each.id: datetime.fromtimestamp(max(each.created, oldest), timezone.utc)
            for each in servers.values()
        }
        rehearsal.schedule(self.schedules)
        self.bystanders = [
            add_image(sandbox, "mine", instance_uuid=ids[0]),
            add_image(sandbox, "foreign", **{SERVER_KEY: "other", **MARKED}),
            add_image(
                sandbox, "protected", protected=True, instance_uuid=ids[0], **MARKED
            ),
        ]

    def step(self, kill: bool) -> None:
        """Let time pass, perhaps kill somebody, and wait until all is done."""
        self.rehearsal.sandbox.advance(STEP)
        if kill:
            time.sleep(self.chance.uniform(0, 3))
            self.killer.kill()
        self.rehearsal.wait_for_scan()
        running = [i for i in self.images() if is_running(i)]
        self.most_under_way = max(self.most_under_way, len(running))
        assert len(running) <= self.limit

    def images(self, *, deleted: bool = False) -> list[Image]:
        """All images that there are, or all that there were."""
        with self.rehearsal.sandbox.region() as region:
            return region.images.select(ImageQuery(deleted=deleted))

    def made(self) -> dict[str, list[Image]]:
        """All images that runs have ever made, by their server."""
        found = defaultdict(list)
        for image in self.images() + self.images(deleted=True):
            if SLOT_KEY in image.properties and image.id not in self.bystanders:
                found[image.properties[SERVER_KEY]].append(image)
        return found

    def check(self) -> None:
        """See that the laws hold that hold always."""
        made = self.made()
        for server_id, schedule in self.schedules.items():
            laws.check_tries(server_id, made[server_id])
            laws.check_deletions(schedule.keep.last, made[server_id])

    def check_settled(self, now: datetime) -> None:
        """See that each slot has its image, and that nothing else is there."""
        made = self.made()
        for server_id, schedule in self.schedules.items():
            begun = self.begun[server_id]
            laws.check_settled(
                server_id, schedule, made[server_id], now, begun, parse_window(WINDOW)
            )
        laws.check_bystanders(self.bystanders, self.images())


def is_running(image: Image) -> bool:
    """Whether an image is being made by a run."""
    return image.status in ("queued", "saving") and RUN_KEY in image.properties


def test_the_laws_hold_when_any_is_killed(
    broker: Broker, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    servers, days, kills, seed = (
        request.config.getoption(name)
        for name in ("--servers", "--days", "--kills", "--chaos-seed")
    )
    steps = days * 86400 // STEP
    chance = random.Random(seed)
    when = Counter(chance.randrange(steps) for _ in range(kills))
    limit = 10 + servers // 10
    limits = ("--limit-region", str(limit), "--limit-project", str(limit))
    with Sandbox(servers=servers - 4, speed=0, start=START, extension=False) as sandbox:
        rehearsal = Rehearsal(sandbox, broker)
        environ = {**sandbox.environ(), "CELERY_BROKER_URL": broker.url}
        # Between two scans nothing is asked for once all is done.
        every = f"{max(1, servers // 400)}s"
        options = ("--every", every, "--window", WINDOW, *limits)
        cluster = Cluster(tmp_path, environ, options, WORKERS, BEATS)
        chaos = Chaos(rehearsal, cluster, chance, limit)
        began = time.monotonic()
        with cluster:
            assert rehearsal.wait_for_scan(180)
            for number in range(steps):
                for _ in range(max(0, when[number] - 1)):
                    chaos.killer.kill()
                chaos.step(kill=when[number] > 0)
                if number % 24 == 0:
                    chaos.check()
                    report(chaos, number, steps, began)
            # Who was killed last is made up for by the next tries, an hour apart.
            for _ in range(QUIET // 600):
                assert rehearsal.wait_for_scan(180)
                sandbox.advance(600)
            assert rehearsal.wait_for_scan(180, scans=2)
        report(chaos, steps, steps, began)
        chaos.check()
        chaos.check_settled(rehearsal.now())
        # Two for each place that is free, and one for each image that is there.
        assert rehearsal.longest_queue <= 3 * limit
        assert chaos.killer.kills.total() == kills
    shutil.rmtree(tmp_path, ignore_errors=True)


def report(chaos: Chaos, step: int, steps: int, began: float) -> None:
    """Tell how far it is: a whole proof takes long."""
    made = sum(map(len, chaos.made().values()))
    print(
        f"step {step} of {steps} after {time.monotonic() - began:.0f} s:"
        f" {made} images, {chaos.rehearsal.requests} requests,"
        f" {chaos.rehearsal.scans} scans, killed {dict(chaos.killer.kills)},"
        f" longest queue {chaos.rehearsal.longest_queue},"
        f" most under way {chaos.most_under_way}",
        flush=True,
    )
