"""Reports on stderr what happened to each of several items."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from rax_scheduled_images_ext.console.terminal import Progress, say
from rax_scheduled_images_ext.errors import NotOffered, SimpleOnly
from rax_scheduled_images_ext.operations.work_queue import (
    Outcome,
    Report,
    RunInterrupted,
)

LOG = logging.getLogger(__name__)
#: The errors that say of a cloud what it lacks, whatever the server.
LACKING = (NotOffered, SimpleOnly)


class ErrorLine(Protocol):
    """Returns the line about an error, in the form of the shell's own errors.

    ``about`` names the item, where the error does not.
    """

    def __call__(self, error: BaseException, about: str = "") -> str: ...


class Waits:
    """Reports a wait for a busy service, once for all threads that wait.

    :param report: called with the line, from any thread.
    """

    def __init__(self, report: Callable[[str], object]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._until = 0.0

    def __call__(self, service: str, seconds: float) -> None:
        with self._lock:
            now = time.monotonic()
            new = now >= self._until
            self._until = max(self._until, now + seconds)
        if new and seconds >= 1:
            self._report(
                f"The {service} service is busy: trying again in {seconds:.0f} s"
            )


@dataclass(frozen=True)
class Console:
    """How a shell reports errors.

    ``error_line`` returns the line about an error, ``failed_delete`` the one about an
    image that could not be deleted. ``waits`` is for :class:`.Cloud`.
    """

    error_line: ErrorLine
    failed_delete: Callable[[str, Exception], str]
    waits: Waits = field(default_factory=lambda: Waits(say))

    def error(self, error: BaseException, about: str = "") -> None:
        """Report an error."""
        LOG.debug("%s", error, exc_info=error)
        say(self.error_line(error, about))

    def failure(self, name: str, error: Exception, total: int) -> None:
        """Report a failure; with several items, it names the item as typed."""
        clear = total == 1 or isinstance(error, LACKING) or _names(error, name)
        self.error(error, "" if clear else name)

    def not_deleted(self, image: str, error: Exception) -> None:
        """Report that an image could not be deleted."""
        LOG.debug("%s", error, exc_info=error)
        say(self.failed_delete(image, error))

    def report(
        self,
        items: Sized,
        succeeded: Callable[[Any, Any], object] | None = None,
        failed: Callable[[Any, Exception], object] | None = None,
        *,
        noun: str = "servers",
    ) -> ConsoleReport:
        """Return the callbacks of an operation on several items.

        :param succeeded: called with each item and its result.
        :param failed: called with each item and its error.
        """
        return ConsoleReport(self, len(items), succeeded, failed, noun)


class ConsoleReport(Report[Any, Any]):
    """Prints each failure as one line; the operation runs in its context.

    Items are named as the user typed them.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        succeeded: Callable[[Any, Any], object] | None = None,
        failed: Callable[[Any, Exception], object] | None = None,
        noun: str = "servers",
    ) -> None:
        #: Whether nothing has failed so far.
        self.ok = True
        self.console = console
        self._total = total
        self._succeeded = succeeded
        self._failed = failed
        self._noun = noun
        self._lacking: set[type[Exception]] = set()

    def __enter__(self) -> ConsoleReport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        Progress.clear()
        if isinstance(error, RunInterrupted):
            say(_summary(error, f"{self._total} {self._noun}"))

    def progress(self, ended: int, total: int) -> None:
        Progress.show(ended, total)

    def ended(self, outcome: Outcome[Any, Any]) -> None:
        if outcome.error is not None:
            self.failure(outcome.item, outcome.error)
        elif self._succeeded is not None:
            self._succeeded(outcome.item, outcome.value)

    def failure(self, item: Any, error: Exception) -> None:
        """Report what has become of an item."""
        self.ok = False
        # What the cloud lacks is reported once, not for every server.
        lacking = {kind for kind in LACKING if isinstance(error, kind)}
        if not lacking or not lacking <= self._lacking:
            self.console.failure(str(item), error, self._total)
        self._lacking |= lacking
        if self._failed is not None:
            self._failed(item, error)


def _names(error: Exception, name: str) -> bool:
    """Whether an error names its item as the user typed it."""
    quoted = re.escape(name)
    pattern = rf"\b(server|image) {quoted}(?![^\s:;,])|'{quoted}'"
    return re.search(pattern, str(error), re.IGNORECASE) is not None


def _summary(interrupted: RunInterrupted, of: str) -> str:
    """Return the progress of an interrupted command, as one line."""
    parts = [f"Interrupted: {interrupted.done} of {of} done"]
    if interrupted.unknown:
        names = ", ".join(map(str, interrupted.unknown))
        parts.append(f"result unknown: {names}")
    if interrupted.untouched:
        parts.append(f"{len(interrupted.untouched)} not started")
    return "; ".join(parts)
