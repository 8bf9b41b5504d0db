"""Changes that users request: each is done once, in its own thread."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import TypeVar

from rax_scheduled_images_ext.client.pool import started
from rax_scheduled_images_ext.panel.words import in_words

Result = TypeVar("Result")

LOG = logging.getLogger(__name__)


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """Return the result of a function, if it returns in time.

    :raises TimeoutError: if it takes longer; it keeps running then.
    """
    try:
        return started(function).result(seconds)
    except FutureTimeout:
        raise TimeoutError(f"no response within {seconds:.0f} seconds") from None


@dataclass(frozen=True)
class Failure:
    """What failed, and why, in words."""

    label: str
    text: str


@dataclass
class Job:
    """A change in progress or done.

    ``title`` says what is done, such as "Daily schedule, keep 7"; ``then`` is the URL
    of the page to go to; ``ended`` of ``total`` items are over, and ``done`` succeeded.
    ``notes`` are sentences about what was done, ``news`` about what has only started,
    or was left unchanged. ``log`` is what has happened so far, ``now`` what was seen
    last. ``undo`` is the URL of the page that undoes it, ``password`` one that the
    cloud has set, which is shown nowhere else.
    """

    title: str
    then: str
    total: int = 1
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    ended: int = 0
    done: int = 0
    notes: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    now: str = ""
    undo: str | None = None
    password: str | None = field(default=None, repr=False)
    announced: bool = False
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def over(self) -> bool:
        """Whether all of it has succeeded or failed."""
        return self._over.is_set()

    def did(self, note: str = "") -> None:
        """Record a success, with a sentence about it."""
        self.done += 1
        if note:
            self.notes.append(note)

    def progress(self, ended: int, total: int) -> None:
        """Record how many are over."""
        self.ended, self.total = ended, total

    def fail(self, label: str, error: Exception) -> None:
        """Record a failure."""
        self.failures.append(Failure(label, in_words(error)))

    def wait(self, seconds: float) -> bool:
        """Wait until it is over; return whether it is."""
        return self._over.wait(seconds)

    def start(self, work: Callable[[Job], object]) -> None:
        """Do the work; an exception is a failure of the whole."""
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def results(self) -> list[tuple[str, str, str]]:
        """Return what succeeded and failed: a kind, a sentence and a label each."""
        done = [("done", note, "") for note in self.notes]
        news = [("news", note, "") for note in self.news]
        failed = [("failed", each.text, each.label) for each in self.failures]
        return done + news + failed

    def _run(self, work: Callable[[Job], object]) -> None:
        try:
            work(self)
        except Exception as error:
            LOG.debug("%s failed", self.title, exc_info=True)
            self.fail(self.title, error)
        self.ended = self.total
        self._over.set()
