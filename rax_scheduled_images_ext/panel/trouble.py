"""Why a server lacks an image: from its history, and from its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import PASSING, Attempt, Snapshots
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.times import LONG_AGO

# So long a cause that was found is good: each takes two requests.
_GOOD_FOR = timedelta(minutes=5)
_QUESTION = "Is a scheduled-images-service running?"
_READY = ("ACTIVE", "DEACTIVATED")


@dataclass(frozen=True)
class Trouble:
    """Why a server lacks an image, as a sentence.

    ``failed`` is whether snapshots are known to have failed; ``time`` is when that was
    found out. ``question`` is one that a page asks once, of however many servers.
    """

    text: str
    failed: bool
    time: datetime
    question: str = ""


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
        text = f"Failed {_when(failed)}: {why}"
        return Trouble(text if text.endswith(".") else f"{text}.", True, now)
    unready = [each for each in made if each.status not in _READY]
    if unready:
        image = unready[0]
        text = f"The image {image.name or image.id} is still {image.status}."
        return Trouble(text, False, now)
    if later and not made:
        text = f"The snapshots requested {_when(later)} left no image."
        return Trouble(text, True, now)
    if newest is not None:
        text = f"No snapshot was requested since {since.date()}."
    else:
        text = "No snapshot was requested."
    return Trouble(text, False, now, _QUESTION if cloud.schedules.kept_as_tags else "")


def _when(attempts: Iterable[Attempt]) -> str:
    """Return the days of attempts, such as ``on 2 days since 2026-01-05``."""
    days = sorted({each.started.date() for each in attempts if each.started})
    return f"on {days[0]}" if len(days) == 1 else f"on {len(days)} days since {days[0]}"
