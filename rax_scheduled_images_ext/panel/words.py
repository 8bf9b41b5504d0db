"""The panel's wording: errors in one line, and filters for the templates."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
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
from rax_scheduled_images_ext.model.times import read_time
from rax_scheduled_images_ext.panel.look import current_look

LOG = logging.getLogger(__name__)

_TASKS = {
    PENDING: "snapshot queued",
    COPYING: "snapshot: disk being copied",
    BACKUP: "backup: disk being copied",
    COPIED: "snapshot: waiting for upload",
    UPLOADING: "snapshot: uploading",
}
# So many characters of why a server lacks an image are in a list.
_BRIEF = 72
# So many names are in a sentence.
_MOST_NAMES = 5
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_ID = re.compile(r"\b([0-9a-f]{8})-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.ASCII)
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


def brief(text: str) -> str:
    """Return the beginning of a text for a list, with the start of each ID."""
    short = _ID.sub(r"\1…", text)
    return short if len(short) <= _BRIEF else f"{short[:_BRIEF].rstrip()}…"


def folded(text: str) -> tuple[str, str]:
    """Return a sentence about an error, and the cloud's own words, if it has any."""
    sentence, _, raw = text.partition(": ")
    return (f"{sentence}.", raw) if sentence in _SENTENCES else (text, "")


def named_words(names: Sequence[str]) -> str:
    """Return names as a list in words; of many only some."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


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
    return "-" if time is None else current_look().words(time)


def with_moments(text: str) -> str:
    """Return a sentence of a command with its times as pages write them."""

    def written(found: re.Match[str]) -> str:
        time = read_time(found[0])
        return moment(time) if time else found[0]

    return _TIME.sub(written, text)


def schedule_words(schedule: ImageSchedule | None) -> str:
    """Return the kind of a schedule, such as ``weekly on Saturday``."""
    if schedule is None:
        return "none"
    day = schedule.day_of_week
    when = schedule.when.replace(day, day.title()) if day else schedule.when
    return f"every {when}" if when[0].isdigit() else when


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
