"""Finding, page by page, the servers for which something is to be done.

However many images there are, two requests tell what of them matters to some pages:
the images of schedules whose retention is still to be applied, and what has changed
since the last time. What is found is a hint: whoever acts on it looks at the server
anew.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from functools import cached_property
from itertools import chain

from rax_scheduled_images_ext.client.errors import UsageError
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import next_marker, read_date
from rax_scheduled_images_ext.engine.limits import Limits, being_made, under_way
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.model.image import SLOT_KEY, ServerImage, made_by_run
from rax_scheduled_images_ext.model.plan import (
    Action,
    Cause,
    Policy,
    Step,
    plan,
)

# Images in these states may still turn out not to be the slot's.
_OPEN = frozenset({"SAVING", "ERROR", "DELETED"})
# How much later than others a change may become visible.
_OVERLAP = timedelta(minutes=1)


@dataclass(frozen=True)
class Page:
    """What one page of servers has shown, by the cloud's clock.

    ``steps`` are those of all servers of the page, ``marker`` is where the next page
    begins, None for the last one, and ``under_way`` how many snapshots are, by project.
    """

    now: datetime
    steps: list[Step]
    marker: str | None
    under_way: Counter[str]

    @cached_property
    def make(self) -> list[Step]:
        """The servers whose images are to be made, those first that were due first."""
        due = [step for step in self.steps if step.action is Action.MAKE]
        return sorted(due, key=lambda step: str(step.slot and step.slot.due))

    def make_next(self, limits: Limits, waiting: int) -> list[Step]:
        """Return those whose images are to be made as far as places may be found.

        For each free place that is the one that was due first, and one at random: an
        image that cannot be made stays due, and is not to keep others back for ever.

        :param waiting: how many are to be looked at already.
        """
        due = self.make
        places = limits.region - self.under_way.total()
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
        """The servers whose images are to be looked after."""
        others = (Action.NOTHING, Action.MAKE)
        return [step for step in self.steps if step.action not in others]


@dataclass
class Made:
    """The latest slot of each server for which an image was made; threads may share it.

    It saves requests only: a slot whose image was once made is not made again, so what
    was read stays true.
    """

    policy: Policy
    _slots: dict[tuple[str, str | None], str] = field(default_factory=dict)
    # When the latest change was that has been read, by the image service's clock.
    _newest: datetime | None = None
    _day: date | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, images: ImageStore, now: datetime) -> None:
        """Read the images that have changed since the last time.

        The first time that is all that can be of a slot which is still to be made.
        """
        with self._lock:
            first = now - self.policy.max_delay - timedelta(hours=1)
            since = (self._newest or first) - _OVERLAP
            for image in images.list(snapshots=True, changed_since=since):
                self._add(image)
                if image.updated is not None:
                    self._newest = max(image.updated, self._newest or since)
            if self._day != now.date():
                self._forget(now)
            self._day = now.date()

    def applied(self, step: Step) -> Step:
        """Return a step as it is if the image of its slot is known to be made."""
        server, slot = step.server, step.slot
        known = self._slots.get((server.id, server.project_id))
        if step.image is not None or slot is None or slot.name != known:
            return step
        return replace(step, action=Action.NOTHING, cause=Cause.DONE)

    def _add(self, image: ServerImage) -> None:
        slot, server_id = image.metadata.get(SLOT_KEY), str(image.server_id)
        if slot and image.status not in _OPEN and made_by_run(image, server_id):
            key = (server_id, image.owner)
            self._slots[key] = max(slot, self._slots.get(key, ""))

    def _forget(self, now: datetime) -> None:
        """Forget slots that are too old for an image to be made."""
        oldest = (now - self.policy.max_delay - timedelta(days=1)).date().isoformat()
        for key in [key for key, slot in self._slots.items() if slot < oldest]:
            del self._slots[key]


@dataclass
class Scanner:
    """Reads the pages of the servers of some projects."""

    projects: Projects
    policy: Policy
    made: Made = field(init=False)

    def __post_init__(self) -> None:
        self.made = Made(self.policy)

    def pages(
        self,
        marker: str | None = None,
        at: datetime | None = None,
        *,
        seconds: float = 0.0,
    ) -> Iterator[Page]:
        """Read pages of servers, one at least, and decide for each as far as it shows.

        The next page is asked for while the caller is busy with one.

        :param marker: the last server of the page before, None for the first page.
        :param at: the time to decide by, None for the cloud's own.
        :param seconds: after which no further page is asked for.
        :raises NotOffered: if the cloud knows no server tags.
        :raises UsageError: if it has no image service.
        :raises ApiError: if the server of the marker is gone.
        """
        deadline = time.monotonic() + seconds
        cloud = self.projects.listing
        if not isinstance(cloud.images, GlanceImages):
            raise UsageError("the catalog lists no image service, which claims take")
        query = {"all_tenants": "1"} if self.projects.all_projects else {}
        if marker is not None:
            query["marker"] = marker
        # Nothing is asked for in vain: services need seconds for a page.
        answers = cloud.schedules.tags.server_pages(
            "/servers/detail", True, query, enough=lambda: time.monotonic() >= deadline
        )
        first = next(answers)
        pending = list(cloud.images.list(snapshots=True, pending=True))
        self.made.read(cloud.images, _date(first))
        images, crowd = _by_server(pending), Counter(under_way(pending))
        for answer in chain([first], answers):
            steps = self._steps(answer, images, at)
            yield Page(_date(answer), steps, next_marker(answer), crowd)

    def making(self) -> list[ServerImage]:
        """Return the images of schedules that are being made, or were left behind."""
        return being_made(self.projects.listing.images)

    def _steps(
        self,
        answer: ApiResponse,
        images: Mapping[str, list[ServerImage]],
        at: datetime | None,
    ) -> list[Step]:
        now = at or _date(answer)
        servers = (read_tagged_server(answer, i) for i in answer.objects("servers"))
        return [
            self.made.applied(plan(each, images.get(each.id, ()), now, self.policy))
            for each in servers
        ]


def _date(answer: ApiResponse) -> datetime:
    return read_date(answer) or datetime.now(timezone.utc)


def _by_server(images: Iterable[ServerImage]) -> dict[str, list[ServerImage]]:
    found: dict[str, list[ServerImage]] = {}
    for image in images:
        found.setdefault(str(image.server_id), []).append(image)
    return found
