"""What a change of schedules would do: shown before it is done, and checked again.

A form carries the digest of what was shown. Only what is still as shown is done.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from cachetools import TTLCache

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import InvalidSchedule, ScheduledImagesError
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.model.space import Sizes, Space
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.forecast import outlook
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.panel.words import described, in_words
from rax_scheduled_images_ext.text import digest_of

NO_SCHEDULE = "no schedule"


class NothingToDo(ScheduledImagesError):
    """A change does not apply to a server; the text says why."""


@dataclass(frozen=True)
class Preview:
    """What a change does to one server, as it is now.

    ``before`` and ``after`` are its schedule in words, ``expiring`` the images that the
    next scheduled image deletes after the change, oldest first. ``schedule`` is the new
    one, and ``outlook`` what is there in time by it; None if switched off.
    """

    server_id: str
    before: str
    after: str
    expiring: Sequence[Decision] = ()
    schedule: ImageSchedule | None = None
    outlook: Outlook | None = None

    @property
    def digest(self) -> str:
        """A digest of what the preview shows."""
        images = [each.image.id for each in self.expiring]
        return digest_of([self.server_id, self.before, self.after, *images])


def current_words(schedule: ImageSchedule | None, invalid_tag: str | None) -> str:
    """Return a server's schedule in words."""
    if invalid_tag is not None:
        return f"invalid tag {invalid_tag}"
    return described(schedule) if schedule else NO_SCHEDULE


def preview(cloud: Cloud, server_id: str, change: ScheduleSettings | None) -> Preview:
    """Forecast a change of a server; nothing is changed.

    :param change: the change of the schedule; None to switch it off.
    :raises NothingToDo: if the change requires a schedule, and there is none.
    :raises InvalidSchedule: if the server's tags are malformed, and the change would
        keep part of the schedule.
    :raises NoSuchServer: if there is no such server.
    """
    current, invalid_tag = None, None
    try:
        current = schedules.find_schedule(cloud, server_id)
    except InvalidSchedule as error:
        if change is not None and not change.complete:
            raise
        invalid_tag = error.tag
    before = current_words(current, invalid_tag)
    if before == NO_SCHEDULE and (change is None or not change.complete):
        raise NothingToDo("it has no schedule")
    after = change.applied_to(current) if change else None
    if after is None:
        return Preview(server_id, before, NO_SCHEDULE)
    found = outlook(cloud, server_id, after)
    going = found.expiring
    return Preview(server_id, before, described(after), going, after, found)


def apply(cloud: Cloud, server_id: str, change: ScheduleSettings | None) -> None:
    """Change the schedule of a server."""
    target = Target(server_id, server_id)
    if change is None:
        for off in schedules.disable(cloud, target):
            off.result()
    else:
        for changed in schedules.change(cloud, target, change):
            changed.result()


@dataclass(frozen=True)
class ServerRow:
    """One server of a review: what a change does to it, or why it is left out.

    ``idle`` is whether it is left out because there is nothing to change, rather than
    because something is unknown.
    """

    target: Target
    preview: Preview | None = None
    problem: str = ""
    idle: bool = False

    @classmethod
    def of(cls, outcome: Outcome[Target, Preview]) -> ServerRow:
        """Return the row of a preview; a server that could not be read is left out."""
        if outcome.error is not None:
            idle = isinstance(outcome.error, NothingToDo)
            return cls(outcome.item, problem=in_words(outcome.error), idle=idle)
        return cls(outcome.item, outcome.value)

    @property
    def expiring(self) -> list[ServerImage]:
        """The images that the next scheduled image deletes, oldest first."""
        return [each.image for each in self.preview.expiring] if self.preview else []


@dataclass
class Review:
    """A change of several servers, as shown to a user.

    ``owner`` is who may see it. ``again`` is whether it repeats servers that changed
    after they were shown. ``sizes`` are those of volume snapshots. ``filters`` are what
    the list showed when they were chosen.
    """

    owner: tuple[object, ...]
    change: ScheduleSettings | None
    targets: list[Target]
    again: bool = False
    rows: list[ServerRow] | None = None
    quota: FullQuota | None = None
    sizes: Sizes = field(default_factory=lambda: Sizes({}))
    filters: dict[str, Any] = field(default_factory=dict)
    job_id: str = ""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    @property
    def title(self) -> str:
        """The change in words."""
        return title_of(self.change, len(self.included))

    @property
    def included(self) -> list[ServerRow]:
        """The servers that would be changed."""
        return [row for row in self.rows or () if row.preview is not None]

    @property
    def left_out(self) -> list[ServerRow]:
        """The servers that would not be changed."""
        return [row for row in self.rows or () if row.preview is None]

    @property
    def expiring(self) -> list[ServerImage]:
        """The images that are deleted when the next scheduled images are made."""
        return [image for row in self.included for image in row.expiring]

    def space_of(self, images: Iterable[ServerImage]) -> Space:
        """Return what images take."""
        return self.sizes.space(images)

    @property
    def outlooks(self) -> list[Outlook]:
        """What is there in time of each server that would be changed."""
        found = [row.preview.outlook for row in self.included if row.preview]
        return [each for each in found if each is not None]

    @property
    def digest(self) -> str:
        """A digest of what the review shows."""
        return digest_of(row.preview.digest for row in self.included if row.preview)


def title_of(change: ScheduleSettings | None, number: int) -> str:
    """Return a change of a number of servers in words."""
    servers = "1 server" if number == 1 else f"{number:,} servers"
    if change is None:
        return f"Switch the schedules of {servers} off"
    schedule = change.applied_to(None)
    if schedule is None or not change.complete:
        images = "1 image" if change.retention == 1 else f"{change.retention} images"
        if change.retention is None:
            kept = replace(change.keep, within_days=change.within_days or 0)
            images = f"{kept.words} images"
        return f"Keep {images} of {servers}"
    return f"Set {servers} to {described(schedule)}"


class Reviews:
    """The latest reviews, to which users may return."""

    def __init__(self, servers: int = 100_000, seconds: float = 24 * 3600.0) -> None:
        self._lock = threading.Lock()
        self._all: TTLCache[str, Review] = TTLCache(
            servers, seconds, getsizeof=lambda review: 1 + len(review.targets)
        )

    def keep(self, review: Review) -> None:
        """Keep a review."""
        with self._lock, suppress(ValueError):
            self._all[review.id] = review

    def find(self, review_id: str, owner: tuple[object, ...]) -> Review | None:
        """Return a user's review, None if it is forgotten or another user's."""
        with self._lock:
            found = self._all.get(review_id)
        return found if found is not None and found.owner == owner else None
