"""Numbers for Prometheus, and whether the service is alive."""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Callable, Mapping
from datetime import datetime
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

from rax_scheduled_images_ext.engine.results import Result, Tick
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.service.events import TOLD
from rax_scheduled_images_ext.service.health import Health

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
        self._under_way.set(tick.under_way.total())
        self._seconds.set(seconds)
        causes = Count(result.step.cause for result in results)
        for cause in TOLD:
            self._not_imaged.labels(cause.value).set(causes[cause])
        self._ticks.labels("good" if not tick.failures else "bad").inc()
        self._tell_success([each.step for each in results], tick.newest)

    def add_failed(self) -> None:
        """Count a tick that could not look."""
        self._ticks.labels("failed").inc()

    def _tell_success(
        self, steps: list[Step], newest_images: Mapping[str, datetime]
    ) -> None:
        scheduled = [step.server for step in steps if step.server.schedule]
        each = len(scheduled) <= self._most_servers
        oldest: dict[tuple[str, str], float] = {}
        longest: dict[tuple[str, str], float] = {}
        for server in scheduled:
            labels = (str(server.project_id), server.id if each else "")
            made = newest_images.get(server.id)
            newest = made.timestamp() if made else 0.0
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


class _Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


class _Threaded(ThreadingMixIn, WSGIServer):
    """Answers several at once: one that hangs keeps nobody else."""

    daemon_threads = True


class MetricsServer:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` until it is closed.

    :param health: what ``/healthz`` (is it alive?) and ``/readyz`` (does it do its
        work?) tell; without it they tell only that the process answers.
    :raises OSError: if the port cannot be had.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str,
        port: int,
        health: Health | None = None,
    ) -> None:
        metrics_app = make_wsgi_app(registry)
        problems: dict[str, Callable[[], str | None]] = {
            "/healthz": health.lifeless if health else lambda: None,
            "/readyz": health.unready if health else lambda: None,
        }

        def app(environ: Any, start_response: Any) -> Any:
            find_problem = problems.get(environ["PATH_INFO"])
            if find_problem is None:
                return metrics_app(environ, start_response)
            problem = find_problem()
            status = "200 OK" if problem is None else "503 Service Unavailable"
            start_response(status, [("Content-Type", "text/plain")])
            return [f"{problem or 'ok'}\n".encode()]

        self._server = make_server(host, port, app, _Threaded, _Quiet)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
