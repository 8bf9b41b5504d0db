"""What to do for a server now, and why.

Everything follows from the server, its schedule, its images and the time, so all
runners get the same answer. Times are aware and UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import (
    PENDING_KEY,
    RUN_KEY,
    SLOT_KEY,
    ServerImage,
    inherited_copies,
    made_by_run,
    named_by_service,
)
from rax_scheduled_images_ext.model.note import Note, Refusal
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    WHOLE_DAY,
    Slot,
    Window,
    due_of,
    period_of,
    slots_around,
)
from rax_scheduled_images_ext.model.times import write_time

_UNPROVEN = "is ACTIVE, but not yet known to be complete"
# Statuses of images whose snapshots failed.
_FAILED = ("ERROR", "DELETED")
#: The server statuses in which Nova takes a snapshot.
IMAGEABLE = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"})
#: After this time an image that is still queued is abandoned if its server has no task:
#: Nova sets the task state within a second.
ABANDONED_AFTER = timedelta(minutes=10)
#: After this time an image that is still SAVING hangs, and no longer counts.
HANGS_AFTER = timedelta(hours=6)
#: How much the clocks of two runners may differ.
CLOCK_DIFFERENCE = timedelta(minutes=5)
#: How long before its slot was due an image that names the slot may seem to have been
#: made: the image service's clock may be wrong. Any earlier, the window was moved.
NAMED_DIFFERENCE = timedelta(hours=1)


@dataclass(frozen=True)
class Policy:
    """When images are made.

    :param window: the part of the day in which they are due.
    :param max_delay: how long after it was due an image is still made.
    :param attempts: the maximum number of attempts for a slot.
    :param interval: the time between two attempts.

    The times are those of daily and weekly schedules; see :meth:`fitted`.
    """

    window: Window = WHOLE_DAY
    max_delay: timedelta = timedelta(hours=12)
    attempts: int = 3
    interval: timedelta = timedelta(hours=1)

    def fitted(self, schedule: ImageSchedule | None) -> Policy:
        """Return the policy for a schedule.

        All attempts fit between two images. The window holds for daily and weekly
        schedules without a time of their own.
        """
        if schedule is None or (schedule.hours is None and schedule.at is None):
            return self
        return _fitted(self, schedule.interval)

    @property
    def ends_before_attempts(self) -> bool:
        """Whether a slot may end before all attempts are used."""
        return self.max_delay <= self.attempts * self.interval


@lru_cache(maxsize=64)
def _fitted(policy: Policy, between: timedelta) -> Policy:
    """Return the policy for images that are so far apart: one for a whole fleet."""
    return replace(
        policy,
        window=WHOLE_DAY,
        max_delay=min(policy.max_delay, between),
        interval=min(policy.interval, between / policy.attempts),
    )


@dataclass(frozen=True)
class Known:
    """When the newest image of a server that is known to be complete was made.

    It was made, whatever happens to it later, so it need not be read again. ``period``
    is the time between images by the schedule it was made for, ``slot`` the name of its
    slot. ``created`` and ``image_id`` are of the newest one that is still there.
    """

    made: datetime | None
    slot: str = ""
    period: timedelta = timedelta(days=1)
    created: datetime | None = None
    image_id: str = ""


class Action(Enum):
    """What to do."""

    NOTHING = "nothing"
    #: Make the image of the slot.
    MAKE = "make image"
    #: Delete an image that its snapshot left behind, or a duplicate.
    DISCARD = "discard image"
    #: Check whether images are complete, and delete those beyond the retention.
    RETAIN = "apply retention"


class Cause(Enum):
    """Why a step is what it is."""

    NO_SCHEDULE = "no schedule"
    INVALID = "invalid schedule"
    UNKNOWN = "schedule unknown"
    #: The server is newer than the slot.
    NOT_DUE = "not due"
    DUE = "due"
    BUSY = "server busy"
    STATUS = "server status"
    #: The image is due, and the snapshot before it is still being made.
    SLOW = "snapshot takes longer than the interval"
    MISSED = "missed"
    #: The cloud refused it, and is asked again later.
    REFUSED = "refused"
    #: All attempts of the slot are used.
    GIVEN_UP = "given up"
    UNDER_WAY = "under way"
    #: The image of the slot has been SAVING for too long.
    HANGS = "hangs"
    ABANDONED = "abandoned"
    #: The slot has another image, which is complete.
    DUPLICATE = "duplicate"
    UNKNOWN_IMAGE = "image status unknown"
    ACTIVE = "image active"
    DONE = "done"


@dataclass(frozen=True)
class Step:
    """What to do for a server now.

    ``slot`` is the latest slot, ``image`` the image that the step is about. ``attempt``
    is the number of intervals since the slot was due, and ``next_slot`` when the
    next image is due. ``missed`` is how many slots since the last image have none, and
    ``since`` when the first image is missing.
    ``unsettled`` are the ACTIVE images that are not yet known to be complete,
    ``hanging`` those that have been SAVING for too long. ``note`` is what other runners
    recorded.
    """

    server: InventoryServer
    action: Action
    cause: Cause
    slot: Slot | None = None
    image: ServerImage | None = None
    attempt: int = 0
    next_slot: Slot | None = None
    missed: int = 0
    since: datetime | None = None
    unsettled: tuple[ServerImage, ...] = ()
    hanging: tuple[ServerImage, ...] = ()
    note: Note | None = None


def plan(
    server: InventoryServer,
    images: Iterable[ServerImage],
    now: datetime,
    policy: Policy = Policy(),
    since: datetime | None = None,
    notes: Iterable[Note] = (),
    known: Known | None = None,
) -> Step:
    """Decide what to do for a server now.

    :param images: at least all marked images of the server.
    :param since: when the schedule was enabled, None if unknown: images that were due
        earlier are not made.
    :param notes: the notes for the server.
    :param known: the newest image known to be complete, if not among ``images``.
    """
    schedule = server.schedule
    if server.problem is not None:
        return Step(server, Action.NOTHING, Cause.UNKNOWN)
    if server.invalid_tag is not None:
        return Step(server, Action.NOTHING, Cause.INVALID)
    if schedule is None:
        return Step(server, Action.NOTHING, Cause.NO_SCHEDULE)
    own = own_images(server, images)
    more = duplicates(server, own, policy.window)
    policy = policy.fitted(schedule)
    base = _seen(server, schedule, own, now, policy, notes, known, more)
    action, cause, image = _decide(base, own, now, policy, since, known)
    # An image that cannot be settled or deleted does not prevent making one.
    if action is Action.NOTHING and base.unsettled:
        action, image = Action.RETAIN, image or base.unsettled[-1]
        cause = Cause.ACTIVE if cause is Cause.DONE else cause
    elif action is Action.NOTHING and more:
        action, cause, image = Action.DISCARD, Cause.DUPLICATE, more[0]
    missed = 0
    if action is Action.MAKE:
        missed = _missed(schedule, own, base)
    return replace(base, action=action, cause=cause, image=image, missed=missed)


def _seen(
    server: InventoryServer,
    schedule: ImageSchedule,
    own: list[ServerImage],
    now: datetime,
    policy: Policy,
    notes: Iterable[Note],
    known: Known | None,
    more: list[ServerImage],
) -> Step:
    """Return a step with the facts, before anything is decided."""
    slot, following = slots_around(server.id, schedule, now, policy.window)
    note = next((n for n in reversed(list(notes)) if n.slot == slot.name), None)
    missed = 0
    if schedule.hours is not None:
        # Each of several a day is over before it is overdue.
        made = [image.created for image in own if image.status not in _FAILED]
        last = max(filter(None, [*made, known.made if known else None]), default=None)
        missed = _slots_since(last, schedule, slot)
    return Step(
        server,
        Action.NOTHING,
        Cause.DONE,
        slot,
        attempt=(now - slot.due) // policy.interval,
        next_slot=following,
        since=slot.due - missed * schedule.interval,
        unsettled=tuple(i for i in own if _is_unsettled(i) and i not in more),
        hanging=tuple(image for image in own if hangs(image, now)),
        note=note,
    )


def _decide(
    seen: Step,
    own: list[ServerImage],
    now: datetime,
    policy: Policy,
    since: datetime | None,
    known: Known | None,
) -> tuple[Action, Cause, ServerImage | None]:
    """Return what to do for the latest slot, why, and with which image."""
    server, slot = seen.server, seen.slot
    assert slot is not None
    action, cause, found = _of_images(server, _of_slot(own, slot), now)
    if cause is not None:
        return action, cause, found
    if known is not None and _covers(known.made, known.slot, slot):
        return Action.NOTHING, Cause.DONE, None
    made = [
        (image.created, period_of(image))
        for image in own
        if image.status not in _FAILED and image.created is not None
    ]
    if known is not None and known.made is not None:
        made.append((known.made, known.period))
    last = max(made, default=None)
    note = seen.note
    if note is not None and note.kind is Refusal.USED_UP:
        return Action.NOTHING, Cause.GIVEN_UP, None
    obstacle = _obstacle(server, slot, now, policy, since, last)
    if obstacle is Cause.BUSY:
        for image in reversed(own):
            if image.status == "SAVING":
                return Action.NOTHING, Cause.SLOW, image
    if obstacle is None and note is not None and now < note.again:
        obstacle = Cause.REFUSED
    if obstacle is not None:
        return Action.NOTHING, obstacle, None
    return Action.MAKE, Cause.DUE, None


def is_over(step: Step, now: datetime, policy: Policy) -> bool:
    """Whether no image will be made for the latest slot any more, and there is none."""
    slot, created = step.slot, step.server.created
    return (
        step.cause is Cause.NOT_DUE
        and slot is not None
        and now - slot.due > policy.max_delay
        and (created is None or created < slot.due)
    )


def own_images(
    server: InventoryServer, images: Iterable[ServerImage]
) -> list[ServerImage]:
    """Return the images that runs made of a server, oldest first.

    Snapshots of servers booted from such an image inherit its properties: those copies
    are not included.
    """
    images = list(images)
    copies = inherited_copies(images)
    return sorted(
        (
            image
            for image in images
            if image.owner == server.project_id
            and made_by_run(image, server.id)
            and image.id not in copies
        ),
        key=lambda image: (str(image.created), image.id),
    )


def _is_unsettled(image: ServerImage) -> bool:
    """Whether an image of a run is not yet known to be complete.

    Only the name identifies a copy whose original is gone.
    """
    pending = image.status == "ACTIVE" and PENDING_KEY in image.metadata
    return pending and named_by_service(image)


def hangs(image: ServerImage, now: datetime) -> bool:
    """Whether an image has been SAVING for so long that it may never be ACTIVE."""
    return (
        image.status == "SAVING"
        and image.created is not None
        and now - image.created > HANGS_AFTER
    )


def _missed(schedule: ImageSchedule, images: list[ServerImage], step: Step) -> int:
    """Return how many slots since the last image have none.

    How many were missed before a change from weekly to daily is unknown.
    """
    same = [i for i in images if period_of(i) == schedule.interval and i.created]
    if not same or step.slot is None:
        return 0
    return _slots_since(same[-1].created, schedule, step.slot)


def _slots_since(last: datetime | None, schedule: ImageSchedule, slot: Slot) -> int:
    """Return how many slots were due after an image was made, and before this one."""
    if last is None:
        return 0
    age = slot.due - CLOCK_DIFFERENCE - last
    return max(0, math.ceil(age / schedule.interval) - 1)


def _of_slot(images: Iterable[ServerImage], slot: Slot) -> list[ServerImage]:
    """Return the images that cover a slot: all that runs have made since it was due."""
    return [
        image
        for image in images
        if _covers(image.created, image.metadata.get(SLOT_KEY), slot)
    ]


def _covers(made: datetime | None, name: str | None, slot: Slot) -> bool:
    """Whether an image was made since a slot was due, by whatever clock.

    :param name: the name of the slot that it was made for.
    """
    if made is None:
        return name == slot.name
    early = slot.due - made
    return early <= (NAMED_DIFFERENCE if name == slot.name else CLOCK_DIFFERENCE)


def duplicates(
    server: InventoryServer, images: Iterable[ServerImage], window: Window
) -> list[ServerImage]:
    """Return the images of slots that have another image, known to be complete.

    A delayed request may arrive after another attempt has made the image. A duplicate
    may be deleted while nothing depends on it: it is not known to be complete, nobody
    has renamed or protected it, and it is not a snapshot of a server that was rebuilt
    from the other one. An image that was made before the slot was due is not the
    slot's: the window may have been moved.
    """
    found = [
        image
        for image in images
        if image.status == "ACTIVE"
        and image.scheduled
        and not image.hidden
        and SLOT_KEY in image.metadata
        and image.owner == server.project_id
        and made_by_run(image, server.id)
    ]
    whole: dict[str, set[str]] = {}
    for image in found:
        name = image.metadata[SLOT_KEY]
        due = due_of(name, server.id, window)
        early = due is not None and not _covers(image.created, name, Slot(name, due))
        if PENDING_KEY not in image.metadata and not early:
            whole.setdefault(name, set()).add(image.metadata[RUN_KEY])
    return [
        image
        for image in found
        if _is_unsettled(image)
        and not image.protected
        and whole.get(image.metadata[SLOT_KEY], set()) - {image.metadata[RUN_KEY]}
    ]


def _of_images(
    server: InventoryServer, images: list[ServerImage], now: datetime
) -> tuple[Action, Cause | None, ServerImage | None]:
    """Decide by the images of the slot; without a cause nothing is decided."""
    for image in images:
        if image.status == "ACTIVE":
            return Action.NOTHING, Cause.DONE, image
    for image in images:
        if image.status == "SAVING" and not is_abandoned(image, server, now):
            late = hangs(image, now)
            return Action.NOTHING, Cause.HANGS if late else Cause.UNDER_WAY, image
    for image in images:
        if image.status == "SAVING":
            return Action.DISCARD, Cause.ABANDONED, image
        # Deactivated, or a status that is new: not ours to replace.
        if image.status not in _FAILED:
            return Action.NOTHING, Cause.UNKNOWN_IMAGE, image
    return Action.NOTHING, None, None


def is_abandoned(image: ServerImage, server: InventoryServer, now: datetime) -> bool:
    """Whether no snapshot will ever fill the image.

    Nova refuses one of two simultaneous requests, and leaves its image behind.
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
    last: tuple[datetime, timedelta] | None,
) -> Cause | None:
    """Return why no image can be made now, None if one can.

    :param last: when the newest image of the server was made, and the time between
        images by the schedule it was made for; None for none.
    """
    began = max(filter(None, (server.created, since)), default=None)
    if began is not None and slot.due < began:
        return Cause.NOT_DUE
    missing = slot.due
    if last is not None and server.schedule is not None:
        # Moving the window, or another schedule, does not make a slot late.
        made, period = last
        missing = max(missing, made + max(period, server.schedule.interval))
    if now - missing > policy.max_delay:
        # It is unknown when the schedule was enabled: the first image is the next one.
        return Cause.MISSED if last or since else Cause.NOT_DUE
    # Nobody scans in the last second of the window.
    in_time = policy.window.contains(now) or now - slot.due < policy.interval
    if last is None and since is None and not in_time:
        return Cause.NOT_DUE
    if server.task_state is not None:
        return Cause.BUSY
    if server.status not in IMAGEABLE:
        return Cause.STATUS
    return None


