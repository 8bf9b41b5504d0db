"""Numbers for Prometheus, and whether the service is alive."""

from __future__ import annotations

import socket
import threading
from collections import Counter as Count
from collections.abc import Callable, Mapping
from datetime import datetime
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

from rax_scheduled_images_ext.engine.results import Result, StepResult, Tick
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.service.events import TOLD
from rax_scheduled_images_ext.service.health import Health

_DAY = 24 * 3600
#: What the names of all metrics begin with.
PREFIX = "scheduled_images"


class Numbers:
    """Each metric once, for ``run`` and for workers: all have the label ``region``.

    :param registry: where they are collected; None where processes share files.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(
                f"{PREFIX}_{name}",
                text,
                ("region", *labels),
                registry=registry,
                multiprocess_mode="mostrecent",
            )

        def counter(name: str, text: str, *labels: str) -> Counter:
            names = ("region", *labels)
            return Counter(f"{PREFIX}_{name}", text, names, registry=registry)

        self.steps = counter("steps", "Steps by what came of them.", "result")
        self.failures = counter("failures", "Failed steps by result.", "result")
        self.deleted = counter("deleted", "Images deleted by the retention.")
        self.looks = counter("looks", "Looks by how they ended.", "outcome")
        self.seconds = gauge("look_seconds", "How long the last look took.")
        self.ended = gauge("last_look_timestamp_seconds", "When the last look ended.")
        self.servers = gauge("servers", "Servers with a schedule.")
        self.due = gauge("due", "Images that are due and not started.")
        self.overdue = gauge(
            "overdue_seconds", "How long the image most overdue has been due."
        )
        self.not_imaged = gauge(
            "not_imaged", "Servers of which no image can be made now.", "reason"
        )
        self.under_way = gauge("under_way", "Images that are being made.")
        self.hanging = gauge(
            "hanging", "Images that have been SAVING for so long that they may be lost."
        )
        self.orphans = gauge(
            "orphaned_volume_snapshots",
            "Volume snapshots that are still there although their images are gone.",
        )

    def add(self, region: str, result: StepResult) -> None:
        """Count what has come of a step."""
        if result.result is not Result.NOTHING:
            self.steps.labels(region, result.result.value).inc()
        if result.failed:
            self.failures.labels(region, result.result.value).inc()
        deleted = sum(each.action == "deleted" for each in result.pruned)
        self.deleted.labels(region).inc(deleted)

    def end_look(self, region: str, seconds: float) -> None:
        """Count a look that took so long."""
        self.looks.labels(region, "done").inc()
        self.seconds.labels(region).set(seconds)
        self.ended.labels(region).set_to_current_time()


class Metrics:
    """What the ticks have done so far.

    :param most_servers: with more servers than this, the time of the last success is
        told for each project, not for each server.
    """

    def __init__(self, most_servers: int = 1000) -> None:
        self.registry = CollectorRegistry()
        self._most_servers = most_servers
        self._numbers = Numbers(self.registry)
        # The labels that each region has by now.
        self._told: dict[str, set[tuple[str, str]]] = {}

        def gauge(name: str, text: str) -> Gauge:
            labels = ("region", "project", "server")
            return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

        self._success = gauge(
            "last_success_timestamp_seconds",
            "When the newest ACTIVE scheduled image was made, 0 if there is none; of a"
            " project the oldest of these times.",
        )
        self._interval = gauge(
            "expected_interval_seconds", "The time between two images by the schedule."
        )

    def add(self, region: str, tick: Tick, seconds: float) -> None:
        """Count a tick in a region that took so long."""
        numbers = self._numbers
        for result in tick.results:
            numbers.add(region, result)
        numbers.end_look(region, seconds)
        numbers.servers.labels(region).set(len(tick.servers))
        waits = [
            (tick.now - each.step.slot.due).total_seconds()
            for each in tick.results
            if each.step.slot and (each.left or each.failed)
        ]
        numbers.due.labels(region).set(len(waits))
        numbers.overdue.labels(region).set(max([0.0, *waits]))
        numbers.under_way.labels(region).set(tick.under_way.total())
        hanging = sum(len(each.step.hanging) for each in tick.results)
        numbers.hanging.labels(region).set(hanging)
        orphans = sum(left.orphaned for left in tick.leftovers)
        numbers.orphans.labels(region).set(orphans)
        causes = Count(result.step.cause for result in tick.results)
        for cause in TOLD:
            numbers.not_imaged.labels(region, cause.value).set(causes[cause])
        steps = [each.step for each in tick.results]
        self._tell_success(region, steps, tick.newest)

    def add_failed(self, region: str) -> None:
        """Count a tick that could not look."""
        self._numbers.looks.labels(region, "failed").inc()

    def _tell_success(
        self, region: str, steps: list[Step], newest_images: Mapping[str, datetime]
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
        for gone in self._told.get(region, set()) - set(oldest):
            self._success.remove(region, *gone)
            self._interval.remove(region, *gone)
        self._told[region] = set(oldest)
        for labels, moment in oldest.items():
            self._success.labels(region, *labels).set(moment)
            self._interval.labels(region, *labels).set(longest[labels])


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

        kind = _ThreadedV6 if ":" in host else _Threaded
        self._server = make_server(host, port, app, kind, _Quiet)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
