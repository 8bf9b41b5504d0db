"""Sends requests repeatedly, within time limits."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from requests import codes

from rax_scheduled_images_ext.client.identity import refuses_token
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import ApiError
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher

Seen = TypeVar("Seen")
Result = TypeVar("Result")


LOG = logging.getLogger(__name__)


_TRIES = 3
#: The default number of seconds between two requests.
RETRY = 1.5
# The ID of a request in a service's logs.
_REQUEST_ID = re.compile(r"\breq-[0-9a-f-]{36}\b")
# Seconds that even the last poll before a limit may take.
_LEAST = 1.0


@dataclass(frozen=True)
class Timeouts:
    """Time limits, all in seconds.

    ``hold`` counts from the end of ``before``, ``total`` from the same moment until the
    image is ACTIVE. ``interval`` is the time between two polls of the server while it
    is quiesced (None: as given by :func:`.polling.pace`), ``slow_interval`` the time
    between two later polls of the image. ``answer`` is the limit for a single request.
    ``quiet`` is how long a server must show no sign of a requested snapshot before
    there counts as being none, ``settling`` how long an image may stay unfinished after
    its snapshot is over.
    """

    hold: float = 600.0
    total: float = 21600.0
    interval: float | None = None
    slow_interval: float = 5.0
    answer: float = 15.0
    quiet: float = 10.0
    settling: float = 30.0


class Listener:
    """Receives the progress of a snapshot; this one logs it."""

    def note(self, text: str) -> None:
        """Note an event."""
        LOG.info("%s", text)

    def progress(self, text: str) -> None:
        """Note the present state; called at every poll."""

    def output(self, text: bytes) -> None:
        """Note the output of a hook command."""


@dataclass
class Poller:
    """Sends requests repeatedly, within limits.

    ``interruptible`` is whether signals end a request or a wait.
    """

    signals: SignalCatcher = field(default_factory=lambda: SignalCatcher(catch=False))
    limits: Timeouts = field(default_factory=Timeouts)
    listener: Listener = field(default_factory=Listener)
    clock: Callable[[], float] = time.monotonic
    interruptible: bool = True
    _last_error: str = ""
    # How many polls in a row a service has answered with 401.
    _unauthorized: int = 0

    def call(
        self, function: Callable[[], Result], seconds: float | None = None
    ) -> Result:
        """Send requests, within a time limit.

        :raises TimeoutError: if there is no response by then.
        :raises Interrupted: if a signal arrived.
        """
        limit = self.limits.answer if seconds is None else seconds
        return self.signals.call(function, limit, interruptible=self.interruptible)

    def retry(self, function: Callable[[], Result]) -> Result:
        """Send requests a few times, as long as their errors may pass."""
        for _ in range(_TRIES - 1 if self.interruptible else 0):
            try:
                return self.call(function)
            except PASSING as error:
                self.failed(error)
                self.signals.sleep(self.limits.interval or RETRY)
        return self.call(function)

    def polls(
        self,
        get: Callable[[], Result],
        interval: float | Callable[[float], float] | None,
        limit: float | None,
        *,
        holding: bool = False,
    ) -> Iterator[Result]:
        """Yield what ``get`` returns, every ``interval`` seconds until ``limit``.

        Errors that may pass are noted, and polling continues. If Keystone refuses a new
        token, that does not pass. A service may refuse a valid token while it cannot
        reach Keystone: only its third 401 in a row ends the polling.

        :param interval: a number, or a function such as :func:`pace`, the default for a
            quiesced server.
        :param holding: whether a server is quiesced, so that only the limit counts.
        :param limit: in seconds from now, None for none.
        """
        end = None if limit is None else self.clock() + limit

        def look() -> Result:
            longest = self.limits.answer
            if end is not None:
                # Even a request without a response does not exceed the limit.
                longest = min(longest, max(_LEAST, end - self.clock()))
            result = self.call(get, longest)
            self._last_error = ""
            self._unauthorized = 0
            return result

        return polls(
            look,
            interval=_paced(interval),
            limit=limit,
            clock=self.clock,
            sleep=partial(self.signals.sleep, interruptible=self.interruptible),
            retried=PASSING,
            failed=self.failed if holding else self._failed_for_good,
        )

    def _failed_for_good(self, error: Exception) -> None:
        """Note an error that may pass; raise any other."""
        if is_unauthorized(error):
            self._unauthorized += 1
            if not isinstance(error, ApiError) or self._unauthorized == _TRIES:
                raise error
        else:
            self._unauthorized = 0
        self.failed(error)

    def failed(self, error: Exception) -> None:
        """Note an error that does not end the polling, once as long as it stays the
        same.
        """
        text = " ".join(str(error).split()) or type(error).__name__
        # Every request has a different ID.
        error_itself = _REQUEST_ID.sub("", text)
        if error_itself != self._last_error:
            self.listener.note(f"{text}; trying again")
        self._last_error = error_itself


def is_unauthorized(error: Exception) -> bool:
    """Whether a service, or Keystone, does not accept the user's token."""
    if isinstance(error, ApiError):
        return error.status == codes.unauthorized
    return refuses_token(error)


def pace(elapsed: float) -> float:
    """Return the seconds until the next poll of a quiesced server.

    After a short copy, the server should not stay quiesced for half as long again, and
    no minute should have more than forty requests. So polls are frequent at first, and
    become less frequent within a quarter of a minute.

    :param elapsed: seconds since the first poll.
    """
    return min(0.5 + elapsed / 10, 1.8)


def _paced(
    interval: float | Callable[[float], float] | None,
) -> Callable[[float], float]:
    if interval is None:
        return pace
    return interval if callable(interval) else lambda _elapsed: interval


def polls(
    get: Callable[[], Seen],
    *,
    interval: Callable[[float], float],
    limit: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    retried: tuple[type[Exception], ...],
    failed: Callable[[Exception], None],
) -> Iterator[Seen]:
    """Yield what ``get`` returns, repeatedly, until ``limit``.

    The time that ``get`` takes is part of the interval. It is called immediately, and
    for the last time when the limit is reached; then the iteration ends.

    :param interval: returns the seconds until the next poll, given the seconds since
        the first one.
    :param limit: seconds from now, None for none.
    :param retried: the errors of ``get`` after which polling continues; each is passed
        to ``failed``.
    """
    due = begin = clock()
    end = None if limit is None else begin + limit
    while True:
        try:
            seen = get()
        except retried as error:
            failed(error)
        else:
            yield seen
        now = clock()
        if end is not None and now >= end:
            return
        due = max(due + interval(due - begin), now)
        wake = due if end is None else min(due, end)
        sleep(wake - now)
