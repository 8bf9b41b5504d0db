"""Numbers for Prometheus, and whether the service is alive."""

from __future__ import annotations

import socket
import threading
from collections import Counter as Count
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

from rax_scheduled_images_ext.engine.results import Result, Tick
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import RUN_KEY, ServerImage, made_by_run
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.service.events import TOLD

_DAY = 24 * 3600
_PREFIX = "scheduled_images"


class Metrics:
    """What the ticks have done so far.

    :param most_servers: with more servers than this, the time of the last success is
        told for each project, not for each server.
    """

    def __init__(self, most_servers: int = 1000) -> None:
        self.registry = CollectorRegistry()
        self._most_servers = most_servers
        self._told: set[tuple[str, str]] = set()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

        self._success = gauge(
            "last_success_timestamp_seconds",
            "When the newest ACTIVE scheduled image was made, 0 if there is none; of a"
            " project the oldest of these times.",
            "project",
            "server",
        )
        self._interval = gauge(
            "expected_interval_seconds",
            "The time between two images by the schedule.",
            "project",
            "server",
        )
        self._steps = counter("steps", "Steps by what came of them.", "result")
        self._failures = counter("failures", "Failed steps by reason.", "reason")
        self._not_imaged = gauge(
            "not_imaged", "Servers of which no image can be made now.", "reason"
        )
        self._under_way = gauge("under_way", "Images that are being made.")
        self._deleted = counter("deleted", "Images deleted by the retention.")
        self._seconds = gauge("tick_seconds", "How long the last tick took.")
        self._ticks = counter("ticks", "Ticks by how they ended.", "outcome")

    def add(self, tick: Tick, seconds: float) -> None:
        """Count a tick that took so long."""
        results = tick.results
        for result, number in Count(each.result for each in results).items():
            if result is not Result.NOTHING:
                self._steps.labels(result.value).inc(number)
        for failure in tick.failures:
            self._failures.labels(failure.result.value).inc()
        pruned = (each for result in results for each in result.pruned)
        self._deleted.inc(sum(each.action == "deleted" for each in pruned))
        self._under_way.set(
            sum(
                image.status == "SAVING" and RUN_KEY in image.metadata
                for image in tick.look.snapshots
            )
        )
        self._seconds.set(seconds)
        causes = Count(result.step.cause for result in results)
        for cause in TOLD:
            self._not_imaged.labels(cause.value).set(causes[cause])
        self._ticks.labels("good" if not tick.failures else "bad").inc()
        self._tell_success([each.step for each in results], tick.look.images)

    def add_failed(self) -> None:
        """Count a tick that could not look."""
        self._ticks.labels("failed").inc()

    def _tell_success(self, steps: list[Step], images: Any) -> None:
        scheduled = [step.server for step in steps if step.server.schedule]
        each = len(scheduled) <= self._most_servers
        oldest: dict[tuple[str, str], float] = {}
        longest: dict[tuple[str, str], float] = {}
        for server in scheduled:
            labels = (str(server.project_id), server.id if each else "")
            newest = _newest(server, images.get(server.id, ()))
            oldest[labels] = min(oldest.get(labels, newest), newest)
            days = 7 if server.schedule and server.schedule.day_of_week else 1
            longest[labels] = max(longest.get(labels, 0), days * _DAY)
        for gone in self._told - set(oldest):
            self._success.remove(*gone)
            self._interval.remove(*gone)
        self._told = set(oldest)
        for labels, moment in oldest.items():
            self._success.labels(*labels).set(moment)
            self._interval.labels(*labels).set(longest[labels])


def _newest(server: InventoryServer, images: Iterable[ServerImage]) -> float:
    """Return when the newest ACTIVE scheduled image was made, 0 if there is none."""
    made = (
        image.created.timestamp()
        for image in images
        if image.status == "ACTIVE"
        and image.created
        and image.owner == server.project_id
        and made_by_run(image, server.id)
    )
    return max(made, default=0.0)


class _Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


class _Threaded(ThreadingMixIn, WSGIServer):
    """Answers several at once: one that hangs keeps nobody else."""

    daemon_threads = True


class _ThreadedV6(_Threaded):
    """The same for addresses of IPv6."""

    address_family = socket.AF_INET6


class MetricsServer:
    """Serves ``/metrics`` and ``/healthz`` on loopback until it is closed.

    :param healthy: whether the service works; ``/healthz`` is 503 while it does not.
    :raises OSError: if the port cannot be had.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self.healthy = threading.Event()
        metrics_app = make_wsgi_app(registry)

        def app(environ: Any, start_response: Any) -> Any:
            if environ["PATH_INFO"] != "/healthz":
                return metrics_app(environ, start_response)
            good = self.healthy.is_set()
            status = "200 OK" if good else "503 Service Unavailable"
            start_response(status, [("Content-Type", "text/plain")])
            return [b"ok\n" if good else b"the last tick failed\n"]

        kind = _ThreadedV6 if ":" in host else _Threaded
        self._server = make_server(host, port, app, kind, _Quiet)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
