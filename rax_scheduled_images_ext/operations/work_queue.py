"""Runs an action on many items at once, in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rax_scheduled_images_ext.client.pool import WORKERS

Item = TypeVar("Item")
Result = TypeVar("Result")


# Seconds that an interrupted run waits for responses to the requests under way.
_GRACE = 2.0
# Seconds between two reports of progress, and between two checks for Ctrl-C: a signal
# that another thread receives does not wake the one that waits.
_TICK = 0.1


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """The result of one item: a ``value``, or the ``error`` that was raised."""

    item: Item
    value: Result | None = None
    error: Exception | None = None

    def result(self) -> Result:
        """Return the value.

        :raises Exception: the error, if there is one.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Report(Generic[Item, Result]):
    """Receives the progress of a run, in the thread that started it.

    :param ended: called by :meth:`ended`; by default nothing, and likewise for
        ``progress``.
    """

    def __init__(
        self,
        ended: Callable[[Outcome[Item, Result]], object] | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self._ended = ended
        self._progress = progress

    def ended(self, outcome: Outcome[Item, Result]) -> None:
        """Note an outcome, in the order of the items."""
        if self._ended is not None:
            self._ended(outcome)

    def progress(self, ended: int, total: int) -> None:
        """Note how many of all items have ended; called from time to time."""
        if self._progress is not None:
            self._progress(ended, total)


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run.

    ``done`` is the number of items that were done. Requests for the ``unknown`` items
    were under way; nothing was sent for the ``untouched`` ones.
    """

    def __init__(
        self, done: int, unknown: Sequence[Any], untouched: Sequence[Any]
    ) -> None:
        super().__init__()
        self.done = done
        self.unknown = tuple(unknown)
        self.untouched = tuple(untouched)


def attempted(item: Item, action: Callable[[Item], Result]) -> Outcome[Item, Result]:
    """Run ``action`` on one item and return its outcome."""
    try:
        return Outcome(item, action(item))
    except Exception as error:
        return Outcome(item, error=error)


def run(
    items: Iterable[Item],
    action: Callable[[Item], Result],
    report: Report[Item, Result] | None = None,
    workers: int = WORKERS,
) -> list[Outcome[Item, Result]]:
    """Run ``action`` on every item, whatever happens to the others.

    :param action: runs in other threads, several at a time.
    :returns: the outcomes in the order of the items.
    :raises RunInterrupted: on Ctrl-C, once all requests under way have ended, or after
        a grace period of two seconds. By then, every finished item has been reported.
    """
    queue = _WorkQueue(list(items), action, report or Report())
    try:
        if len(queue.items) > 1:
            queue.start(workers)
        else:
            queue.work()
        queue.report_all()
    except KeyboardInterrupt:
        raise queue.interrupt() from None
    finally:
        queue.stopped = True
    return queue.reported


class _WorkQueue(Generic[Item, Result]):
    """Items, the threads that work on them, and the outcomes so far."""

    def __init__(
        self,
        items: Sequence[Item],
        action: Callable[[Item], Result],
        report: Report[Item, Result],
    ) -> None:
        self.items = items
        self.action = action
        self.report = report
        self.stopped = False
        self.change = threading.Condition()
        self.started = 0
        self.ended = 0
        self.reported: list[Outcome[Item, Result]] = []
        # Outcomes that are not yet reported, by the number of the item.
        self.waiting: dict[int, Outcome[Item, Result]] = {}

    def start(self, workers: int) -> None:
        for _ in range(min(workers, len(self.items))):
            # Daemons: after an interrupt, nobody waits for a request that hangs.
            threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        while (number := self._next()) is not None:
            outcome = attempted(self.items[number], self.action)
            with self.change:
                self.waiting[number] = outcome
                self.ended += 1
                self.change.notify_all()

    def _next(self) -> int | None:
        with self.change:
            if self.stopped or self.started == len(self.items):
                return None
            self.started += 1
            return self.started - 1

    def report_all(self) -> None:
        while len(self.reported) < len(self.items):
            self.report.progress(self.ended, len(self.items))
            with self.change:
                self.change.wait_for(lambda: len(self.reported) in self.waiting, _TICK)
            while len(self.reported) in self.waiting:
                self._report(self.waiting[len(self.reported)])

    def _report(self, outcome: Outcome[Item, Result]) -> None:
        self.report.ended(outcome)
        del self.waiting[len(self.reported)]
        self.reported.append(outcome)

    def interrupt(self) -> RunInterrupted:
        """Start nothing more, wait briefly for requests under way, and sum up."""
        with self.change:
            self.stopped = True
            if len(self.items) > 1:
                self.change.wait_for(lambda: self.ended == self.started, _GRACE)
            open_ = range(len(self.reported), self.started)
            unknown = [self.items[n] for n in open_ if n not in self.waiting]
            ended = [self.waiting[n] for n in open_ if n in self.waiting]
        for outcome in ended:
            self.report.ended(outcome)
        done = self.started - len(unknown)
        return RunInterrupted(done, unknown, self.items[self.started :])
