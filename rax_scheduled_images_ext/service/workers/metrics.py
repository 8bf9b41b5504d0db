"""Metrics for Prometheus, of all worker processes on a machine.

prometheus_client's multiprocess mode keeps them in files in a folder that the processes
share (``PROMETHEUS_MULTIPROC_DIR``), so the counts of a killed process stay.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

from kombu.exceptions import OperationalError
from prometheus_client import Histogram, values
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rax_scheduled_images_ext.model.plan import Cause
from rax_scheduled_images_ext.service import queues
from rax_scheduled_images_ext.service.metrics import PREFIX, Numbers
from rax_scheduled_images_ext.service.workers.settings import settings
from rax_scheduled_images_ext.service.workers.tally import Tally

# Seconds: from none to the longest time after which an image is still made.
_WAITS = (0.1, 1, 10, 60, 300, 900, 3600, 12 * 3600)


class WorkerMetrics(Numbers):
    """The metrics of tasks, by region."""

    def __init__(self) -> None:
        super().__init__()
        self.wait = Histogram(
            f"{PREFIX}_wait_seconds",
            "How long a look at one server has waited in the queue.",
            ("region",),
            registry=None,
            buckets=_WAITS,
        )

    def end_scan(self, region: str, tally: Tally) -> None:
        """Record what a scan found."""
        self.end_look(region, time.time() - tally["began"])
        self.servers.labels(region).set(tally["servers"])
        self.due.labels(region).set(tally["due"])
        self.overdue.labels(region).set(tally["oldest"])
        self.under_way.labels(region).set(tally["under_way"])
        self.hanging.labels(region).set(tally["hanging"])
        self.not_imaged.labels(region, Cause.INVALID.value).set(tally["invalid"])


class QueueCollector(Collector):
    """The lengths of the queues, read whenever metrics are collected."""

    def __init__(self, url: str, regions: list[str]) -> None:
        self._url = url
        self._regions = regions

    def collect(self) -> Iterator[Metric]:
        """Yield the lengths, or nothing while the broker cannot be reached."""
        family = GaugeMetricFamily(
            f"{PREFIX}_queue_messages",
            "Messages that wait in a queue.",
            labels=["queue"],
        )
        try:
            lengths = queues.lengths(self._url, self._regions)
        except OperationalError:
            return
        for name, number in lengths.items():
            family.add_metric([name], number)
        yield family


_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def _share() -> None:
    """Make all processes of this worker keep their metrics in one folder."""
    if settings().args.metrics_port is not None and _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="scheduled-images-")
        # The others end before this one, and without this.
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
    # It chose on import, and Celery's own commands may have imported it earlier.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


_share()
METRICS = WorkerMetrics()
for _region in settings().regions:
    METRICS.begin(_region, "done", "failed", "skipped")
    if settings().args.verify_every is not None:
        METRICS.begin_proofs(_region, settings().args.verify_every)
