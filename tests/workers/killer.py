"""What kills workers, their children, beats and RabbitMQ, and brings them back."""

from __future__ import annotations

import random
import time
from collections import Counter

from .broker import Broker
from .cluster import Cluster

# Who is killed, again and again: children mostly, RabbitMQ rarely.
_VICTIMS = "child broker worker beat child worker child beat child worker".split()


class Killer:
    """Kills processes of a cluster and its broker, with SIGKILL.

    ``kills`` counts them by kind.
    """

    def __init__(self, cluster: Cluster, broker: Broker, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self._cluster = cluster
        self._broker = broker
        self._chance = chance

    def kill(self) -> str:
        """Kill one of them, and bring it back; return its kind."""
        victim = _VICTIMS[self.kills.total() % len(_VICTIMS)]
        if victim == "broker":
            self._broker.kill()
            time.sleep(self._chance.uniform(0, 3))
            self._broker.start()
        elif victim == "child":
            self._kill_child()
        else:
            self._cluster.kill(self._one_of(victim))
        self.kills[victim] += 1
        # As whatever supervises them would do.
        self._cluster.start()
        return victim

    def _kill_child(self) -> None:
        """Kill a child of some worker; one that has just started has none so far."""
        name = self._one_of("worker")
        while not self._cluster.kill_child(name, self._chance):
            time.sleep(0.1)

    def _one_of(self, kind: str) -> str:
        names = [name for name in self._cluster.names if name.startswith(kind)]
        return self._chance.choice(names)
