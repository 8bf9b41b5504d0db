"""What is to be done for a server now, and why.

Everything follows from the server, its schedule, its images and the time, so whoever
asks, and however many ask, the answer is the same. Times are aware and UTC.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.model.errors import InvalidValue
from rax_scheduled_images_ext.model.freshness import InventoryServer, named_weekly
from rax_scheduled_images_ext.model.image import (
    PENDING_KEY,
    RUN_KEY,
    SLOT_KEY,
    ServerImage,
    made_by_run,
    named_by_service,
)
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule
from rax_scheduled_images_ext.model.times import write_time

_DAY = 24 * 3600
_ONE_DAY = timedelta(days=1)
#: The server statuses in which Nova takes a snapshot.
IMAGEABLE = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"})
#: After this time an image that is still queued, of a server without a task, was lost
#: on its way: Nova sets the task within a second.
ABANDONED_AFTER = timedelta(minutes=10)
#: How far the clocks of two runners may be apart.
CLOCK_DIFFERENCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Window:
    """The part of each UTC day in which images are begun; it may pass midnight.

    ``start`` is in seconds after midnight, ``length`` in seconds.
    """

    start: int = 0
    length: int = _DAY

    def second_of_day(self, server_id: str) -> int:
        """Return a server's time of day, in seconds after midnight.

        It is spread evenly over the window and follows from the ID alone.
        """
        digest = hashlib.sha256(server_id.lower().encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return (self.start + int(share * self.length)) % _DAY


def parse_window(text: str) -> Window:
    """Return the window that ``22:00-06:00`` stands for.

    :raises InvalidValue: for anything else.
    """
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text, re.ASCII)
    if found:
        hour, minute, last_hour, last_minute = map(int, found.groups())
        start, end = hour * 60 + minute, last_hour * 60 + last_minute
        right = hour < 24 and last_hour < 24 and minute < 60 and last_minute < 60
        if right and start != end:
            return Window(start * 60, (end - start) * 60 % _DAY)
    raise InvalidValue(
        f"'{text}' is not a window: two different UTC times of day such as 22:00-06:00"
    )


@dataclass(frozen=True)
class Slot:
    """A day on which one image of a server is due, and from when on."""

    day: date
    due: datetime

    @property
    def name(self) -> str:
        """The day as images carry it, such as ``2026-01-05``."""
        return self.day.isoformat()


@dataclass(frozen=True)
class Policy:
    """When images are made.

    :param window: the part of the day in which they are due.
    :param max_delay: how long after it was due an image is still made.
    :param tries: how often a slot's image is tried at most.
    :param interval: the time between two tries.
    """

    window: Window = Window()
    max_delay: timedelta = timedelta(hours=12)
    tries: int = 3
    interval: timedelta = timedelta(hours=1)

    @property
    def stretch(self) -> float:
        """How many times longer than usual the interval is.

        What has to fit into it is as many times longer.
        """
        return self.interval / Policy.interval


class Action(Enum):
    """What to do."""

    NOTHING = "nothing"
    #: Make the image of the slot.
    MAKE = "make image"
    #: Delete an image that its snapshot has left behind, or of which there are two.
    DISCARD = "discard image"
    #: Delete the images for which the retention has no place.
    RETAIN = "apply retention"


class Cause(Enum):
    """Why."""

    NO_SCHEDULE = "no schedule"
    INVALID = "invalid schedule"
    UNKNOWN = "schedule unknown"
    #: The server is younger than the slot.
    NOT_DUE = "not due"
    DUE = "due"
    BUSY = "server busy"
    STATUS = "server status"
    MISSED = "missed"
    UNDER_WAY = "under way"
    ABANDONED = "abandoned"
    #: The slot has an older image.
    DUPLICATE = "duplicate"
    UNKNOWN_IMAGE = "image status unknown"
    ACTIVE = "image active"
    DONE = "done"


@dataclass(frozen=True)
class Step:
    """What to do for a server now.

    ``slot`` is the latest one, ``image`` the one that the step is about. ``attempt`` is
    the number of the interval since the slot was due, from 0 on, and ``next_slot``
    when the next image is due. ``missed`` is how many slots before this one have no
    image, back to the last one that has.
    """

    server: InventoryServer
    action: Action
    cause: Cause
    slot: Slot | None = None
    image: ServerImage | None = None
    attempt: int = 0
    next_slot: Slot | None = None
    missed: int = 0


def next_slot(
    server_id: str, schedule: ImageSchedule, now: datetime, window: Window
) -> Slot:
    """Return the slot whose image is due next, after ``now``."""
    return slots_around(server_id, schedule, now, window)[1]


def slots_around(
    server_id: str, schedule: ImageSchedule, now: datetime, window: Window
) -> tuple[Slot, Slot]:
    """Return the slot whose image was due last, and the one that is due next."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = midnight + timedelta(seconds=window.second_of_day(server_id))
    latest = today if today <= now else today - _ONE_DAY
    following = latest + _ONE_DAY
    while not _falls_on(schedule, latest):
        latest -= _ONE_DAY
    while not _falls_on(schedule, following):
        following += _ONE_DAY
    return Slot(latest.date(), latest), Slot(following.date(), following)


