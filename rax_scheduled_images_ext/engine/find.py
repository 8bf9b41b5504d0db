"""Finds what is due, for ``tick``, ``run``, ``plan``, ``status`` and the workers.

A scan reads the servers with schedules, and only those images that can matter: the
changed ones, and those that are not settled. Its results are hints: before acting on
one, the server is read again.

A service that keeps running reads all servers only occasionally, and otherwise what has
changed. What it remembers either cannot become untrue, or only saves requests.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain

from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import (
    ALL_PROJECTS,
    date_of,
    next_marker,
)
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.limits import Limits, being_made, under_way
from rax_scheduled_images_ext.engine.making import image_service
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import (
    PENDING_KEY,
    SLOT_KEY,
    ServerImage,
    made_by_run,
)
from rax_scheduled_images_ext.model.note import Note, notes_of
from rax_scheduled_images_ext.model.plan import (
    CLOCK_DIFFERENCE,
    Action,
    Cause,
    Known,
    Policy,
    Step,
    is_over,
    plan,
)
from rax_scheduled_images_ext.model.slots import period_of

# The first scan reads the images that changed within this time: all that can belong to
# the latest slot of a daily schedule.
_DAY = timedelta(hours=25)
# Images with these statuses may still fail.
_OPEN = frozenset({"SAVING", "ERROR", "DELETED"})
# How long pending images need not be listed by their metadata.
_LISTED = timedelta(minutes=30)
# The number of IDs in one request: some servers accept only 4 kB, including the token.
_IDS = 50
# How long not to read all images again, where that is done.
_SURVEY = timedelta(days=1)
# The number of servers without any image that each scan checks for a missed one.
_DOUBTS = 20
# How long an image that is not proven complete is not checked again.
_UNPROVEN = timedelta(minutes=5)

# Causes that may pass at any moment without a change in the hint.
_PASSING = frozenset(
    {Cause.BUSY, Cause.SLOW, Cause.STATUS, Cause.INVALID, Cause.UNKNOWN}
)

_Key = tuple[str, str | None]


@dataclass(frozen=True)
class OpenImages:
    """The images that can change what is due: read in every scan.

    ``by_server`` are those that are not settled, in progress or hidden, ``hidden`` only
    the hidden ones, and ``empty`` those without data so far: claims, notes, and images
    left behind.
    """

    by_server: Mapping[str, list[ServerImage]]
    hidden: Mapping[str, list[ServerImage]]
    making: list[ServerImage]
    empty: list[ServerImage]
    notes: Mapping[_Key, list[Note]]

    @classmethod
    def read(cls, images: ImageStore, pending: Iterable[ServerImage]) -> OpenImages:
        """Read them, in addition to the pending ones: two requests."""
        hidden = list(images.list(snapshots=True, hidden=True))
        return cls.of(chain(being_made(images), pending), hidden)

    @classmethod
    def of(
        cls, images: Iterable[ServerImage], hidden: Iterable[ServerImage]
    ) -> OpenImages:
        """Select them from these images."""
        hidden = list(hidden)
        found = {image.id: image for image in chain(images, hidden)}
        return cls(
            _by_server(found.values()),
            _by_server(hidden),
            [image for image in found.values() if image.status == "SAVING"],
            [image for image in found.values() if image.is_queued],
            notes_of(hidden),
        )


@dataclass
class KnownImages:
    """The newest image of each server that is known to be complete; thread-safe."""

    _known: dict[_Key, Known] = field(default_factory=dict)
    # The images that are not settled, according to changes, and when all were listed.
    _pending: set[str] = field(default_factory=set)
    _listed: datetime | None = None
    # Since when to read changes, by the cloud's clock.
    _since: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, images: ImageStore, now: datetime) -> None:
        """Read the images that changed since the last time.

        The first time, those of the last day.
        """
        with self._lock:
            since = self._since or now - _DAY
            for image in images.list(changed_since=since):
                self._add(image)
            self._since = now - CLOCK_DIFFERENCE

    def read_all(self, images: Iterable[ServerImage], now: datetime) -> None:
        """Record all existing images."""
        with self._lock:
            self._pending.clear()
            for image in images:
                self._add(image)
            self._since = now - CLOCK_DIFFERENCE
            self._listed = now

    def pending(self, images: ImageStore, now: datetime) -> list[ServerImage]:
        """Read the pending images, as they are now.

        Finding them by metadata is slow in an image service with many images; reading
        them by ID costs next to nothing.
        """
        with self._lock:
            if self._listed is None or now - self._listed >= _LISTED:
                found = list(images.list(pending=True))
                self._listed = now
            else:
                found = [
                    image
                    for some in _portions(sorted(self._pending))
                    for image in images.list(ids=some, pending=True)
                ]
            self._pending = {image.id for image in found}
            return found

    def of(self, server: InventoryServer) -> Known | None:
        """Return the newest known image of a server, None if unknown."""
        return self._known.get((server.id, server.project_id))

    def newest(self, servers: Iterable[InventoryServer]) -> dict[str, datetime]:
        """Return when the newest image of each server was made, where known."""
        known = ((server.id, self.of(server)) for server in servers)
        return {
            server_id: each.created
            for server_id, each in known
            if each is not None and each.created is not None
        }

    def verify(self, images: ImageStore, servers: Iterable[InventoryServer]) -> None:
        """Check that the newest images still exist, and find others if not.

        It is remembered when the last one was made.
        """
        servers = list(servers)
        dates = [known.created for s in servers if (known := self.of(s)) is not None]
        since = max(filter(None, dates), default=None)
        if since is None:
            return
        there = {image.id for image in images.list(changed_since=since - _DAY)}
        for server in servers:
            known = self.of(server)
            if known is None or known.created is None or known.created < since - _DAY:
                continue
            if known.image_id not in there:
                self._find_newest(images, server, known)

    def _find_newest(
        self, images: ImageStore, server: InventoryServer, known: Known
    ) -> None:
        key = (server.id, server.project_id)
        self._known[key] = replace(known, created=None, image_id="")
        found = [i for i in images.list(server_id=server.id) if _is_settled(i)]
        newest = max(found, key=lambda image: str(image.created), default=None)
        if newest is not None and newest.owner == server.project_id:
            self._known[key] = replace(
                known, created=newest.created, image_id=newest.id
            )

    def _add(self, image: ServerImage) -> None:
        if PENDING_KEY in image.metadata:
            self._pending.add(image.id)
        if not _is_settled(image):
            return
        key = (str(image.server_id), image.owner)
        made, before = image.created, self._known.get(key)
        if before is None or before.made is None or (made and before.made <= made):
            self._known[key] = Known(
                made,
                image.metadata.get(SLOT_KEY, ""),
                period_of(image),
                made,
                image.id,
            )


def _portions(ids: list[str]) -> Iterator[list[str]]:
    """Yield IDs in groups that fit into a URL."""
    for first in range(0, len(ids), _IDS):
        yield ids[first : first + _IDS]


def _is_settled(image: ServerImage) -> bool:
    """Whether a run made the image, and it needs nothing more."""
    return (
        image.status not in _OPEN
        and PENDING_KEY not in image.metadata
        and made_by_run(image, str(image.server_id))
    )


@dataclass(frozen=True)
class Page:
    """The hints for a page of servers, by the cloud's clock.

    ``steps`` are the hints, ``marker`` is where the next page starts, None on the last
    page, and ``under_way`` counts the snapshots in progress by project.
    With ``is_survey``, ``open`` has all snapshots.
    """

    now: datetime
    steps: list[Step]
    marker: str | None
    under_way: Counter[str]
    open: OpenImages
    is_survey: bool = False

    @cached_property
    def make(self) -> list[Step]:
        """The servers whose images are due, longest overdue first."""
        due = [step for step in self.steps if step.action is Action.MAKE]
        return sorted(due, key=lambda step: str(step.slot and step.slot.due))

    def make_next(self, limits: Limits, waiting: int) -> list[Step]:
        """Return the servers with due images that may fit into the limits.

        For each free place these are the longest overdue one, and one at random: an
        image that cannot be made stays due, and must not hold up others for ever.

        :param waiting: how many are already queued.
        """
        due, places = self.make, limits.free_in_region(self.under_way)
        chosen: dict[str, Step] = {}
        projects: Counter[str] = Counter()
        for turn, steps in enumerate((due, random.sample(due, len(due))), 1):
            for step in steps:
                project = str(step.server.project_id)
                own = turn * (limits.project - self.under_way[project])
                room = waiting + len(chosen) < turn * places
                if room and projects[project] < own and step.server.id not in chosen:
                    chosen[step.server.id] = step
                    projects[project] += 1
        return list(chosen.values())

    @property
    def look_after(self) -> list[Step]:
        """The servers with images to settle or discard."""
        others = (Action.NOTHING, Action.MAKE)
        return [step for step in self.steps if step.action not in others]


@dataclass(frozen=True)
class _Answer:
    """The remembered result of a hint."""

    hint: Step
    result: StepResult
    until: datetime

    def is_of(self, hint: Step) -> bool:
        """Whether it is the result of a hint."""
        known = self.hint
        return (
            known.action is hint.action
            and known.slot == hint.slot
            and known.note == hint.note
            and [i.id for i in known.unsettled] == [i.id for i in hint.unsettled]
        )


def see_nothing(answer: ApiResponse) -> None:
    """Ignore a response."""


@dataclass
class Finder:
    """Finds what is due for the servers of projects.

    :param refresh: how long not to read all servers again.
    :param newest: whether to know when the newest image of each server was made, and
        what all of them take: all images are read once a day for that.
    """

    projects: Projects
    policy: Policy = field(default_factory=Policy)
    refresh: timedelta = timedelta()
    newest: bool = False
    clock: Clock = field(default_factory=Clock)
    known: KnownImages = field(default_factory=KnownImages)
    #: Called with each response that has servers with a schedule.
    seen: Callable[[ApiResponse], object] = see_nothing
    _servers: dict[str, InventoryServer] = field(default_factory=dict)
    # By the cloud's clock.
    _refreshed: datetime | None = None
    _since: datetime | None = None
    _surveyed: datetime | None = None
    _answers: dict[str, _Answer] = field(default_factory=dict)

    def pages(
        self,
        marker: str | None = None,
        *,
        seconds: float | None = None,
    ) -> Iterator[Page]:
        """Read pages of servers, at least one, and return the hints for each.

        The next page is requested while the caller handles one.

        :param marker: the last server of the previous page, None for the first page.
        :param seconds: how long to request further pages, None to read all.
        :raises NotOffered: if the cloud has no server tags.
        :raises UsageError: if it has no image service.
        :raises ApiError: if the marker's server is gone.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        images = image_service(self.projects.listing)
        answers = self._server_pages(
            {} if marker is None else {"marker": marker}, deadline
        )
        first = next(answers)
        found = self._open(images, date_of(first))
        for answer in chain([first], answers):
            servers = self._servers_of(answer)
            yield self._page(servers, found, answer, next_marker(answer))

    def find(self) -> Page:
        """Return the hints for all servers.

        :raises NotOffered: if the cloud has no server tags.
        :raises UsageError: if it has no image service.
        """
        if self.newest and self._is_survey_due():
            return self.survey()
        images = image_service(self.projects.listing)
        refreshed = self._refreshed
        first = self._read_servers()
        now = date_of(first)
        if self.newest and refreshed != self._refreshed:
            self.known.verify(images, self.servers)
        found = self._open(images, now)
        page = self._page(self._servers.values(), found, first, None)
        return self._with_doubts(self._counted(page), self.clock.time(now))

    @property
    def servers(self) -> list[InventoryServer]:
        """The servers with schedules, as last read."""
        return list(self._servers.values())

    def survey(self) -> Page:
        """Decide for all servers by all images, for display.

        The page's ``open`` then holds all snapshots.
        """
        images = image_service(self.projects.listing)
        first = self._read_servers()
        now = date_of(first)
        every = list(images.list(snapshots=True))
        hidden = list(images.list(snapshots=True, hidden=True))
        self.known.read_all(chain(every, hidden), now)
        found = OpenImages.of(every, hidden)
        page = self._page(self._servers.values(), found, first, None)
        self._surveyed = now
        return replace(self._counted(page), is_survey=True)

    def _is_survey_due(self) -> bool:
        """Whether all images are to be read: at first, and then once a day."""
        if self._surveyed is None or self._since is None:
            return True
        return self._since - self._surveyed >= _SURVEY

    def remember(self, hint: Step, result: StepResult, now: datetime) -> None:
        """Remember the result of a hint if repeating it soon would be pointless."""
        if hint.action is Action.NOTHING or hint.slot is None:
            return
        if result.step.cause in _PASSING:
            return
        if result.result in (Result.NOTHING, Result.LEFT):
            interval = self.policy.fitted(hint.server.schedule).interval
            until = hint.slot.due + (hint.attempt + 1) * interval
        elif result.result is Result.UNPROVEN:
            until = now + _UNPROVEN
        else:
            return
        known = self._answers.get(hint.server.id)
        if known is None or known.result is not result:
            self._answers[hint.server.id] = _Answer(hint, result, until)

    def recall(self, hint: Step, now: datetime) -> StepResult | None:
        """Return the remembered result of the same hint, None if it must be done."""
        known = self._answers.get(hint.server.id)
        if known is None or hint.action is Action.NOTHING:
            return None
        return known.result if known.is_of(hint) and now < known.until else None

    def note_server(self, server: InventoryServer) -> None:
        """Record a server that was read by itself."""
        if server.id in self._servers:
            self._servers[server.id] = server

    def add_server(self, server: InventoryServer) -> None:
        """Record a server whose schedule has just been changed.

        Changes of tags do not show in lists of what has changed.
        """
        if server.schedule is not None or server.id in self._servers:
            self._servers[server.id] = server

    def read_all_again(self) -> None:
        """Read all servers the next time, and not only those that have changed."""
        self._since = None

    def forget(self, server_id: str) -> None:
        """Forget a server that is gone."""
        self._servers.pop(server_id, None)
        self._answers.pop(server_id, None)

    def _page(
        self,
        servers: Iterable[InventoryServer],
        found: OpenImages,
        answer: ApiResponse,
        marker: str | None,
    ) -> Page:
        now = date_of(answer)
        at = self.clock.time(now)
        steps = [self._hint(server, found, at) for server in servers]
        return Page(now, steps, marker, under_way(found.making, now), found)

    def _open(self, images: ImageStore, now: datetime) -> OpenImages:
        self.known.read(images, now)
        return OpenImages.read(images, self.known.pending(images, now))

    def _hint(self, server: InventoryServer, found: OpenImages, now: datetime) -> Step:
        return plan(
            server,
            found.by_server.get(server.id, ()),
            now,
            self.policy,
            notes=found.notes.get((server.id, server.project_id), ()),
            known=self.known.of(server),
        )

    def _counted(self, page: Page) -> Page:
        """Count the snapshots in progress of the known servers."""
        known = {(s.id, s.project_id) for s in self._servers.values()}
        return replace(page, under_way=under_way(page.open.making, page.now, known))

    def _with_doubts(self, page: Page, now: datetime) -> Page:
        """Schedule checks of some servers that seem to have no image at all.

        An image was due in the last day, but none is known: either there has never been
        one, or one was missed, which should be reported. Or the missed slot is older,
        and an earlier image has been changed since.
        """
        doubts = {
            step.server.id: replace(step, action=Action.MAKE)
            for step in page.steps
            if step.action is Action.NOTHING and _is_doubtful(step, now, self.policy)
        }
        new = [k for k, hint in doubts.items() if self.recall(hint, now) is None]
        for put_off in random.sample(new, max(0, len(new) - _DOUBTS)):
            del doubts[put_off]
        steps = [doubts.get(step.server.id, step) for step in page.steps]
        return replace(page, steps=steps)

    def _read_servers(self) -> ApiResponse:
        """Update the servers; return the first response."""
        since = self._since
        if since is not None and self._refreshed is not None:
            changes = self._server_pages({"changes-since": since.isoformat()}, None)
            first = next(changes)
            # An earlier response may have come from a service whose clock is wrong.
            if abs(date_of(first) - self._refreshed) < self.refresh:
                for answer in chain([first], changes):
                    self._change(answer)
                self._since = date_of(first) - CLOCK_DIFFERENCE
                return first
        answers = self._server_pages({}, None)
        first = next(answers)
        pages = chain([first], answers)
        servers = {s.id: s for each in pages for s in self._servers_of(each)}
        self._servers = servers
        self._answers = {k: v for k, v in self._answers.items() if k in servers}
        self._refreshed = date_of(first)
        self._since = date_of(first) - CLOCK_DIFFERENCE
        return first

    def _change(self, answer: ApiResponse) -> None:
        for server in self._servers_of(answer):
            if server.status == "DELETED":
                self.forget(server.id)
            else:
                self._servers[server.id] = server

    def _servers_of(self, answer: ApiResponse) -> list[InventoryServer]:
        self.seen(answer)
        return [read_tagged_server(answer, item) for item in answer.objects("servers")]

    def _server_pages(
        self, query: dict[str, str], deadline: float | None
    ) -> Iterator[ApiResponse]:
        if self.projects.all_projects:
            query = query | ALL_PROJECTS
        # No needless requests: services take seconds for a page.
        return self.projects.listing.schedules.tags.server_pages(
            "/servers/detail",
            True,
            query,
            enough=lambda: deadline is not None and time.monotonic() >= deadline,
        )


def _is_doubtful(step: Step, now: datetime, policy: Policy) -> bool:
    """Whether an image may have been missed, or may exist unseen.

    The first scan knows the images that were changed within a day.
    """
    slot, created = step.slot, step.server.created
    if slot is None or (created is not None and created >= slot.due):
        return False
    if now - slot.due < _DAY:
        return is_over(step, now, policy)
    return step.cause is Cause.MISSED


def _by_server(images: Iterable[ServerImage]) -> dict[str, list[ServerImage]]:
    found: dict[str, list[ServerImage]] = {}
    for image in images:
        found.setdefault(str(image.server_id), []).append(image)
    return found
