"""Faults to test clients with: what goes wrong, with which requests, and how often.

Nothing here knows of HTTP servers or the cloud: faults are parsed, matched and counted.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from rax_scheduled_images_ext.model.durations import parse_duration
from rax_scheduled_images_ext.model.task_states import (
    BACKUP,
    COPIED,
    COPYING,
    PENDING,
    UPLOADING,
)

GRAMMAR = """\
A fault is one argument:

  [METHOD] [/PATH] WHAT [while STATE] [after N] [xN]

METHOD is GET, POST and so on, /PATH a regular expression that is searched for in the
path with its query; without them the fault affects any request. WHAT is one of

  refuse             403, as the service words it
  NNN                this error (400 to 599), as the service words it;
                     NNN retry-after=S asks to retry after S seconds,
                     NNN html is a page as proxies send it
  drop               the connection ends without an answer; nothing is done
  lose-answer        the connection ends without an answer; the request is done
  truncate [BYTES]   the content ends after BYTES, by default halfway
  delay DURATION     the answer takes this long (of the real clock)
  expire             tokens issued so far become invalid (once, unless xN)

  while STATE        only while a server has this task state
  after N            not for the first N
  xN                 N times

Faults of snapshots take no METHOD or /PATH:

  WHAT [STATE] [of SERVER] [after N] [xN]

  freeze [STATE]     the snapshot stays in this task state; by default, in its
                     current one
  lose-image [STATE] at the end of this task state the image is gone and the
                     snapshot ends; by default, image_uploading

Faults of volume snapshots take no METHOD, /PATH or STATE:

  WHAT [of SERVER] [after N] [xN]

  fail-volume        the snapshot of a volume of the server ends in error
  hang-volume        it stays creating
  keep-volume        its deletion is accepted, but it becomes available again

