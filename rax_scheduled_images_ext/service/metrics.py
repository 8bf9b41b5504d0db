"""Metrics for Prometheus, and whether the service is alive."""

from __future__ import annotations

from collections import Counter as Count
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    make_wsgi_app,
)

from rax_scheduled_images_ext.engine.results import Result, StepResult, Tick
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.space import Spaces
from rax_scheduled_images_ext.model.verify import Finding
from rax_scheduled_images_ext.service.events import NOT_IMAGED
from rax_scheduled_images_ext.service.expected import Expectations
from rax_scheduled_images_ext.service.health import Health

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# When each counter was created is of no use.
disable_created_metrics()  # type: ignore[no-untyped-call]
#: How many requests for metrics are answered at once.
THREADS = 4
#: The prefix of all metrics' names.
PREFIX = "scheduled_images"
# The results that count as failures: a retention that was applied may have failed for
# one of the images.
_FAILURES = (
    Result.FAILED,
    Result.QUOTA,
    Result.GIVEN_UP,
    Result.BROKEN,
    Result.RETAINED,
)


class Numbers:
    """The metrics of ``run`` and of workers, all with the label ``region``.

    :param registry: where they are collected; None if processes share files.
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

        self.steps = counter("steps", "Steps by result.", "result")
        self.failures = counter("failures", "Failed steps by result.", "result")
        self.deleted = counter("deleted", "Images deleted by retention.")
        self.looks = counter("looks", "Scans by how they ended.", "outcome")
        self.proofs = counter(
            "proofs", "Proofs that an image boots, by finding.", "finding"
        )
        self.verify_every = gauge(
            "verify_interval_seconds", "How often an image of each server is proven."
        )
        self.seconds = gauge("look_seconds", "Duration of the last scan.")
        self.ended = gauge("last_look_timestamp_seconds", "When the last scan ended.")
        self.servers = gauge("servers", "Servers with a schedule.")
        self.unprotected = gauge(
            "unprotected", "Servers without a schedule that no exception names."
        )
        self.due = gauge("due", "Images that are due and not started.")
        self.overdue = gauge(
            "overdue_seconds", "How long the image most overdue has been due."
        )
        self.not_imaged = gauge(
            "not_imaged", "Servers whose images cannot be made at present.", "reason"
        )
        self.under_way = gauge("under_way", "Images that are being made.")
        self.hanging = gauge(
            "hanging",
            "Images that have been SAVING for so long that they are probably lost.",
        )
        self.orphans = gauge(
            "orphaned_volume_snapshots",
            "Volume snapshots that are still there although their images are gone.",
        )

    def begin(self, region: str, *outcomes: str) -> None:
        """Count from 0: a counter that first appears with 1 shows no increase.

        :param outcomes: how scans may end.
        """
        for result in Result:
            if result is not Result.NOTHING:
                self.steps.labels(region, result.value)
        for result in _FAILURES:
            self.failures.labels(region, result.value)
        for outcome in outcomes:
            self.looks.labels(region, outcome)
        self.deleted.labels(region)

    def begin_proofs(self, region: str, every: timedelta) -> None:
        """Count proofs from 0 on.

        :param every: how often an image of each server is to be proven.
        """
        self.verify_every.labels(region).set(every.total_seconds())
        for finding in Finding:
            self.proofs.labels(region, finding.value)

    def add_proof(self, region: str, finding: Finding) -> None:
        """Count the result of a proof."""
        self.proofs.labels(region, finding.value).inc()

    def add(self, region: str, result: StepResult) -> None:
        """Count the result of a step."""
        if result.result is not Result.NOTHING:
            self.steps.labels(region, result.result.value).inc()
        if result.failed:
            self.failures.labels(region, result.result.value).inc()
        deleted = sum(each.action == "deleted" for each in result.pruned)
        self.deleted.labels(region).inc(deleted)

    def end_look(self, region: str, seconds: float) -> None:
        """Count a scan that took this long."""
        self.looks.labels(region, "done").inc()
        self.seconds.labels(region).set(seconds)
        self.ended.labels(region).set_to_current_time()


class Metrics:
    """The metrics of ticks.

    :param most_servers: with more servers, times are exported for each project, not
        for each server.
    :param regions: those in which there will be ticks.
    """

    def __init__(self, most_servers: int = 1000, regions: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._most_servers = most_servers
        self.numbers = Numbers(self.registry)
        for region in regions:
            self.numbers.begin(region, "done", "failed")
        self._expectations: dict[str, Expectations] = defaultdict(Expectations)
        self._success = _Values(
            "last_success_timestamp_seconds",
            "When the newest complete scheduled image was made; for a project, the"
            " earliest of these times.",
            self.registry,
        )
        self._expected = _Values(
            "expected_timestamp_seconds",
            "When the next image is due; for a project, the earliest of these times.",
            self.registry,
        )
        self._verified = _Values(
            "verified_timestamp_seconds",
            "When an image was last proven to boot; for a project, the earliest of"
            " these times.",
            self.registry,
        )
        self._space = _Values(
            "space_bytes",
            "Bytes that the images of a server take, as far as known; for a project,"
            " of all its servers.",
            self.registry,
        )
        self._full = _Values(
            "quota_full_timestamp_seconds",
            "When the image quota of a project is likely to be reached; absent if not"
            " within a year.",
            self.registry,
            "limit",
        )
        self._failed_proofs = Gauge(
            f"{PREFIX}_failed_proofs",
            "Servers whose last proof failed.",
            ("region",),
            registry=self.registry,
        )

    def add(self, region: str, tick: Tick, seconds: float) -> None:
        """Count a tick in a region that took this long."""
        numbers = self.numbers
        for result in tick.results:
            numbers.add(region, result)
        numbers.end_look(region, seconds)
        numbers.servers.labels(region).set(len(tick.servers))
        if tick.coverage is not None and tick.coverage.unprotected is not None:
            numbers.unprotected.labels(region).set(tick.coverage.unprotected)
        waits = [
            (tick.now - each.step.since).total_seconds()
            for each in tick.results
            if each.step.since and (each.left or each.failed) and not each.for_owner
        ]
        numbers.due.labels(region).set(len(waits))
        numbers.overdue.labels(region).set(max([0.0, *waits]))
        numbers.under_way.labels(region).set(tick.under_way.total())
        hanging = sum(len(each.step.hanging) for each in tick.results)
        numbers.hanging.labels(region).set(hanging)
        orphans = sum(left.orphaned for left in tick.leftovers)
        numbers.orphans.labels(region).set(orphans)
        causes = Count(result.step.cause for result in tick.results)
        for cause in NOT_IMAGED:
            numbers.not_imaged.labels(region, cause.value).set(causes[cause])
        self._set_times(region, tick)
        if tick.spaces is not None:
            self._set_spaces(region, tick, tick.spaces)

    def set_verified(
        self, region: str, tick: Tick, proven: Mapping[str, datetime], failed: int
    ) -> None:
        """Export when an image of each server was last proven to boot.

        :param failed: the number of servers whose last proof failed.
        """
        self._export(region, self._verified, tick, proven)
        self._failed_proofs.labels(region).set(failed)

    def add_failed(self, region: str) -> None:
        """Count a tick that could not scan."""
        self.numbers.looks.labels(region, "failed").inc()

    def _set_times(self, region: str, tick: Tick) -> None:
        """Export when images were made and are due, where known."""
        expected = self._expectations[region].update(
            tick.results, tick.newest, tick.now
        )
        self._export(region, self._success, tick, tick.newest)
        self._export(region, self._expected, tick, expected)

    def _set_spaces(self, region: str, tick: Tick, spaces: Spaces) -> None:
        """Export what images take, and when quotas are reached."""
        taken: Count[tuple[str, ...]] = Count()
        servers, is_each = self._scheduled(tick)
        for server in servers:
            space = spaces.servers.get(server.id)
            if space is not None:
                project = str(server.project_id)
                taken[project, server.id if is_each else ""] += space.known
        self._space.set(region, taken)
        self._full.set(
            region,
            {
                (project, "images" if full.limit is full.quota.number else "bytes"): (
                    full.day.timestamp()
                )
                for project, full in spaces.quotas.items()
                if full.day is not None
            },
        )

    def _scheduled(self, tick: Tick) -> tuple[list[InventoryServer], bool]:
        """Return the servers with schedules, and whether each is exported."""
        servers = [
            each.step.server for each in tick.results if each.step.server.schedule
        ]
        return servers, len(servers) <= self._most_servers

    def _export(
        self, region: str, gauge: _Values, tick: Tick, moments: Mapping[str, datetime]
    ) -> None:
        servers, is_each = self._scheduled(tick)
        times: dict[tuple[str, ...], float] = {}
        for server in servers:
            if server.id in moments:
                labels = (str(server.project_id), server.id if is_each else "")
                moment = moments[server.id].timestamp()
                times[labels] = min(times.get(labels, moment), moment)
        gauge.set(region, times)


class _Values:
    """A value for each server, or for each project with an empty ``server``."""

    def __init__(
        self, name: str, text: str, registry: CollectorRegistry, *more: str
    ) -> None:
        labels = ("region", "project", *(more or ("server",)))
        self._gauge = Gauge(f"{PREFIX}_{name}", text, labels, registry=registry)
        self._labels: dict[str, set[tuple[str, ...]]] = defaultdict(set)

    def set(self, region: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Export these values of a region, and no others."""
        for gone in self._labels[region] - set(values):
            self._gauge.remove(region, *gone)
        self._labels[region] = set(values)
        for labels, value in values.items():
            self._gauge.labels(region, *labels).set(value)


def metrics_app(
    registry: CollectorRegistry, health: Health | None = None
) -> WSGIApplication:
    """Return the application for ``/metrics``, ``/healthz`` and ``/readyz``.

    :param health: decides ``/healthz`` (is it alive?) and ``/readyz`` (does it work?);
        without it they only show that the process answers.
    """
    metrics = make_wsgi_app(registry)
    problems: dict[str, Callable[[], str | None]] = {
        "/healthz": health.lifeless if health else lambda: None,
        "/readyz": health.unready if health else lambda: None,
    }

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        find_problem = problems.get(environ["PATH_INFO"])
        if find_problem is None:
            content: Iterable[bytes] = metrics(environ, start_response)
            return content
        problem = find_problem()
        status = "200 OK" if problem is None else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain")])
        return [f"{problem or 'ok'}\n".encode()]

    return app
