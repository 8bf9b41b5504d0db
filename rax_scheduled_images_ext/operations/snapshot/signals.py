"""Turns signals into messages, so that nothing is interrupted between two steps.

A Python program can be interrupted between any two steps, even between the end of a
``try`` and the first step of its ``finally``. If something must happen in any case, it
is better to note signals, and to check for them where it is safe.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")

#: The signals that end a program and can be caught.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)
)


# The signals that suspend a program: ^Z, and writing to the terminal from the
# background. The third one concerns only programs that read from the terminal.
_STOPS = tuple(
    getattr(signal, name) for name in ("SIGTSTP", "SIGTTOU") if hasattr(signal, name)
)

# Seconds after which a wait checks for signals by itself: one that another thread
# receives, as after a SIGSTOP, does not wake the thread that waits.
_LONGEST = 0.5


class Interrupted(KeyboardInterrupt):
    """A signal arrived; ``signum`` is its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_status(self) -> int:
        """The exit status that a shell shows for a program ended by this signal."""
        return 128 + self.signum


class SignalCatcher:
    """A context in which signals interrupt only the waits of this object.

    Ignored signals stay ignored: a program under ``nohup`` keeps running. What would
    suspend the program (^Z) is ignored. Outside the main thread, no signal can be
    caught, and none arrives.

    :param catch: whether to catch signals at all.
    """

    def __init__(self, *, catch: bool = True) -> None:
        self._catch = catch
        self._before: dict[int, Any] = {}
        # Putting into a SimpleQueue is safe in a signal handler, whatever was
        # interrupted; a lock or an Event is not.
        self._wake: SimpleQueue[None] = SimpleQueue()
        #: The first signal that arrived.
        self.received: int | None = None

    def __enter__(self) -> SignalCatcher:
        if self._catch and threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                handler = signal.getsignal(signum)
                # None: installed outside Python, and impossible to restore.
                if handler not in (signal.SIG_IGN, None):
                    self._before[signum] = handler
                    signal.signal(signum, self._note)
            for signum in _STOPS:
                if signal.getsignal(signum) is not None:
                    self._before[signum] = signal.signal(signum, signal.SIG_IGN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signum
        self._wake.put(None)

    def check(self) -> None:
        """Raise an error if a signal has arrived.

        :raises Interrupted: if so.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
        """Wait; a signal ends it early, if it is interruptible.

        :raises Interrupted: if a signal has arrived, before or meanwhile.
        """
        self._wait(lambda: False, seconds, interruptible)

    def call(
        self,
        function: Callable[[], Result],
        seconds: float,
        *,
        interruptible: bool = True,
    ) -> Result:
        """Return what ``function`` returns, or give up after a while.

        It runs in a thread of its own, which ends with the program at the latest, even
        if a service never responds.

        :raises TimeoutError: if it takes longer.
        :raises Interrupted: if a signal has arrived, before or meanwhile.
        """
        if interruptible:
            self.check()
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(function())
            except BaseException as error:
                errors.append(error)
            self._wake.put(None)

        threading.Thread(target=work, daemon=True).start()
        if not self._wait(lambda: bool(results or errors), seconds, interruptible):
            raise TimeoutError(f"no response within {seconds:.0f} seconds")
        if errors:
            raise errors[0]
        return results[0]

    def _wait(
        self, done: Callable[[], bool], seconds: float, interruptible: bool
    ) -> bool:
        """Wait for ``done``; return whether it came in time."""
        end = time.monotonic() + seconds
        while True:
            if done():
                return True
            if interruptible:
                self.check()
            left = end - time.monotonic()
            if left <= 0:
                return False
            try:
                self._wake.get(timeout=min(left, _LONGEST))
            except Empty:
                continue


class Follower(SignalCatcher):
    """Lets the signals of another catcher interrupt the work of another thread.

    :param leader: the catcher to follow.
    """

    def __init__(self, leader: SignalCatcher) -> None:
        super().__init__(catch=False)
        self._leader = leader
        #: Whether it follows: not while something must be completed.
        self.obeys = True

    def check(self) -> None:
        if self.obeys:
            self._leader.check()