If several faults match a request, the first one happens, and delay and expire happen
as well. When faults are cleared, frozen snapshots continue, and volume snapshots that
are creating become available.
"""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: The task states of a snapshot, in order.
STATES = (PENDING, COPYING, COPIED, UPLOADING)

REFUSE, ANSWER, DROP, LOSE, CUT = "refuse", "answer", "drop", "lose-answer", "truncate"
DELAY, EXPIRE = "delay", "expire"
FREEZE, LOSE_IMAGE = "freeze", "lose-image"
FAIL_VOLUME, HANG_VOLUME = "fail-volume", "hang-volume"
KEEP_VOLUME = "keep-volume"
#: Faults that happen in addition to others.
PASSING = (DELAY, EXPIRE)
OF_SNAPSHOTS = (FREEZE, LOSE_IMAGE)
OF_VOLUMES = (FAIL_VOLUME, HANG_VOLUME, KEEP_VOLUME)
_OF_NO_REQUEST = (*OF_SNAPSHOTS, *OF_VOLUMES)
_OF_REQUESTS = (REFUSE, DROP, LOSE, CUT, DELAY, EXPIRE)
_ERRORS = tuple(status.value for status in HTTPStatus if status >= 400)


@dataclass(frozen=True)
class Fault:
    """One fault; ``text`` is what it was parsed from.

    ``kind`` is what goes wrong. An error response has a ``status``, perhaps
    ``retry_after`` in seconds, and may be a page (``html``). ``seconds`` is the length
    of a delay, ``length`` how many bytes a truncated response keeps. ``state`` is the
    task state that a fault of requests waits for, or that a fault of snapshots affects.
    ``times`` None means always.
    """

    text: str
    kind: str
    method: str | None = None
    path: re.Pattern[str] | None = None
    status: int = 0
    retry_after: int | None = None
    html: bool = False
    seconds: float = 0.0
    length: int | None = None
    state: str | None = None
    server: str | None = None
    spared: int = 0
    times: int | None = None

    def concerns(self, method: str, path: str, has_token: bool) -> bool:
        """Whether the fault affects such requests."""
        return (
            self.kind not in _OF_NO_REQUEST
            and self.method in (None, method)
            and (self.path is None or self.path.search(path) is not None)
            # A login has no token that could expire.
            and (has_token or self.kind != EXPIRE)
        )


@dataclass
class Counted:
    """A fault, how often it has matched and how often it has happened."""

    fault: Fault
    met: int = 0
    happened: int = 0

    def happens(self) -> bool:
        """Count one more match; return whether the fault happens now."""
        if self.happened == self.fault.times:
            return False
        self.met += 1
        happens = self.met > self.fault.spared
        self.happened += happens
        return happens


class Faults:
    """The faults of one sandbox, in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._list: list[Counted] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Add some at the end."""
        with self._lock:
            self._list += [Counted(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all."""
        with self._lock:
            self._list.clear()

    def counts(self) -> list[tuple[str, int]]:
        """Return the text of each, and how often it has happened."""
        with self._lock:
            return [(each.fault.text, each.happened) for each in self._list]

    def of_request(
        self,
        method: str,
        path: str,
        *,
        has_token: bool,
        states: Callable[[], Iterable[str]],
    ) -> list[Fault]:
        """Take the faults that happen to a request: at most one besides ``PASSING``.

        :param path: with the query, as sent.
        :param states: returns the servers' present task states.
        """
        with self._lock:
            listed = list(self._list)
        concerned = [c for c in listed if c.fault.concerns(method, path, has_token)]
        # Not asked under the lock: the cloud has a lock of its own.
        now = set(states()) if any(each.fault.state for each in concerned) else set()
        taken: list[Fault] = []
        with self._lock:
            for each in concerned:
                fault = each.fault
                if (not fault.state or fault.state in now) and each.happens():
                    taken.append(fault)
                    if fault.kind not in PASSING:
                        break
        return taken

    def of_volume(self, kinds: Collection[str], *names: str) -> Fault | None:
        """Take the fault of a volume snapshot of the server with these names.

        :param kinds: what may happen to it now.
        """
        return self._take(
            lambda fault: fault.kind in kinds and fault.server in (None, *names)
        )

    def of_snapshot(
        self, *names: str, states: Collection[str] = STATES
    ) -> Fault | None:
        """Take the fault of a snapshot of the server with these names.

        :param states: the task states that are still to come.
        """
        return self._take(
            lambda fault: (
                fault.kind in OF_SNAPSHOTS
                and fault.server in (None, *names)
                and (fault.state is None or fault.state in states)
            )
        )

    def _take(self, meets: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for each in self._list:
                if meets(each.fault) and each.happens():
                    return each.fault
        return None


# How a fault is parsed


def parse_fault(text: str) -> Fault:
    """Parse a fault (see ``GRAMMAR``).

    :raises ValueError: for anything else; the text says what is allowed.
    """
    words = _Words(text)
    values = _subject(words)
    values |= _what(words)
    kind = values["kind"]
    of_request = kind not in _OF_NO_REQUEST
    if not of_request and ("method" in values or "path" in values):
        raise words.wrong(f"{kind} takes no method or path")
    values |= _while(words) if of_request else _of_server(words, kind)
    if words.take("after"):
        values["spared"] = words.number("after")
    if count := words.matching(r"x[0-9]{1,9}"):
        values["times"] = int(count[1:])
        if not values["times"]:
            raise words.wrong("'x0' never happens; the minimum is x1")
    elif values["kind"] == EXPIRE:
        values["times"] = 1
    if words.left:
        raise words.wrong(f"'{words.left[0]}' is unexpected")
    return Fault(text=" ".join(text.split()), **values)


class _Words:
    """The rest of a fault's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.left = text.split()

    def wrong(self, problem: str) -> ValueError:
        return ValueError(
            f"'{self.text}' is not a fault: {problem}; write [METHOD] [/PATH] WHAT"
            " [while STATE] [after N] [xN], such as 'POST /action$ 503 x2'"
        )

    def next(self) -> str:
        """Take the next word, an empty one at the end."""
        return self.left.pop(0) if self.left else ""

    def take(self, word: str) -> bool:
        """Take the next word if it is this one."""
        return bool(self.matching(re.escape(word)))

    def matching(self, pattern: str) -> str | None:
        """Take the next word if it has this form."""
        found = self.left and re.fullmatch(pattern, self.left[0], re.ASCII)
        return self.next() if found else None

    def number(self, behind: str) -> int:
        word = self.next()
        if not re.fullmatch("[0-9]{1,9}", word, re.ASCII):
            raise self.wrong(f"'{word}' after '{behind}' is not a whole number")
        return int(word)

    def state(self) -> str:
        word, known = self.next(), (*STATES, BACKUP)
        if word not in known:
            raise self.wrong(f"'{word}' is not one of {', '.join(known)}")
        return word


# Values of the fields of a Fault.
_Values = dict[str, Any]


def _subject(words: _Words) -> _Values:
    values: _Values = {}
    if words.left and words.left[0].upper() in METHODS:
        values["method"] = words.next().upper()
    if pattern := words.matching("/.*"):
        try:
            values["path"] = re.compile(pattern)
        except re.error as error:
            raise words.wrong(
                f"'{pattern}' is not a regular expression: {error}"
            ) from None
    return values


def _what(words: _Words) -> _Values:
    word = words.next()
    if word == DELAY:
        duration = words.next()
        try:
            return {"kind": word, "seconds": parse_duration(duration)}
        except ValueError as error:
            raise words.wrong(str(error)) from None
    if word == REFUSE:
        return {"kind": ANSWER, "status": HTTPStatus.FORBIDDEN}
    if word == CUT:
        length = words.matching("[0-9]{1,9}")
        return {"kind": word, "length": None if length is None else int(length)}
    if word in (*_OF_REQUESTS, *_OF_NO_REQUEST):
        return {"kind": word}
    if re.fullmatch("[0-9]+", word, re.ASCII):
        return _answer(int(word), words)
    kinds = ", ".join((*_OF_REQUESTS, *_OF_NO_REQUEST))
    raise words.wrong(f"'{word}' is not one of {kinds}, or an HTTP error such as 503")


def _answer(status: int, words: _Words) -> _Values:
    if status not in _ERRORS:
        raise words.wrong(f"{status} is not a known HTTP error from 400 to 599")
    values: _Values = {"kind": ANSWER, "status": status}
    if moment := words.matching("retry-after=[0-9]{1,9}"):
        values["retry_after"] = int(moment.partition("=")[2])
    if words.take("html"):
        values["html"] = True
    return values


def _while(words: _Words) -> _Values:
    return {"state": words.state()} if words.take("while") else {}


def _of_server(words: _Words, kind: str) -> _Values:
    values: _Values = {}
    if kind in OF_SNAPSHOTS and words.left and words.left[0] in STATES:
        values["state"] = words.next()
    if words.take("of"):
        values["server"] = words.next()
        if not values["server"]:
            raise words.wrong("'of' requires the name of a server")
    return values
