"""``scheduled-images-service run``, measured from the end of one scan to the next."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Empty, Queue

from .environments import Environment
from .measure import Failed
from .meter import Meter, Usage

# Seconds that a scan may take.
_LONG = 3600.0


class Looks:
    """A running service, whose ping shows when a scan is over.

    ``next`` returns what the services have done since the end of the previous scan, or
    the start of the program. ``peak`` is the peak memory so far, in MiB.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], ended: Queue[str], meter: Meter
    ) -> None:
        self._process, self._ended, self._meter = process, ended, meter
        self._before = meter.read()

    def next(self) -> Usage:
        """Wait for the end of a scan, and return its cost.

        :raises Failed: if something failed in it.
        """
        path = self._wait()
        if path != "/":
            raise Failed("a scan of run failed")
        now = self._meter.read()
        used, self._before = now - self._before, now
        return used

    def _wait(self) -> str:
        deadline = time.monotonic() + _LONG
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(Empty):
                return self._ended.get(timeout=1)
        raise Failed("the service has ended, or a scan took more than an hour")

    @property
    def peak(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024


@contextmanager
def looks(
    environment: Environment,
    variables: Mapping[str, str],
    meter: Meter,
    every: str,
    *options: str,
) -> Iterator[Looks]:
    """Run the service of an environment with this interval between scans."""
    meter.wait()
    ended: Queue[str] = Queue()
    with _listening(ended.put) as address:
        argv = [environment.service, "run", "--every", every, "--ping", address]
        argv += options
        with subprocess.Popen(
            argv, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield Looks(process, ended, meter)
            finally:
                process.terminate()


@contextmanager
def _listening(tell: Callable[[str], object]) -> Iterator[str]:
    """Listen for pings; yields the URL to ping."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            tell(self.path)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
