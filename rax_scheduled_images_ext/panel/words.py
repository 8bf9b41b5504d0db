"""The panel's wording: errors in one line, and filters for the templates."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from keystoneauth1 import exceptions as keystone

from rax_scheduled_images_ext.client.http import shortened
from rax_scheduled_images_ext.errors import ApiError, ScheduledImagesError
from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.model.freshness import MAX_AGE, ScheduleStatus, State
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.task_states import (
    BACKUP,
    COPIED,
    COPYING,
    PENDING,
    UPLOADING,
)
from rax_scheduled_images_ext.panel.look import current_look

LOG = logging.getLogger(__name__)

_TASKS = {
    PENDING: "snapshot queued",
    COPYING: "snapshot: disk being copied",
    BACKUP: "backup: disk being copied",
    COPIED: "snapshot: waiting for upload",
    UPLOADING: "snapshot: uploading",
}
_REFUSED, _BROKEN = "The cloud refuses this", "The cloud has an error"
_MEANINGS = {
    401: "The cloud does not accept the login",
    403: "Your role does not permit this",
    404: "The cloud does not know this",
    409: "The cloud refuses this as things are now",
    413: "A limit of the cloud is reached",
    429: "The cloud has too many requests",
    **dict.fromkeys(range(500, 600), _BROKEN),
}
_SENTENCES = {_REFUSED, *_MEANINGS.values()}
_STATES = {
    State.OK: "its newest image is fresh",
    State.LATE: "its newest image is older than it should be",
    State.NEVER: "it has a schedule, but no image yet",
    State.OFF: "it has no schedule",
    State.UNPROTECTED: "it has no schedule, and nobody has said that it needs none",
    State.VANISHED: "its schedule is gone, and nobody has ended it",
    State.INVALID: "its tags are not a valid schedule, so no image is made",
    State.UNKNOWN: "its schedule could not be read",
}


def in_words(error: Exception) -> str:
    """Return one line about an error.

    An unexpected error is logged with its traceback, and not shown.
    """
    if isinstance(error, ApiError):
        return f"{_MEANINGS.get(error.status, _REFUSED)}: {error}"
    if isinstance(error, (keystone.ConnectTimeout, TimeoutError)):
        return "The cloud did not answer in time"
    if isinstance(error, (keystone.ConnectionError, OSError)):
        return "The connection to the cloud failed"
    if isinstance(error, (keystone.Unauthorized, keystone.NotFound)):
        return f"The cloud does not accept the login: {shortened(str(error))}"
    if isinstance(error, (ScheduledImagesError, keystone.ClientException)):
        return shortened(str(error))
    LOG.error("an unexpected error", exc_info=error)
    return "Something went wrong in the panel; its log has the details"


def folded(text: str) -> tuple[str, str]:
    """Return a sentence about an error, and the cloud's own words, if it has any."""
    sentence, _, raw = text.partition(": ")
    return (f"{sentence}.", raw) if sentence in _SENTENCES else (text, "")


def signed_out(error: Exception | None) -> bool:
    """Whether an error means that the cloud no longer accepts the token.

    Requests to services raise no HTTP errors of keystoneauth: those come only from
    logging in.
    """
    if isinstance(error, ApiError):
        return error.status == 401
    return isinstance(error, keystone.HTTPClientError)


def duration(seconds: float) -> str:
    """Return a duration such as ``1d2h``."""
    return format_duration(seconds)


def moment(time: datetime | None) -> str:
    """Return a time to show, in the user's time zone."""
    return "-" if time is None else current_look().words(time, "%Y-%m-%d %H:%M")


def short_moment(time: datetime, now: datetime) -> str:
    """Return a time to show in a table; the year only if it is another one."""
    year = "" if time.year == now.year else " %Y"
    return current_look().words(time, f"%d %b{year} %H:%M")


def schedule_words(schedule: ImageSchedule | None) -> str:
    """Return the kind of a schedule, such as ``weekly on Saturday``."""
    if schedule is None:
        return "none"
    day = schedule.day_of_week
    return schedule.when.replace(day, day.title()) if day else schedule.when


def kept_words(schedule: ImageSchedule | None) -> str:
    """Return what a schedule keeps."""
    return "-" if schedule is None else str(schedule.retention or schedule.keep.words)


def described(schedule: ImageSchedule) -> str:
    """Return a schedule and what it keeps."""
    return f"{schedule_words(schedule)}, keep {kept_words(schedule)}"


def task_words(task_state: str | None) -> str:
    """Return what a server is doing, empty if nothing."""
    return "" if task_state is None else _TASKS.get(task_state, task_state)


def overdue_since(status: ScheduleStatus) -> datetime | None:
    """Return when a late server's missing image was due, None if unknown."""
    if status.state is not State.LATE or status.newest is None or not status.limit:
        return None
    # The limit is the time between two images, plus the allowed delay.
    period = status.limit - MAX_AGE + timedelta(days=1)
    return status.newest.created and status.newest.created + period


def is_overdue(status: ScheduleStatus) -> bool:
    """Whether an image that was due is missing."""
    return status.stale and status.state in (State.LATE, State.NEVER)


def state_words(status: ScheduleStatus) -> str:
    """Return the meaning of a status."""
    return _STATES[status.state]
