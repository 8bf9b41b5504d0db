"""Notifications: a command for failures, and a ping after each tick.

Both run in the background, so that one that hangs delays nothing else.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from rax_scheduled_images_ext.client.time_limits import limit_time
from rax_scheduled_images_ext.engine.results import StepResult
from rax_scheduled_images_ext.service.events import facts_of, log

#: Seconds that a command or a ping may take.
LIMIT = 30.0
# Seconds for cleaning up after the limit.
_SLACK = 1.0

Item = TypeVar("Item")


@dataclass
class Notifier:
    """Runs a command for failures, and requests a URL after each tick.

    :param command: reads the facts of a failure as a JSON object from standard input,
        or ``{"event": "failures", "failures": [...]}`` if several wait.
    :param url: requested after a successful tick.
    :param fail_url: requested after a failed tick, by default ``url`` with ``/fail``
        after its path, as services that monitor cron jobs expect.
    :param cacert: a file with the certificates to trust for pings, None for the
        defaults of the ``requests`` library.
    :param limit: seconds that a command or a ping may take.
    """

    command: Sequence[str] | None = None
    url: str | None = None
    fail_url: str | None = None
    cacert: str | None = None
    limit: float = LIMIT

    def __post_init__(self) -> None:
        # The command, while it runs.
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = _Aside(self._run)
        # Only the latest outcome matters.
        self._pings: _Aside[str] = _Aside(lambda urls: self._get(urls[-1]))

    def failed(self, results: list[StepResult]) -> None:
        """Run the command for these in the background."""
        self.notify(
            *(facts_of(each) | {"event": each.result.value} for each in results)
        )

    def notify(self, *failures: Mapping[str, object]) -> None:
        """Run the command with these facts; its own failure is only logged."""
        if self.command is not None:
            self._failures.add(*failures)

    def ping(self, *, good: bool) -> None:
        """Request the URL; a failure is only logged."""
        if self.url is not None:
            self._pings.add(self.url if good else self.fail_url or fail_url(self.url))

    def close(self, seconds: float | None = None) -> None:
        """Wait for what is in progress, by default as long as one may take.

        What has not ended by then is logged, and a command is killed: it may keep the
        program's stderr open.
        """
        limit = self.limit + _SLACK if seconds is None else seconds
        end = time.monotonic() + limit
        under_way: dict[str, _Aside[Any]] = {
            "on-failure command": self._failures,
            "ping": self._pings,
        }
        for name, aside in under_way.items():
            if not aside.wait(max(0.0, end - time.monotonic())):
                facts = {"reason": f"it takes longer than {limit:g} s"}
                log(logging.ERROR, f"{name} not ended", facts)
        process = self._process
        if process is not None and process.poll() is None:
            _kill(process)

    def _run(self, failures: Sequence[Mapping[str, object]]) -> None:
        several = {"event": "failures", "failures": failures}
        facts = failures[0] if len(failures) == 1 else several
        try:
            self._call(json.dumps(facts).encode())
        except (OSError, subprocess.SubprocessError) as error:
            reason = type(error).__name__
            log(logging.ERROR, "on-failure command failed", {"reason": reason})

    def _call(self, text: bytes) -> None:
        """Run the command, and kill it and its children at the limit.

        :raises OSError: if it cannot be started.
        :raises subprocess.SubprocessError: if it fails or takes too long.
        """
        command = self.command or ()
        process = self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.communicate(text, timeout=self.limit)
        except subprocess.TimeoutExpired:
            _kill(process)
            with suppress(OSError, subprocess.TimeoutExpired):
                process.communicate(timeout=_SLACK)
            raise
        finally:
            self._process = None
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _get(self, url: str) -> None:
        try:
            with requests.Session() as session:
                limit_time(session, self.limit)
                # REQUESTS_CA_BUNDLE is for the cloud: pings go elsewhere.
                trusted = self.cacert or DEFAULT_CA_BUNDLE_PATH
                session.get(url, timeout=self.limit, verify=trusted).raise_for_status()
        except (requests.RequestException, OSError) as error:
            # The URL may be a secret, and the error's text contains it.
            facts = {"host": urlsplit(url).hostname, "reason": type(error).__name__}
            log(logging.ERROR, "ping failed", facts)


def notifier(args: argparse.Namespace) -> Notifier:
    """Return the notifier for the options of a command."""
    return Notifier(args.on_failure, args.ping, args.ping_fail, args.ping_cacert)


def fail_url(url: str) -> str:
    """Return the URL for a failed tick: its path ends with ``/fail``."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children."""
    # It may just have ended, or belong to another user by now.
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass
class _Aside(Generic[Item]):
    """Handles items in its own thread: one call at a time for all that wait.

    The thread exists only while there is something to do.
    """

    handle: Callable[[Sequence[Item]], Any]
    _waiting: list[Item] = field(default_factory=list)
    _running: bool = False
    _change: threading.Condition = field(default_factory=threading.Condition)

    def add(self, *items: Item) -> None:
        """Add items to handle."""
        with self._change:
            self._waiting += items
            if self._waiting and not self._running:
                threading.Thread(target=self._work, daemon=True).start()
                self._running = True

    def wait(self, seconds: float) -> bool:
        """Wait until all is handled; return whether it is."""
        with self._change:
            return self._change.wait_for(lambda: not self._running, seconds)

    def _work(self) -> None:
        while items := self._next():
            try:
                self.handle(items)
            except Exception as error:
                # An unexpected error must not prevent handling later items.
                reason = f"{type(error).__name__}: {error}"
                log(logging.ERROR, "notice failed", {"reason": reason})

    def _next(self) -> list[Item]:
        with self._change:
            items, self._waiting = self._waiting, []
            if not items:
                self._running = False
                self._change.notify_all()
            return items
