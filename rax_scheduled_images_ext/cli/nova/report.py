"""What happened to each of many servers, on stderr.

Imported by commands only once they run.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from rax_scheduled_images_ext.cli.nova.commands import LOG, error_line, label, say
from rax_scheduled_images_ext.client.errors import NotOffered
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome, RunInterrupted
from rax_scheduled_images_ext.output.console import ProgressLine

Result = TypeVar("Result")


class ServerReport:
    """Prints each failure as one line; afterwards the command ends with status 1.

    It is the ``report`` of an operation on ``total`` servers, and the context of it.

    :param succeeded: is called with each server and its result.
    :param failed: is called with each server and its error.
    :param ends: False leaves it to the caller to look at ``ok``.
    """

    def __init__(
        self,
        total: int,
        succeeded: Callable[[Target, Any], object] | None = None,
        failed: Callable[[Target, Exception], object] | None = None,
        *,
        ends: bool = True,
    ) -> None:
        #: Whether nothing has failed so far.
        self.ok = True
        self._total = total
        self._succeeded = succeeded
        self._failed = failed
        self._ends = ends
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
        elif error is None and self._ends and not self.ok:
            raise SystemExit(1)

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
            say(failure(server.label, error, self._total))
        if isinstance(error, NotOffered):
            self._offered = False
        if self._failed is not None:
            self._failed(server, error)
        self.ok = False


def failure(name: str, error: Exception, of: int) -> str:
    """Return the line for a failure; one of several names what it happened to."""
    named = (
        hasattr(error, "server_id")
        or isinstance(error, NotOffered)
        or name in str(error)
    )
    if of == 1 or named:
        return error_line(name, error)
    return f"ERROR ({label(error)}): {name}: {error}"


def _summary(interrupted: RunInterrupted, of: int) -> str:
    """Return how far an interrupted command has come, in one line."""
    parts = [f"Interrupted: {interrupted.done} of {of} servers done"]
    if interrupted.unknown:
        names = ", ".join(server.label for server in interrupted.unknown)
        parts.append(f"not known whether done: {names}")
    if interrupted.untouched:
        parts.append(f"{len(interrupted.untouched)} not begun")
    return "; ".join(parts)