def _falls_on(schedule: ImageSchedule, day: date) -> bool:
    wanted = schedule.day_of_week
    return wanted is None or DAYS[day.isoweekday() % 7] == wanted


def plan(
    server: InventoryServer,
    images: Iterable[ServerImage],
    now: datetime,
    policy: Policy = Policy(),
    since: datetime | None = None,
) -> Step:
    """Decide what to do for a server now.

    :param images: at least all marked images of the server.
    :param since: when the schedule was enabled, None where nobody knows: what was due
        before is not made up for.
    """
    schedule = server.schedule
    if server.problem is not None:
        return Step(server, Action.NOTHING, Cause.UNKNOWN)
    if server.invalid_tag is not None:
        return Step(server, Action.NOTHING, Cause.INVALID)
    if schedule is None:
        return Step(server, Action.NOTHING, Cause.NO_SCHEDULE)
    slot, following = slots_around(server.id, schedule, now, policy.window)

    def step(action: Action, cause: Cause, image: ServerImage | None = None) -> Step:
        attempt = (now - slot.due) // policy.interval
        return Step(server, action, cause, slot, image, attempt, following)

    images = list(images)
    for image in duplicates(server, images):
        return step(Action.DISCARD, Cause.DUPLICATE, image)
    action, cause, found = _of_images(server, _of_slot(server, images, slot), now)
    if cause is not None:
        return step(action, cause, found)
    cause = _obstacle(server, slot, now, policy, since)
    if cause is not None:
        return step(Action.NOTHING, cause)
    missed = _missed(server, schedule, images, slot)
    return replace(step(Action.MAKE, Cause.DUE), missed=missed)


