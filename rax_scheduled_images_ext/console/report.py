"""What happened to each of several servers or images, on stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from rax_scheduled_images_ext.console.terminal import ProgressLine, say
from rax_scheduled_images_ext.errors import NotOffered
from rax_scheduled_images_ext.model.freshness import ScheduleStatus
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome, RunInterrupted

LOG = logging.getLogger(__name__)

Item = TypeVar("Item")


class ErrorLine(Protocol):
    """Returns the line about an error, as a shell writes its own.

    ``about`` names what it happened to, where the error does not.
    """

    def __call__(self, error: BaseException, about: str = "") -> str: ...


def attempt(
    items: Iterable[Item],
    action: Callable[[Item], object],
    line: Callable[[Item, Exception], str],
) -> bool:
    """Do ``action`` to every item, whatever becomes of the others.

    Each failure is one line on stderr. Returns whether there was none.
    """
    done = True
    for item in items:
        try:
            action(item)
        except Exception as error:
            LOG.debug("%s", error, exc_info=True)
            say(line(item, error))
            done = False
    return done


class ServerReport:
    """Prints each failure as one line.

    It is the ``report`` of an operation on ``total`` servers, and the context of it.

    :param error_line: returns the line about an error.
    :param succeeded: is called with each server and its result.
    :param failed: is called with each server and its error.
    """

    def __init__(
        self,
        total: int,
        error_line: ErrorLine,
        succeeded: Callable[[Target, Any], object] | None = None,
        failed: Callable[[Target, Exception], object] | None = None,
    ) -> None:
        #: Whether nothing has failed so far.
        self.ok = True
        self._total = total
        self._error_line = error_line
        self._succeeded = succeeded
        self._failed = failed
        self._offered = True
        self._line = ProgressLine()
        self.progress = self._line.show

    def __enter__(self) -> ServerReport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._line.clear()
        if isinstance(error, RunInterrupted):
            say(_summary(error, self._total))

    def __call__(self, outcome: Outcome[Target, Any]) -> None:
        self._line.clear()
        if outcome.error is not None:
            self._failure(outcome.item, outcome.error)
        elif self._succeeded is not None:
            self._succeeded(outcome.item, outcome.value)

    def _failure(self, server: Target, error: Exception) -> None:
        LOG.debug("%s", error, exc_info=error)
        # That a cloud has no scheduled images is said once, not for every server.
        if self._offered or not isinstance(error, NotOffered):
            say(failure(server.label, error, self._total, self._error_line))
        if isinstance(error, NotOffered):
            self._offered = False
        if self._failed is not None:
            self._failed(server, error)
        self.ok = False


def failure(name: str, error: Exception, of: int, error_line: ErrorLine) -> str:
    """Return the line for a failure; one of several names what it happened to."""
    named = (
        hasattr(error, "server_id")
        or isinstance(error, NotOffered)
        or name in str(error)
    )
    return error_line(error) if of == 1 or named else error_line(error, name)


def report_unreadable(servers: list[ScheduleStatus], error_line: ErrorLine) -> bool:
    """Report on stderr which servers could not be read; return whether all could."""
    problems = [(each.server, each.server.problem) for each in servers]
    unreadable = [(server, problem) for server, problem in problems if problem]
    unreadable.sort(key=lambda each: (each[0].name, each[0].id))
    for server, problem in unreadable:
        say(failure(server.name, problem, 2, error_line))
    return not unreadable


def _summary(interrupted: RunInterrupted, of: int) -> str:
    """Return how far an interrupted command has come, in one line."""
    parts = [f"Interrupted: {interrupted.done} of {of} servers done"]
    if interrupted.unknown:
        names = ", ".join(server.label for server in interrupted.unknown)
        parts.append(f"not known whether done: {names}")
    if interrupted.untouched:
        parts.append(f"{len(interrupted.untouched)} not started")
    return "; ".join(parts)
