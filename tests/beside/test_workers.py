"""Workers and beats of two versions on one RabbitMQ, killed at random."""

from __future__ import annotations

import random
from pathlib import Path

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import START
from ..workers.broker import Broker
from ..workers.cluster import Cluster
from ..workers.killer import Killer
from ..workers.rehearsal import Rehearsal
from ..workers.test_chaos import QUIET, STEP, WINDOW, Chaos
from .versions import unpacked

SERVERS, DAYS = 20, 2
LIMITS = ("--limit-region", "8", "--limit-project", "8")
# Who is of the earlier version does not count the claims of the others.
MOST = 2 * 8


class Others(Cluster):
    """A cluster beside another one, whose processes have other names."""

    @property
    def names(self) -> list[str]:
        return [f"{name}0" for name in super().names]


def test_the_laws_hold_for_workers(broker: Broker, tmp_path: Path) -> None:
    before = unpacked(tmp_path / "before")
    chance = random.Random(1)
    options = ("--every", "1s", "--window", WINDOW, *LIMITS)
    with Sandbox(servers=SERVERS, speed=0, start=START, extension=False) as sandbox:
        rehearsal = Rehearsal(sandbox, broker)
        environ = {**sandbox.environ(), "CELERY_BROKER_URL": broker.url}
        earlier = environ | {"PYTHONPATH": str(before)}
        old = Others(before, earlier, options, 2)
        new = Cluster(tmp_path, environ, options, 2)
        chaos = Chaos(rehearsal, new, chance, MOST)
        killers = [chaos.killer, Killer(old, broker, chance)]
        with old, new:
            assert rehearsal.wait_for_scan(180)
            for number in range(DAYS * 86400 // STEP):
                if number % 4 == 0:
                    chaos.killer = chance.choice(killers)
                chaos.step(kill=number % 4 == 0)
            chaos.check()
            for _ in range(QUIET // 600):
                assert rehearsal.wait_for_scan(180)
                sandbox.advance(600)
            assert rehearsal.wait_for_scan(180, scans=2)
        chaos.check()
        chaos.check_settled(rehearsal.now())
        assert "KeyError" not in old.logs() + new.logs()
        assert "TypeError" not in new.logs()
