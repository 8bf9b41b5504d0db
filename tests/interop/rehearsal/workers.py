"""Celery workers, beats and their RabbitMQ, all of which are killed."""

from __future__ import annotations

import time
from typing import Any

from ...workers.broker import Broker, installed
from ...workers.cluster import Cluster
from ...workers.killer import Killer
from .runners import Crew


class Workers(Crew):
    """Workers and two beats, with a RabbitMQ of their own."""

    def __init__(self, number: int, *args: Any) -> None:
        super().__init__(number, *args)
        self._broker = Broker(self.folder / "broker", installed())
        self._broker.start()
        environ = {**self.env, "CELERY_BROKER_URL": self._broker.url}
        options = ("--every", "2s", *self.options)
        self._cluster = Cluster(
            self.folder, environ, options, number, beats=2, program=self.program
        )
        self._cluster.start()
        self._killer = Killer(self._cluster, self._broker, self.chance)

    def kill(self) -> str:
        return self._killer.kill()

    def end(self) -> float:
        began = time.monotonic()
        self._cluster.stop()
        return time.monotonic() - began

    def close(self) -> None:
        self._cluster.stop()
        self._broker.stop()
