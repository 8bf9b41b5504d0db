"""Runners that go on request by request, as a test says, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import ConnectFailure
from requests import Response

from rax_scheduled_images_ext.client.cloud import Cloud


class Command(Enum):
    """What happens to a runner's next request."""

    #: It is sent, and answered.
    GO = "go"
    #: The runner is killed before it is sent.
    KILL = "kill"
    #: The runner is killed once it has been done.
    KILL_AFTER = "kill after"
    #: It is done, and the answer is lost.
    LOSE = "lose"
    #: The connection fails before anything is done.
    CUT = "cut"
    #: The service fails, and does nothing.
    REFUSE = "refuse"
    #: The service fails, and leaves an image without data: what Nova answers to one of
    #: two simultaneous requests for a snapshot. Any other request is answered.
    LEAVE = "leave"
    #: The server is busy: a snapshot is refused. Any other request is answered.
    BUSY = "busy"


class Witness(Protocol):
    """Who sees the requests of a runner."""

    def waits(self, method: str, path: str) -> None:
        """Hear that the runner has a request, which waits."""

    def sends(self, method: str, path: str) -> None:
        """Hear that a request is sent now."""

    def answered(self, method: str, path: str, response: Response) -> None:
        """Hear what the answer was."""

    def leave(self, path: str, body: Any) -> bool:
        """Leave an image behind, if the request is one for a snapshot."""


class Killed(BaseException):
    """The runner has died."""


class Actor:
    """A runner's tick in a thread of its own, which waits before each request.

    :param cloud: opens the adapters that are watched over.
    :param act: what to do with the cloud.
    """

    def __init__(
        self, cloud: Cloud, act: Callable[[Cloud], object], witness: Witness
    ) -> None:
        self.done = False
        self.killed = False
        self.error: Exception | None = None
        self.witness = witness
        self._command = Command.GO
        self._go = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        opener = cloud.open_adapter

        def open_adapter(service_type: str, **options: Any) -> Adapter:
            return _Watched(self, opener(service_type, **options))  # type: ignore[return-value]

        watched = Cloud(open_adapter)

        def work() -> None:
            self._wait()
            try:
                act(watched)
            except Killed:
                return
            except Exception as error:
                self.error = error
            self._end()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        self._waits.acquire()

    def step(self, command: Command = Command.GO) -> None:
        """Let the runner come to its next request, or to its end."""
        if not self.done:
            self._command = command
            self._go.release()
            self._waits.acquire()

    def finish(self) -> None:
        """Let the runner come to its end."""
        while not self.done:
            self.step()

    def _wait(self) -> Command:
        self._waits.release()
        self._go.acquire()
        return self._command

    def _end(self) -> None:
        self.done = True
        self._waits.release()

    def _kill(self) -> None:
        self.killed = True
        self._end()
        if threading.current_thread() is self._thread:
            raise Killed
        # A thread that works for the runner: it never comes back.
        threading.Event().wait()

    def request(
        self, method: str, path: str, body: Any, send: Callable[[], Response]
    ) -> Response:
        """Do with a request what the test says."""
        self.witness.waits(method, path)
        command = self._wait()
        if command is Command.KILL:
            self._kill()
        if command is Command.CUT:
            raise ConnectFailure("cut")
        if command is Command.REFUSE:
            return _failure(503)
        if command is Command.LEAVE and self.witness.leave(path, body):
            return _failure(500)
        if command is Command.BUSY and path.endswith("/action"):
            return _failure(409)
        self.witness.sends(method, path)
        response = send()
        if command is Command.KILL_AFTER:
            self._kill()
        if command is Command.LOSE:
            raise ConnectFailure("lost")
        self.witness.answered(method, path, response)
        return response


def _failure(status: int) -> Response:
    """An error of a service, without a reason."""
    response = Response()
    response.status_code = status
    response._content = b""
    return response


class _Watched:
    """An adapter whose requests wait for the test."""

    def __init__(self, actor: Actor, adapter: Adapter) -> None:
        self._actor = actor
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def request(self, url: str, method: str, **options: Any) -> Response:
        """Send a request when the test says so."""
        return self._actor.request(
            method,
            url,
            options.get("json"),
            lambda: self._adapter.request(url, method, **options),
        )
