"""Signals as messages, so that nothing is interrupted between two steps.

A Python program may be interrupted between any two of its steps, also between the
end of a ``try`` and what its ``finally`` does first. Where something must happen
in any case, it is better to note signals, and to check for them where it is safe.
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

#: What ends a program, as far as it can be caught.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)
)


# What would stop the program until it is continued: ^Z, and writing to the
# terminal from the background. That the program reads nothing spares it the third.
_STOPS = tuple(
    getattr(signal, name) for name in ("SIGTSTP", "SIGTTOU") if hasattr(signal, name)
)

# Seconds after which a wait looks for signals by itself: one that another thread
# is handed, as after a SIGSTOP, does not wake the one that waits.
_LONGEST = 0.5


class Interrupted(KeyboardInterrupt):
    """A signal came; ``signum`` is its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_status(self) -> int:
        """The exit status in a shell of a program that this signal has ended."""
        return 128 + self.signum


class SignalCatcher:
    """A context in which signals interrupt nothing but the waits of this object.

    Signals that are ignored stay so: a program under ``nohup`` lives on. What would
    stop the program for a while (^Z) is ignored. In another thread than the main
    one no signal can be caught, and none comes.

    :param catch: whether to catch signals at all.
    """

    def __init__(self, *, catch: bool = True) -> None:
        self._catch = catch
        self._before: dict[int, Any] = {}
        # Putting into a SimpleQueue is safe in a signal handler, whatever it
        # signals; a lock or an Event is not.
        self._wake: SimpleQueue[None] = SimpleQueue()
        #: The first signal that came.
        self.received: int | None = None

    def __enter__(self) -> SignalCatcher:
        if self._catch and threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                handler = signal.getsignal(signum)
                # None: installed from outside Python, and not to be put back.
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
        """Raise if a signal has come.

        :raises Interrupted: then.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
        """Wait; a signal ends it early, if it is interruptible.

        :raises Interrupted: if a signal has come, before or meanwhile.
        """
        self._wait(lambda: False, seconds, interruptible)

    def call(
        self,
        function: Callable[[], Result],
        seconds: float,
        *,
        interruptible: bool = True,
    ) -> Result:
        """Return what ``function`` returns, or leave it alone after a while.

        It runs in a thread of its own, which a service that never answers keeps
        for ever, and which ends with the program.

        :raises TimeoutError: if it takes longer.
        :raises Interrupted: if a signal has come, before or meanwhile.
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
            raise TimeoutError(f"no answer within {seconds:.0f} seconds")
        if errors:
            raise errors[0]
        return results[0]

    def _wait(
        self, done: Callable[[], bool], seconds: float, interruptible: bool
    ) -> bool:
        """Wait for ``done`` and return whether it came in time."""
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
    """Lets the signals of another catcher interrupt what runs in another thread.

    :param leader: what has caught them, or anything else that is to be obeyed.
    """

    def __init__(self, leader: SignalCatcher) -> None:
        super().__init__(catch=False)
        self._leader = leader
        #: Whether it still does: not while something must be brought to its end.
        self.obeys = True

    def check(self) -> None:
        if self.obeys:
            self._leader.check()
