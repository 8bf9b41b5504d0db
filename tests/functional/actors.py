"""Runners that go on request by request, as a test says, side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any

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


class Killed(BaseException):
    """The runner is no more."""


class Actor:
    """A runner's tick in a thread of its own, which waits before each request.

    :param cloud: opens the adapters that are watched over.
    :param act: what to do with the cloud.
    """

    def __init__(self, cloud: Cloud, act: Callable[[Cloud], object]) -> None:
        self.done = False
        self._command = Command.GO
        self._go = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        self.error: BaseException | None = None
        opener = cloud.open_adapter

        def open_adapter(service_type: str, **options: Any) -> Adapter:
            return _Watched(self, opener(service_type, **options))  # type: ignore[return-value]

        watched = Cloud(open_adapter)

        def work() -> None:
            self._wait()
            try:
                act(watched)
            except Killed:
                pass
            except Exception as error:
                self.error = error
            self.done = True
            self._waits.release()

        threading.Thread(target=work, daemon=True).start()
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

    def request(self, send: Callable[[], Response]) -> Response:
        """Do with a request what the test says."""
        command = self._wait()
        if command is Command.KILL:
            raise Killed
        if command is Command.CUT:
            raise ConnectFailure("cut")
        if command is Command.REFUSE:
            response = Response()
            response.status_code = 503
            response._content = b""
            return response
        response = send()
        if command is Command.KILL_AFTER:
            raise Killed
        if command is Command.LOSE:
            raise ConnectFailure("lost")
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
            lambda: self._adapter.request(url, method, **options)
        )
