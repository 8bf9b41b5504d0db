"""A cloud for workers whose time passes in steps, and that tells when all is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service import queues

from .broker import Broker

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REGION = "RegionOne"
# Seconds without a request after which nobody is at work any more.
_SILENCE = 0.4


class Rehearsal:
    """Watches the requests to a sandbox cloud, and moves its time."""

    def __init__(self, sandbox: Sandbox, broker: Broker) -> None:
        self.sandbox = sandbox
        self.broker = broker
        self.scans = 0
        self.requests = 0
        self.longest_queue = 0
        self._running = 0
        self._last = time.monotonic()
        self._lock = threading.Lock()
        sandbox.wrap(self._watch)

    def now(self) -> datetime:
        """The cloud's time."""
        return datetime.fromtimestamp(self.sandbox.advance(0), timezone.utc)

    def schedule(self, servers: dict[str, ImageSchedule]) -> None:
        """Give servers schedules."""
        with self.sandbox.region() as region:
            for server_id, schedule in servers.items():
                region.servers.set_tags(server_id, (MARKER_TAG, schedule_tag(schedule)))

    def schedule_all(self) -> list[str]:
        """Give all servers a daily schedule that keeps one image; return their IDs."""
        ids = [server.id for server in self.sandbox.servers()]
        self.schedule(dict.fromkeys(ids, ImageSchedule(1)))
        return ids

    def wait_for_scan(self, seconds: float = 60, scans: int = 1) -> bool:
        """Wait until a new scan was made, and all that it has sent is done.

        :returns: False if that did not come in time.
        """
        wanted, deadline = self.scans + scans, time.monotonic() + seconds
        while True:
            waiting = self.waiting()
            self.longest_queue = max(self.longest_queue, waiting or 0)
            if self.scans >= wanted and waiting == 0 and self._is_quiet():
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    def waiting(self) -> int | None:
        """How many messages wait for workers, None while the broker is away."""
        try:
            return queues.lengths(self.broker.url, [REGION]).get(queues.work(REGION), 0)
        except Exception:
            return None

    def _is_quiet(self) -> bool:
        with self._lock:
            return not self._running and time.monotonic() - self._last >= _SILENCE

    def _watch(self, app: WSGIApplication) -> WSGIApplication:
        def watched(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            with self._lock:
                self.requests += 1
                self._running += 1
            try:
                return list(app(environ, start_response))
            finally:
                path = environ["PATH_INFO"] + "?" + environ.get("QUERY_STRING", "")
                with self._lock:
                    self._running -= 1
                    self._last = time.monotonic()
                    # The first page of a scan.
                    if "/servers/detail?" in path and "marker=" not in path:
                        self.scans += 1

        return watched
