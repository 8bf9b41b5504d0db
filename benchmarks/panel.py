"""The panel's servers page compared with ``scheduled-images-list``, and open pages.

The page is that of a new panel process that has not read the cloud yet, from logging in
until the page with the servers is there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import requests

from .cloud import Cloud, sandbox
from .measure import Failed, Run, ratios, run, wall
from .results import Result, Target
from .setting import Setting

_PART = "f: panel"
_SIZE, _QUICK_SIZE = 10_000, 6
_IMAGES = 7
_SESSIONS = 50
# Seconds between two updates of an open page.
_EVERY = 10.0
_REFRESH = {"X-Panel-Refresh": "1", "HX-Request": "true"}
_FIELD = re.compile(r'name="csrf_token" value="([^"]+)"')


def measure(setting: Setting) -> None:
    """Measure each part at each latency."""
    size = setting.times(_SIZE, _QUICK_SIZE)
    for latency in setting.latencies:
        options = {
            "servers": size - 4,
            "images_per_server": _IMAGES,
            "speed": 0,
            "state": setting.folder / f"fleet-{size}.db",
        }
        with sandbox(setting.folder, latency=latency, **options) as cloud:
            _first_byte(setting, cloud, size, latency)
            if latency == setting.latencies[0]:
                _memory(setting, cloud, size)
    options = {"servers": setting.times(996, 2), "speed": 0}
    with sandbox(setting.folder, **options) as cloud:
        for pages in (1, _SESSIONS):
            _open_pages(setting, cloud, pages)


def _first_byte(setting: Setting, cloud: Cloud, size: int, latency: float) -> None:
    environment = setting.variables(cloud)
    listing = [setting.environments.ours.nova, "scheduled-images-list"]

    def page() -> Run:
        with _panel(environment) as panel:
            return Run(panel.enter(), 0.0, 0.0)

    sides = {"page": page, "list": lambda: run(listing, environment)}
    runs = setting.in_turn(sides, 3)
    took, listed = wall(runs["page"]), wall(runs["list"])
    of = f"of {size} servers"
    setting.report.add(
        Result(_PART, f"first byte of the page {of}", "s wall", took, latency),
        Result(_PART, f"list {of}", "s wall", listed, latency),
        Result(
            _PART,
            f"first byte / list {of}",
            "x wall",
            ratios(took, listed),
            latency,
            Target(1.3),
        ),
    )
    with _panel(environment) as panel:
        panel.enter()
        again = [panel.look() for _ in range(setting.times(10, 2))]
    what = f"first byte of the page {of}, once they are known"
    setting.report.add(Result(_PART, what, "s wall", again, latency))


def _memory(setting: Setting, cloud: Cloud, size: int) -> None:
    """Log in fifty users, each of whom opens the servers page and one server."""
    environment = setting.variables(cloud)
    (server_id,) = cloud.server_ids(1)
    with _panel(environment, "--login") as panel:
        panel.log_in(environment, server_id)
        one = panel.memory()
        for _ in range(_SESSIONS - 1):
            panel.log_in(environment, server_id)
        fifty = panel.memory()
    setting.report.add(
        Result(_PART, f"memory with 1 session, {size} servers", "MiB", [one]),
        Result(
            _PART, f"memory with {_SESSIONS} sessions, {size} servers", "MiB", [fifty]
        ),
    )


def _open_pages(setting: Setting, cloud: Cloud, pages: int) -> None:
    """Count the requests to the cloud while this many pages are open."""
    seconds = setting.times(60, 2) * 1.0
    with _panel(setting.variables(cloud)) as panel:
        panel.enter()
        end = time.monotonic() + seconds
        cloud.requests()

        def stay(number: int) -> None:
            # Nobody opens fifty pages at the same moment.
            time.sleep(_EVERY * number / pages)
            while time.monotonic() < end:
                panel.look(**_REFRESH)
                time.sleep(_EVERY)

        threads = [
            threading.Thread(target=stay, args=(number,)) for number in range(pages)
        ]
        for thread in threads:
            thread.start()
        time.sleep(max(0.0, end - time.monotonic()))
        sent = len(cloud.requests()) * 60 / seconds
        for thread in threads:
            thread.join()
    what = f"requests a minute with {pages} open page{'s' if pages > 1 else ''}"
    setting.report.add(Result(_PART, what, "requests", [sent]))


@dataclass
class _Panel:
    """A running panel, and a session in it."""

    address: str
    process: subprocess.Popen[bytes]
    session: requests.Session
    page: str = ""

    def enter(self) -> float:
        """Log in and wait for the servers; return the seconds to the first byte."""
        begun = time.perf_counter()
        self.page = self._servers(self.session, self.address)
        return time.perf_counter() - begun

    def look(self, **headers: str) -> float:
        """Open the servers page again; return the seconds to the first byte."""
        begun = time.perf_counter()
        with requests.get(
            self.page,
            headers=headers,
            cookies=self.session.cookies,
            stream=True,
            timeout=300,
        ) as answer:
            answer.raise_for_status()
            took = time.perf_counter() - begun
            answer.content  # noqa: B018
        return took

    def log_in(self, environment: Mapping[str, str], server_id: str) -> None:
        """Start another session, and open the servers page and one server."""
        with requests.Session() as session:
            session.trust_env = False
            door = session.get(urljoin(self.address, "/login"), timeout=300)
            token = _FIELD.search(door.text)
            assert token is not None
            fields = {
                "csrf_token": token[1],
                "user": environment["OS_USERNAME"],
                "password": environment["OS_PASSWORD"],
                "domain": environment["OS_USER_DOMAIN_NAME"],
            }
            answer = session.post(door.url, data=fields, timeout=300)
            servers = self._servers(session, answer.url)
            session.get(f"{servers}/{server_id}", timeout=300).raise_for_status()

    def memory(self) -> float:
        """Return the memory of the process in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    @staticmethod
    def _servers(session: requests.Session, address: str) -> str:
        """Open the servers page, and return its address once it shows them."""
        while True:
            with session.get(address, stream=True, timeout=300) as answer:
                # The page that waits for the cloud.
                if answer.status_code != 503:
                    answer.raise_for_status()
                    answer.content  # noqa: B018
                    return answer.url
                address = answer.url


@contextmanager
def _panel(environment: Mapping[str, str], *options: str) -> Iterator[_Panel]:
    """Run the program on any port."""
    program = Path(sys.executable).with_name("scheduled-images-panel")
    with (
        requests.Session() as session,
        subprocess.Popen(
            [program, "--port", "0", *options],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        session.trust_env = False
        try:
            assert process.stdout is not None
            address = re.search(rb"http://\S+", process.stdout.readline())
            if address is None:
                raise Failed("the panel did not start")
            yield _Panel(address[0].decode(), process, session)
        finally:
            process.terminate()
