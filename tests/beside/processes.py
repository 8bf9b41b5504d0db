"""Processes of the service that go on request by request, as a test says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_PUPPET = Path(__file__).with_name("puppet.py")


@dataclass(frozen=True)
class Request:
    """A request that waits to be sent; ``body`` is that of a POST."""

    method: str
    url: str
    body: str | None

    @property
    def is_snapshot(self) -> bool:
        """Whether it is for a snapshot of a server."""
        return self.method == "POST" and self.url.endswith("/action")


class Process:
    """One process of the service at a time, by the code in a folder.

    :param name: of the version.
    :param now: the time that the test lets pass, in seconds.
    :param log: where everything goes that it prints.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        environ: Mapping[str, str],
        now: Callable[[], float],
        log: Path,
    ) -> None:
        self.name, self.log = name, log
        #: The request that waits, None while no command runs.
        self.request: Request | None = None
        #: The exit status of the last command; -9 is written 137.
        self.status: int | None = None
        self._now, self._seen = now, now()
        with log.open("w") as printed:
            self._puppet = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(_PUPPET), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                env=dict(environ),
            )
        assert self._receive() == ["ready"], log.read_text()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._puppet.kill()
        self._puppet.communicate()

    def start(self, argv: Sequence[str]) -> None:
        """Start a command, which comes to its first request."""
        assert self.request is None
        self._seen = self._now()
        self._send(list(argv))

    def step(self, command: str | int = "go") -> None:
        """Let it come to its next request, or to its end.

        :param command: what happens to the request that waits; a number is what it is
            answered with, and nothing is done.
        """
        now = self._now()
        passed, self._seen = now - self._seen, now
        self._send([command, passed])

    def run(self, argv: Sequence[str]) -> int:
        """Let a command come to its end; return its exit status."""
        self.start(argv)
        self.finish()
        assert self.status is not None
        return self.status

    def finish(self) -> None:
        """Let it come to its end."""
        while self.request is not None:
            self.step()

    def _send(self, line: Any) -> None:
        assert self._puppet.stdin is not None
        self._puppet.stdin.write(json.dumps(line).encode() + b"\n")
        self._puppet.stdin.flush()
        said = self._receive()
        self.request = Request(*said[1:]) if said[0] == "request" else None
        if self.request is None:
            self.status = said[1]

    def _receive(self) -> Any:
        assert self._puppet.stdout is not None
        line = self._puppet.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        return json.loads(line)
