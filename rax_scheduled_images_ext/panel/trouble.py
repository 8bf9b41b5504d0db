"""Why a server lacks an image: from its history, and from its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import PASSING, Attempt, Snapshots
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.times import LONG_AGO

# So many days are named; more are counted.
_MOST_DAYS = 3
# So long a cause that was found is good: each takes two requests.
_GOOD_FOR = timedelta(minutes=5)
_READY = ("ACTIVE", "DEACTIVATED")


@dataclass(frozen=True)
class Trouble:
    """Why a server lacks an image, as a sentence.

    ``failed`` is whether snapshots are known to have failed; ``time`` is when that was
    found out.
    """

    text: str
    failed: bool
    time: datetime


def lacks_image(status: ScheduleStatus) -> bool:
    """Whether a server lacks an image for a reason that its status does not say."""
    return status.stale and status.state is not State.INVALID


def trouble_of(
    cloud: Cloud,
    status: ScheduleStatus,
    images: Iterable[ServerImage],
    now: datetime,
    before: Trouble | None = None,
) -> Trouble | None:
    """Return why a server lacks an image, None if it does not.

    :param before: what was found before; it is good for a while.
    """
    if not lacks_image(status):
        return None
    if before is not None and now - before.time < _GOOD_FOR:
        return before
    return _find(cloud, status, images, now)


def _find(
    cloud: Cloud, status: ScheduleStatus, images: Iterable[ServerImage], now: datetime
) -> Trouble:
    newest = status.newest
    since = (newest.created if newest else None) or LONG_AGO
    snapshots, server_id = Snapshots(cloud.compute), status.server.id
    try:
        attempts = snapshots.attempts(server_id)
    except (*PASSING, ScheduledImagesError):
        return Trouble("Why is unknown: its history cannot be read.", False, now)
    later = [each for each in attempts if each.started and each.started > since]
    failed = [each for each in later if each.problem]
    made = [each for each in images if each.created and each.created > since]
    if failed:
        # The list often says no more than that it was an error.
        why = snapshots.failure(server_id, failed[0].request_id) or failed[0].problem
        return Trouble(f"Failed {_days(failed)}: {why}", True, now)
    unready = [each for each in made if each.status not in _READY]
    if unready:
        image = unready[0]
        text = f"The image {image.name or image.id} is still {image.status}."
        return Trouble(text, False, now)
    if later and not made:
        text = f"The snapshots requested {_days(later)} left no image."
        return Trouble(text, True, now)
    if newest is not None:
        text = f"No snapshot was requested since {_day(since)}."
    else:
        text = "No snapshot was requested."
    if cloud.schedules.kept_as_tags:
        text += " Is a scheduled-images-service running?"
    return Trouble(text, False, now)


def _days(attempts: Iterable[Attempt]) -> str:
    """Return the days of attempts, such as ``28 and 29 November``."""
    days = sorted({each.started.date() for each in attempts if each.started})
    if len(days) > _MOST_DAYS:
        return f"on {len(days)} days since {_day(days[0])}"
    words = [
        # The month once, if it is the same.
        f"{day.day}" if later and later.month == day.month else _day(day)
        for day, later in zip(days, [*days[1:], None], strict=True)
    ]
    return "on " + " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _day(day: date) -> str:
    return f"{day.day} {day:%B}"