def explain(step: Step) -> str:
    """Return why a step is what it is, as words to follow a server's name."""
    server, slot, image, note = step.server, step.slot, step.image, step.note
    due = _shown(slot)
    after = f"; the next is due {_shown(step.next_slot)}"
    image_id = image.id if image else ""
    others = [
        f"; image {each.id} has been SAVING since {write_time(each.created)}"
        for each in step.hanging
        if each is not image
    ]
    if step.action is Action.RETAIN and step.cause is not Cause.ACTIVE:
        others += [f"; image {each.id} {_UNPROVEN}" for each in step.unsettled]
    return {
        Cause.NO_SCHEDULE: "it has no schedule",
        Cause.INVALID: f"its tag '{server.invalid_tag}' is not a schedule",
        Cause.UNKNOWN: f"its schedule could not be read: {server.problem}",
        Cause.NOT_DUE: f"its first image is due {_shown(step.next_slot)}",
        Cause.DUE: f"its image has been due since {due}" + _shown_missed(step),
        Cause.BUSY: f"its task state is {server.task_state}",
        Cause.SLOW: f"it has been due since {due}, but image {image_id} has been SAVING"
        f" since {write_time(image.created if image else None)}: snapshots take longer"
        f" than the {_interval(step)} between two",
        Cause.STATUS: f"its status is {server.status}, and images are made of servers"
        f" that are {', '.join(sorted(IMAGEABLE))}",
        Cause.MISSED: f"its image was due {due}, which is too long ago{after}",
        Cause.REFUSED: f"refused since {write_time(note.since)}, next request at"
        f" {write_time(note.again)}: {note.reason}"
        if note
        else "",
        Cause.GIVEN_UP: f"there is no image, and all attempts have been used{after}",
        Cause.UNDER_WAY: f"image {image_id} is being made",
        Cause.HANGS: f"image {image_id} has been SAVING since"
        f" {write_time(image.created if image else None)}",
        Cause.ABANDONED: f"image {image_id} never got any data",
        Cause.DUPLICATE: f"image {image_id} was made for a slot that has another one",
        Cause.UNKNOWN_IMAGE: f"image {image_id} is {image.status if image else ''}",
        Cause.ACTIVE: f"image {image_id} {_UNPROVEN}",
        Cause.DONE: f"image {image_id} was made{after}"
        if image
        else f"its image was made{after}",
    }[step.cause] + "".join(others)


def _interval(step: Step) -> str:
    schedule = step.server.schedule
    return format_duration(schedule.interval.total_seconds()) if schedule else ""


def _shown_missed(step: Step) -> str:
    number = step.missed
    if not number:
        return ""
    missed = f"; {number} before it {'was' if number == 1 else 'were'} missed"
    schedule = step.server.schedule
    if schedule is None or schedule.hours is None:
        return missed
    return (
        f"{missed}: the service looked less often than every {_interval(step)}, or the"
        " cloud refused them"
    )


def _shown(slot: Slot | None) -> str:
    return str(write_time(slot.due if slot else None))