def _missed(
    server: InventoryServer,
    schedule: ImageSchedule,
    images: Iterable[ServerImage],
    slot: Slot,
) -> int:
    """Return for how many slots since the last image there is none.

    What was missed before the schedule was changed from weekly to daily is unknown.
    """
    weekly = schedule.day_of_week is not None
    slots = [
        image.metadata.get(SLOT_KEY, "")
        for image in images
        if image.owner == server.project_id
        and made_by_run(image, server.id)
        and named_weekly(image) == weekly
    ]
    try:
        last = date.fromisoformat(max(slots, default=""))
    except ValueError:
        return 0
    return max(0, (slot.day - last).days // (7 if weekly else 1) - 1)


def _of_slot(
    server: InventoryServer, images: Iterable[ServerImage], slot: Slot
) -> list[ServerImage]:
    """Return the images that runs have made of the server for the slot, oldest first.

    A snapshot hands its properties on to servers booted from it and to their
    snapshots, so the server that the run's nonce names counts as well.
    """
    found = [image for image in images if is_of_slot(image, server, slot)]
    return sorted(found, key=lambda image: (str(image.created), image.id))


def is_of_slot(image: ServerImage, server: InventoryServer, slot: Slot) -> bool:
    """Whether a run has made the image of this server for the slot."""
    return (
        image.metadata.get(SLOT_KEY) == slot.name
        and image.owner == server.project_id
        and made_by_run(image, server.id)
    )


def duplicates(
    server: InventoryServer, images: Iterable[ServerImage]
) -> list[ServerImage]:
    """Return the images of slots that have an older one.

    A request that was held up on its way may arrive after another try has made the
    image. The younger image goes as long as nothing builds on it: the retention has not
    been applied since it was made, nobody has renamed or protected it, and it is no
    snapshot of a server that was rebuilt from the other one.
    """
    images = list(images)
    found: list[ServerImage] = []
    if not any(PENDING_KEY in image.metadata for image in images):
        return found
    first: dict[str, ServerImage] = {}
    for image in sorted(images, key=lambda image: (str(image.created), image.id)):
        if (
            image.status != "ACTIVE"
            or not image.scheduled
            or SLOT_KEY not in image.metadata
            or image.owner != server.project_id
            or not made_by_run(image, server.id)
        ):
            continue
        older = first.setdefault(image.metadata[SLOT_KEY], image)
        if (
            image.metadata[RUN_KEY] != older.metadata[RUN_KEY]
            and PENDING_KEY in image.metadata
            and named_by_service(image)
            and not image.protected
        ):
            found.append(image)
    return found


def _of_images(
    server: InventoryServer, images: list[ServerImage], now: datetime
) -> tuple[Action, Cause | None, ServerImage | None]:
    """Decide by the images of the slot; without a cause they decide nothing."""
    for image in images:
        if image.status == "ACTIVE":
            if PENDING_KEY in image.metadata:
                return Action.RETAIN, Cause.ACTIVE, image
            return Action.NOTHING, Cause.DONE, image
    for image in images:
        if image.status == "SAVING" and not is_abandoned(image, server, now):
            return Action.NOTHING, Cause.UNDER_WAY, image
    for image in images:
        if image.status == "SAVING":
            return Action.DISCARD, Cause.ABANDONED, image
        # Somebody has deactivated it, or the word is new: it is not ours to replace.
        if image.status not in ("ERROR", "DELETED"):
            return Action.NOTHING, Cause.UNKNOWN_IMAGE, image
    return Action.NOTHING, None, None


def is_abandoned(image: ServerImage, server: InventoryServer, now: datetime) -> bool:
    """Whether no snapshot will ever fill the image.

    Of two simultaneous requests Nova refuses one, and leaves its image behind.
    """
    return (
        image.is_queued
        and server.task_state is None
        and image.created is not None
        and now - image.created > ABANDONED_AFTER
    )


def _obstacle(
    server: InventoryServer,
    slot: Slot,
    now: datetime,
    policy: Policy,
    since: datetime | None,
) -> Cause | None:
    """Return why no image can be made now, None if one can."""
    began = max(filter(None, (server.created, since)), default=None)
    if began is not None and slot.due < began:
        return Cause.NOT_DUE
    if now - slot.due > policy.max_delay:
        return Cause.MISSED
    if server.task_state is not None:
        return Cause.BUSY
    if server.status not in IMAGEABLE:
        return Cause.STATUS
    return None


def explain(step: Step) -> str:
    """Return why a step is what it is, in words that follow a server's name."""
    server, slot, image = step.server, step.slot, step.image
    due = _shown(slot)
    after = f"; the next is due {_shown(step.next_slot)}"
    image_id = image.id if image else ""
    return {
        Cause.NO_SCHEDULE: "it has no schedule",
        Cause.INVALID: f"its tag '{server.invalid_tag}' is not a schedule",
        Cause.UNKNOWN: f"its schedule could not be read: {server.problem}",
        Cause.NOT_DUE: f"its first image is due {_shown(step.next_slot)}",
        Cause.DUE: f"its image has been due since {due}" + _shown_missed(step.missed),
        Cause.BUSY: f"its task state is {server.task_state}",
        Cause.STATUS: f"its status is {server.status}, and images are made of servers"
        f" that are {', '.join(sorted(IMAGEABLE))}",
        Cause.MISSED: f"its image was due {due}, which is too long ago{after}",
        Cause.UNDER_WAY: f"image {image_id} is being made",
        Cause.ABANDONED: f"image {image_id} never got any data",
        Cause.DUPLICATE: f"image {image_id} was made for a slot that has an older one",
        Cause.UNKNOWN_IMAGE: f"image {image_id} is {image.status if image else ''}",
        Cause.ACTIVE: f"image {image_id} is ACTIVE",
        Cause.DONE: f"image {image_id} was made{after}",
    }[step.cause]


def _shown_missed(number: int) -> str:
    if not number:
        return ""
    return f"; {number} before it {'was' if number == 1 else 'were'} missed"


def _shown(slot: Slot | None) -> str:
    return str(write_time(slot.due if slot else None))
