"""What was read from a cloud, cached for all users, with its age."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TTLCache

from rax_scheduled_images_ext.panel.words import signed_out

Value = TypeVar("Value")

# How many seconds a failure is shown to all before the cloud is asked again.
_PATIENCE = 5.0
# A reading that took more than these seconds stays fresh this many times as long.
_LONG = 1.0
_SHARE = 5.0


@dataclass(frozen=True)
class Patience:
    """How many seconds to wait: for a first value, and for a newer one if nothing has
    been changed."""

    for_any: float = 12.0
    for_newer: float = 2.0


@dataclass(frozen=True)
class View(Generic[Value]):
    """What is known at a moment.

    ``value`` is None until something has been read; ``age`` is in seconds. ``error`` is
    why the latest reading failed, None if it did not. ``reading`` is how many seconds
    the present reading has taken, None if there is none.
    """

    value: Value | None
    age: float
    error: Exception | None
    reading: float | None


class Reading(Generic[Value]):
    """One thing that is read from a cloud, by one reader at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._value: Value | None = None
        self._read_at = float("-inf")
        self._took = 0.0
        self._error: Exception | None = None
        self._failed_at = float("-inf")
        self._reading: Future[None] | None = None
        self._started = 0.0
        self._changed = 0

    def view(
        self,
        read: Callable[[Value | None], Value],
        fresh: Callable[[Value], float],
        patience: Patience,
    ) -> View[Value]:
        """Return what is known, reading it again if it is not fresh.

        :param read: reads the value, given the previous one.
        :param fresh: returns how many seconds a value stays fresh; a slow reading stays
            fresh for longer, but 0 always means not at all.
        :param patience: how long to wait for a reading.
        """
        started = self._clock()
        # The second time is for a reading that had started before a change.
        for again in (False, True):
            if again and not self._changed:
                break
            reading = self._begin(read, fresh)
            if reading is None:
                break
            known = self._value is not None and not self._changed
            longest = patience.for_newer if known else patience.for_any
            wait([reading], max(0.0, started + longest - self._clock()))
        with self._lock:
            now = self._clock()
            return View(
                self._value,
                now - self._read_at,
                self._error,
                now - self._started if self._reading is not None else None,
            )

    def peek(self) -> Value | None:
        """Return what is known, however old, without reading."""
        with self._lock:
            return self._value

    def changed(self) -> None:
        """Discard what is known; the next user waits."""
        with self._lock:
            self._changed += 1
            self._failed_at = float("-inf")

    def _begin(
        self,
        read: Callable[[Value | None], Value],
        fresh: Callable[[Value], float],
    ) -> Future[None] | None:
        """Return the reading in progress, started if required."""
        with self._lock:
            now = self._clock()
            if self._reading is not None:
                return self._reading
            if self._value is not None and not self._changed:
                good_for = fresh(self._value)
                if good_for and self._took > _LONG:
                    good_for = max(good_for, self._took * _SHARE)
                if now - self._read_at < good_for:
                    return None
            if now - self._failed_at < _PATIENCE:
                return None
            self._reading, self._started = Future(), now
            arguments = (read, self._reading, self._changed)
        threading.Thread(target=self._work, args=arguments, daemon=True).start()
        return arguments[1]

    def _work(
        self,
        read: Callable[[Value | None], Value],
        reading: Future[None],
        changed: int,
    ) -> None:
        value, error = None, None
        try:
            value = read(self._value)
        except Exception as problem:
            error = problem
        with self._lock:
            now = self._clock()
            self._reading, self._error = None, error
            if error is None:
                self._value, self._read_at = value, now
                self._took = now - self._started
                # A change in the meantime may not have been seen.
                self._changed -= changed
            elif not signed_out(error):
                # One user's reading says nothing about another user's token.
                self._failed_at = now
        reading.set_result(None)


class Shelf(Generic[Value]):
    """Readings by key; those that nobody uses any more are forgotten."""

    def __init__(self, size: int, seconds: float) -> None:
        self._lock = threading.Lock()
        self._all: TTLCache[object, Reading[Value]] = TTLCache(size, seconds)

    def changed(self) -> None:
        """Discard what is known for all keys."""
        with self._lock:
            for each in self._all.values():
                each.changed()

    def of(self, key: object) -> Reading[Value]:
        """Return the reading for this key."""
        with self._lock:
            known = self._all.get(key) or Reading()
            # Setting it again restarts its time.
            self._all[key] = known
            return known
