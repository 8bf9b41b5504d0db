"""The users' sessions, kept on the server; the browser only has an ID."""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cachetools import LRUCache, TTLCache
from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.identity import (
    Login,
    Scope,
    is_accepted,
    revoke,
)
from rax_scheduled_images_ext.panel.jobs import Job
from rax_scheduled_images_ext.panel.places import Place, Readings

LOG = logging.getLogger(__name__)
_MOST = 10_000
# Seconds between two checks of a token.
_CHECK = 300.0
_MOST_JOBS = 500
_MOST_PROBLEMS = 50


@dataclass(frozen=True)
class Message:
    """A sentence for the top of the next page; ``kind`` is ``done``, ``news`` or
    ``failed``, ``label`` what failed."""

    kind: str
    text: str
    label: str = ""


@dataclass(frozen=True)
class Problem:
    """Why a form was refused; ``back`` is where to continue."""

    status: int
    title: str
    text: str
    back: str


@dataclass
class Visitor:
    """A user with a session.

    ``login`` is None for the user who started the panel, ``scope`` None until a project
    is chosen.
    """

    session: Session = field(repr=False)
    login: Login | None = None
    scope: Scope | None = None
    cloud: Cloud | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    messages: list[Message] = field(default_factory=list)
    expired: threading.Event = field(default_factory=threading.Event)
    _checked: float = field(default_factory=time.monotonic, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _left: list[Scope] = field(default_factory=list, repr=False)
    _places: dict[str, Place] = field(default_factory=dict, repr=False)
    _problems: LRUCache[str, Problem] = field(
        default_factory=lambda: LRUCache(_MOST_PROBLEMS), repr=False
    )
    _jobs: TTLCache[str, Job] = field(
        default_factory=lambda: TTLCache(_MOST_JOBS, 24 * 3600), repr=False
    )

    @property
    def user_name(self) -> str:
        """The user's name."""
        if self.scope is not None:
            return self.scope.user_name
        return self.login.user_name if self.login else ""

    def enter(self, scope: Scope, cloud: Cloud) -> None:
        """Choose a project, and leave the previous one."""
        with self._lock:
            if self.scope is not None:
                # What was started there may still need its token.
                self._left.append(self.scope)
            self.scope, self.cloud = scope, cloud
            self._places.clear()

    def place(self, region: str, readings: Readings) -> Place | None:
        """Return a region of the chosen project, None if there is no such region."""
        with self._lock:
            if self.scope is None or self.cloud is None:
                return None
            if region not in self.scope.regions:
                return None
            if region not in self._places:
                cloud = self.cloud.in_region(region)
                self._places[region] = Place(
                    self.scope, region, cloud, readings, self.expired
                )
            return self._places[region]

    def is_accepted(self) -> bool:
        """Whether the cloud still accepts the user's token, as far as known.

        What this user sees may have been read by others, so the token is checked from
        time to time.
        """
        now = time.monotonic()
        if self.login is not None and now - self._checked > _CHECK:
            self._checked = now
            auth = self.scope.auth if self.scope else self.login.auth
            if not is_accepted(self.session, auth):
                self.expired.set()
        return not self.expired.is_set()

    def keep_problem(self, problem: Problem) -> str:
        """Keep a problem for the page that shows it; return its number."""
        number = secrets.token_urlsafe(9)
        with self._lock:
            self._problems[number] = problem
        return number

    def problem(self, number: str) -> Problem | None:
        """Return a problem of this session."""
        with self._lock:
            return self._problems.get(number)

    def say(self, kind: str, text: str) -> None:
        """Say something at the top of the next page."""
        with self._lock:
            self.messages.append(Message(kind, text))

    def job(self, job_id: str) -> Job | None:
        """Return a job of this session."""
        with self._lock:
            return self._jobs.get(job_id)

    def start(
        self, form: Iterable[str], job: Job, work: Callable[[Job], object]
    ) -> tuple[Job, bool]:
        """Start a job for a form, once: a form sent twice finds the same job.

        :param form: the whole form, with its own ID.
        :returns: the job, and whether it had been started before.
        """
        key = hashlib.sha256("\0".join(form).encode()).hexdigest()
        with self._lock:
            known = self._jobs.get(key)
            if known is not None:
                return known, True
            self._jobs[key] = self._jobs[job.id] = job
        job.start(work)
        return job, False

    def announce(self, job: Job, *, again: bool) -> None:
        """Say on the next page what a job has done, once."""
        with self._lock:
            was_announced, job.announced = job.announced, True
            if not was_announced:
                self.messages += [Message(*result) for result in job.results()]
            elif again:
                text = "The same form was sent twice. It was carried out once."
                self.messages.append(Message("news", text))

    def revoke(self) -> None:
        """Revoke all tokens of the session, as far as the cloud permits it."""
        for part in (*self._left, self.scope, self.login):
            if part is None:
                continue
            try:
                revoke(self.session, part.auth)
            except (ClientException, OSError) as error:
                LOG.warning("a token could not be revoked: %s", type(error).__name__)


class Visitors:
    """All sessions; one that is idle for too long ends, and its tokens are revoked."""

    def __init__(
        self, idle: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._all: TTLCache[str, Visitor] = TTLCache(_MOST, idle, clock)

    def add(self, visitor: Visitor) -> None:
        """Start a session."""
        with self._lock:
            ended = self._expired()
            self._all[visitor.id] = visitor
        _revoke_all(ended)

    def find(self, visitor_id: str, *, active: bool) -> Visitor | None:
        """Return the visitor of a session.

        :param active: whether the user has done something; a page that updates itself
            does not keep the session alive.
        """
        with self._lock:
            ended = self._expired()
            visitor = self._all.get(visitor_id)
            if visitor is not None and active:
                self._all[visitor_id] = visitor
        _revoke_all(ended)
        return visitor

    def end(self, visitor: Visitor) -> None:
        """End a session and revoke its tokens."""
        with self._lock:
            self._all.pop(visitor.id, None)
        visitor.revoke()

    def _expired(self) -> list[Visitor]:
        return [visitor for _, visitor in self._all.expire()]


def _revoke_all(visitors: Iterable[Visitor]) -> None:
    for each in visitors:
        threading.Thread(target=each.revoke, daemon=True).start()
