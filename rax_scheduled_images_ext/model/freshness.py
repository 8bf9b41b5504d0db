"""Whether a server's scheduled images are as fresh as its schedule promises.

:mod:`.retention` decides which images count and which are deleted.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.retention import (
    Decision,
    Reason,
    Rules,
    apply_policy,
    kept_for_good,
    shows_work,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import period_of
from rax_scheduled_images_ext.model.space import Sizes, Space
from rax_scheduled_images_ext.model.verify import Verification, last_verification

#: How old the newest image of a daily schedule may be by default: a day, plus two
#: hours for the snapshot itself and a second attempt.
MAX_AGE = timedelta(hours=26)
_DAY = timedelta(days=1)


class State(Enum):
    """Whether a server has the scheduled images it should have."""

    #: The newest image is fresh.
    OK = "ok"
    #: The newest image is older than it should be.
    LATE = "late"
    #: There is a schedule, but no image of it.
    NEVER = "never"
    #: There is no schedule.
    OFF = "off"
    #: There is no schedule, and nobody has said that there is to be none.
    UNPROTECTED = "unprotected"
    #: There were images of a schedule, and nobody has ended it.
    VANISHED = "vanished"
    #: The server's tags are not a valid schedule, so nothing is done for it.
    INVALID = "invalid"
    #: The schedule could not be read.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class InventoryServer:
    """A server and its schedule, or the ``problem`` that prevented reading it.

    ``invalid_tag`` is a tag that should be its schedule but is malformed. ``status``
    and ``task_state`` are the compute API's words, None if unknown or without a task.
    ``rules`` are those of the service that makes its images, ``image_id`` is the image
    that it boots from, None if there is none, ``volumes`` are the IDs of its volumes.
    ``excepted`` is whether it is to have no schedule, ``tag_count`` how many tags it
    has, where known.
    """

    id: str
    name: str
    created: datetime | None = None
    schedule: ImageSchedule | None = None
    problem: Exception | None = None
    project_id: str | None = None
    invalid_tag: str | None = None
    status: str | None = None
    task_state: str | None = None
    rules: Rules = Rules.OURS
    image_id: str | None = None
    volumes: tuple[str, ...] = ()
    excepted: bool = False
    tag_count: int = 0

    @property
    def left_out(self) -> tuple[str, ...]:
        """The IDs of the attached volumes that are not in its images.

        The image of a server that boots from a volume holds them all.
        """
        return () if self.image_id is None else self.volumes


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """A server's schedule and images at a moment.

    ``counted`` is how many images the retention counts, ``kept`` how many are kept for
    good, ``newest`` the latest image that the service made, ``expires_next`` the images
    that the next one replaces, oldest first. ``limit`` is the age at which an image is
    no longer fresh. ``stale`` is whether an image is missing, or will be: no image is
    made for an invalid schedule. ``verified`` is the last proof that an image boots.
    ``space`` is what its images take, and ``outlook`` what becomes of them, each None
    unless it was asked for.
    """

    server: InventoryServer
    state: State
    counted: int = 0
    kept: int = 0
    newest: ServerImage | None = None
    next_due: datetime | None = None
    expires_next: tuple[ServerImage, ...] = ()
    limit: timedelta | None = None
    stale: bool = False
    verified: Verification | None = None
    space: Space | None = None
    outlook: Outlook | None = None

    @property
    def failed_proof(self) -> bool:
        """Whether the last proof that an image boots has failed."""
        return self.verified is not None and self.verified.failed


def decide_on(
    server: InventoryServer,
    images: Iterable[ServerImage],
    keep: Keep | int | None,
    *,
    proven: Container[str] = (),
) -> list[Decision]:
    """Decide on each image of a server, as :func:`.apply_policy` does.

    The rules, the project and the image that it boots from are the server's.

    :param keep: with nothing to be kept, which no schedule should say, nothing is
        deleted.
    :raises ValueError: for a negative number.
    """
    return apply_policy(
        images,
        server.id,
        keep or None,
        server.project_id,
        rules=server.rules,
        proven=proven,
        base_image=server.image_id,
    )


def schedule_status(
    server: InventoryServer,
    images: Iterable[ServerImage],
    now: datetime,
    max_age: timedelta,
    sizes: Sizes | None = None,
) -> ScheduleStatus:
    """Return the status of a server's schedule and images.

    :param images: all images of the server.
    :param now: the cloud's time, aware UTC like all times here.
    :param max_age: the age at which an image of a daily schedule is no longer fresh; an
        image of a weekly schedule may be six days older.
    :param sizes: the sizes of volume snapshots, to show what the images take and what
        becomes of them.
    """
    schedule = server.schedule
    images = list(images)
    decisions = decide_on(server, images, schedule.keep if schedule else None)
    newest = next((v.image for v in decisions if shows_work(v)), None)
    limit = limit_of(schedule, newest, max_age) if schedule else None
    state = _state(server, newest, now, limit)
    next_due = _next_due(schedule, newest, now)
    outlook = Outlook.of(decisions, schedule, now, next_due)
    space = None
    if sizes:
        own = [each for each in images if each.owner in (None, server.project_id)]
        space = sizes.space(own)
    return ScheduleStatus(
        server,
        state,
        counted=sum(v.counted for v in decisions),
        kept=sum(kept_for_good(v) for v in decisions),
        newest=newest,
        next_due=next_due,
        expires_next=tuple(v.image for v in reversed(outlook.going_next)),
        limit=limit,
        stale=state in (State.LATE, State.INVALID)
        or (
            state is State.NEVER
            and limit is not None
            and _older(_began(server, decisions), now, limit)
        ),
        verified=last_verification(images, server.project_id),
        space=space,
        outlook=outlook if sizes else None,
    )


def limit_of(
    schedule: ImageSchedule, newest: ServerImage | None, max_age: timedelta
) -> timedelta:
    """Return the age at which the newest image is no longer fresh.

    An image of a weekly schedule has a week even if the schedule is daily now: nobody
    knows since when, and the first daily image may not be due yet.
    """
    period = schedule.interval
    if newest is not None:
        period = max(period, period_of(newest))
    limit = max_age + period - _DAY
    # Several images a day have the margin of daily ones, but at least their interval.
    return limit if schedule.hours is None else max(limit, period)


def _state(
    server: InventoryServer,
    newest: ServerImage | None,
    now: datetime,
    limit: timedelta | None,
) -> State:
    if server.problem is not None:
        return State.UNKNOWN
    if server.invalid_tag is not None:
        return State.INVALID
    if limit is None:
        return State.OFF
    if newest is None:
        return State.NEVER
    return State.LATE if _older(newest.created, now, limit) else State.OK


def _older(moment: datetime | None, now: datetime, limit: timedelta) -> bool:
    return moment is None or now - moment > limit


def _began(server: InventoryServer, decisions: Iterable[Decision]) -> datetime | None:
    """Return since when an image could have existed, None if unknown.

    No cloud shows when a schedule was enabled, but it is not older than its server, and
    if its first image is being made, none was due before.
    """
    making = [
        decision.image.created for decision in decisions if _is_being_made(decision)
    ]
    return max((time for time in (server.created, *making) if time), default=None)


def _is_being_made(decision: Decision) -> bool:
    saving = decision.image.status == "SAVING"
    return decision.reason is Reason.PENDING or (
        decision.reason is Reason.NOT_ACTIVE and saving
    )


def _next_due(
    schedule: ImageSchedule | None, newest: ServerImage | None, now: datetime
) -> datetime | None:
    if schedule is None or newest is None or newest.created is None:
        return None
    return schedule.next_due(newest.created, now)
