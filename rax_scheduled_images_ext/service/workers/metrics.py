"""Numbers for Prometheus, of all the processes of the workers on a machine.

prometheus_client's multiprocess mode keeps them in files of a folder that the processes
share (``PROMETHEUS_MULTIPROC_DIR``), so what a killed process has counted stays.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.service import queues
from rax_scheduled_images_ext.service.workers.settings import settings
from rax_scheduled_images_ext.service.workers.tally import Tally

_PREFIX = "scheduled_images"
# Seconds: from at once to the longest that an image is still made after it was due.
_WAITS = (0.1, 1, 10, 60, 300, 900, 3600, 12 * 3600)


class WorkerMetrics:
    """What the tasks have done so far, by region."""

    def __init__(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            names = ("region", *labels)
            return Counter(f"{_PREFIX}_{name}", text, names, registry=None)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(
                f"{_PREFIX}_{name}",
                text,
                ("region",),
                registry=None,
                multiprocess_mode="mostrecent",
            )

        self.steps = counter("steps", "Steps by what came of them.", "result")
        self._failures = counter("failures", "Failed steps by result.", "result")
        self._deleted = counter("deleted", "Images deleted by the retention.")
        self.scans = counter("scans", "Scans by how they ended.", "outcome")
        self.wait = Histogram(
            f"{_PREFIX}_wait_seconds",
            "How long a look has waited in the queue.",
            ("region",),
            registry=None,
            buckets=_WAITS,
        )
        self._gauges = {
            "servers": gauge("servers", "Servers with a schedule, by the last scan."),
            "due": gauge("due", "Images that were due and not begun at the last scan."),
            "oldest": gauge(
                "overdue_seconds", "How long the image most overdue has been due."
            ),
            "invalid": gauge("invalid", "Servers whose schedule is invalid."),
            "under_way": gauge("under_way", "Images that are being made."),
        }
        self._seconds = gauge("scan_seconds", "How long the last scan took.")
        self._ended = gauge("last_scan_timestamp_seconds", "When the last scan ended.")

    def add(self, region: str, result: StepResult) -> None:
        """Count what a look has come to."""
        if result.result is not Result.NOTHING:
            self.steps.labels(region, result.result.value).inc()
        if result.failed:
            self._failures.labels(region, result.result.value).inc()
        deleted = sum(each.action == "deleted" for each in result.pruned)
        self._deleted.labels(region).inc(deleted)

    def end_scan(self, region: str, tally: Tally) -> None:
        """Note what a scan has found."""
        self.scans.labels(region, "done").inc()
        for name, gauge in self._gauges.items():
            gauge.labels(region).set(tally[name])  # type: ignore[literal-required]
        self._seconds.labels(region).set(time.time() - tally["began"])
        self._ended.labels(region).set_to_current_time()


class QueueCollector(Collector):
    """The lengths of the queues, asked for whenever somebody asks for them."""

    def __init__(self, url: str, regions: list[str]) -> None:
        self._url = url
        self._regions = regions

    def collect(self) -> Iterator[Metric]:
        """Yield the lengths, or nothing while the broker cannot be reached."""
        family = GaugeMetricFamily(
            f"{_PREFIX}_queue_messages",
            "Messages that wait in a queue.",
            labels=["queue"],
        )
        for name, number in queues.lengths(self._url, self._regions).items():
            family.add_metric([name], number)
        yield family


_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def _share() -> None:
    """Let all processes of this worker keep their numbers in one folder."""
    if settings().args.metrics_port is not None and _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="scheduled-images-")
        # The others end before this one does, and without this.
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
    # It chose when it was imported, which Celery's own commands may have done before.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


_share()
METRICS = WorkerMetrics()
