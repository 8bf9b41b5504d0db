"""Many things done at once, over one pool of connections, in step with the cloud."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TextIO, TypeVar

from rax_scheduled_images_ext.client.pool import WORKERS

Item = TypeVar("Item")
Result = TypeVar("Result")


# Seconds that an interrupted run waits for the answers that are under way.
_GRACE = 2.0
# Seconds between two looks of the progress line, and for Ctrl-C: a signal that
# another thread is handed does not wake the one that waits.
_TICK = 0.1


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a ``value``, or the ``error`` that was raised."""

    item: Item
    value: Result | None = None
    error: Exception | None = None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; of the items so many were ``done``, and these were not.

    Of the ``unknown`` ones requests were under way; the ``untouched`` ones were
    not begun.
    """

    def __init__(
        self, done: int, unknown: Sequence[Any], untouched: Sequence[Any]
    ) -> None:
        super().__init__()
        self.done = done
        self.unknown = tuple(unknown)
        self.untouched = tuple(untouched)


@dataclass
class Progress:
    """A line like ``137 of 1000``; only a terminal gets to see it."""

    total: int
    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def __post_init__(self) -> None:
        self.visible = self.total > 1 and self.stream.isatty()

    def show(self, done: int) -> None:
        """Draw the line."""
        self._write(f"\r{done} of {self.total}")

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self.visible:
            self.stream.write(text)
            self.stream.flush()


def attempted(item: Item, action: Callable[[Item], Result]) -> Outcome[Item, Result]:
    """Do one thing and return what became of it."""
    try:
        return Outcome(item, action(item))
    except Exception as error:
        return Outcome(item, error=error)


def run(
    items: Iterable[Item],
    action: Callable[[Item], Result],
    tell: Callable[[Outcome[Item, Result]], None],
    workers: int = WORKERS,
) -> None:
    """Do ``action`` to every item, whatever becomes of the others.

    :param action: is called in other threads, several at a time.
    :param tell: is called in this one with each outcome, in the order of the
        items, as soon as it can be.
    :raises Interrupted: on Ctrl-C, when what is under way has ended, or soon
        after if it does not end; what has ended has then been told.
    """
    crew = _WorkQueue(list(items), action)
    try:
        if len(crew.items) > 1:
            crew.start(workers)
        else:
            crew.work()
        crew.tell_all(tell)
    except KeyboardInterrupt:
        raise crew.interrupt(tell) from None
    finally:
        crew.stopped = True


class _WorkQueue(Generic[Item, Result]):
    """Items, the threads that work on them, and what has come of it so far."""

    def __init__(self, items: Sequence[Item], action: Callable[[Item], Result]) -> None:
        self.items = items
        self.action = action
        self.stopped = False
        self.change = threading.Condition()
        self.begun = 0
        self.ended = 0
        self.told = 0
        # What is not told yet, by the number of the item.
        self.outcomes: dict[int, Outcome[Item, Result]] = {}

    def start(self, workers: int) -> None:
        for _ in range(min(workers, len(self.items))):
            # Daemons: after an interrupt nobody waits for an answer that hangs.
            threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        while (number := self._next()) is not None:
            outcome = attempted(self.items[number], self.action)
            with self.change:
                self.outcomes[number] = outcome
                self.ended += 1
                self.change.notify_all()

    def _next(self) -> int | None:
        with self.change:
            if self.stopped or self.begun == len(self.items):
                return None
            self.begun += 1
            return self.begun - 1

    def tell_all(self, tell: Callable[[Outcome[Item, Result]], None]) -> None:
        progress = Progress(len(self.items))
        try:
            while self.told < len(self.items):
                progress.show(self.ended)
                self._wait()
                if self.told in self.outcomes:
                    progress.clear()
                while self.told in self.outcomes:
                    tell(self.outcomes[self.told])
                    del self.outcomes[self.told]
                    self.told += 1
        finally:
            progress.clear()

    def _wait(self) -> None:
        with self.change:
            self.change.wait_for(lambda: self.told in self.outcomes, _TICK)

    def interrupt(self, tell: Callable[[Outcome[Item, Result]], None]) -> Interrupted:
        """Begin nothing more, wait a little for what is under way, and sum up."""
        with self.change:
            self.stopped = True
            if len(self.items) > 1:
                self.change.wait_for(lambda: self.ended == self.begun, _GRACE)
            waiting = range(self.told, self.begun)
            unknown = [self.items[n] for n in waiting if n not in self.outcomes]
            ended = [self.outcomes[n] for n in waiting if n in self.outcomes]
        for outcome in ended:
            tell(outcome)
        return Interrupted(self.begun - len(unknown), unknown, self.items[self.begun :])
