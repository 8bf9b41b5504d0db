"""Schedules as server tags, for clouds that do not store schedules themselves.

A server with the tag ``scheduled-images`` has a schedule; another tag says which:
``scheduled-images:daily:7`` or ``scheduled-images:weekly-saturday:4``. Anyone may set
tags, so a tag that does not have exactly that form is reported and not acted upon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rax_scheduled_images_ext.errors import MalformedTag
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    LEAST_RETENTION,
    MOST_RETENTION,
    ImageSchedule,
)

#: The tag of every server with a schedule, which lists are filtered by.
MARKER_TAG = "scheduled-images"
PREFIX = f"{MARKER_TAG}:"
#: The valid tags of a server, for messages.
ALLOWED = (
    f"a schedule requires the tag {MARKER_TAG} and one of {PREFIX}daily:N and"
    f" {PREFIX}weekly-DAY:N, N being {LEAST_RETENTION} to {MOST_RETENTION}"
)
_DAYS = "|".join(day.lower() for day in DAYS)
_VALUE = re.compile(f"{PREFIX}(?:daily|weekly-({_DAYS})):([1-9][0-9]{{0,4}})")


def schedule_tag(schedule: ImageSchedule) -> str:
    """Return the tag of a schedule."""
    kind = "daily"
    if schedule.day_of_week is not None:
        kind = f"weekly-{schedule.day_of_week.lower()}"
    return f"{PREFIX}{kind}:{schedule.retention}"


def is_own_tag(tag: str) -> bool:
    """Whether a tag is the marker or says which schedule a server has."""
    return tag == MARKER_TAG or is_schedule_tag(tag)


def is_schedule_tag(tag: str) -> bool:
    """Whether a tag says which schedule a server has."""
    return tag.startswith(PREFIX)


def read_schedule_tags(tags: Iterable[str]) -> ImageSchedule | None:
    """Return the schedule in a server's tags, None for none.

    Two schedules at once mean that someone is changing it: the one that deletes less
    counts.

    :raises MalformedTag: for a malformed schedule, or a marker without a schedule.
    """
    known = sorted(set(tags))
    if MARKER_TAG not in known:
        return None
    schedules = [_parse(tag) for tag in known if is_schedule_tag(tag)]
    if not schedules:
        raise MalformedTag(MARKER_TAG)
    return max(schedules, key=_rank)


def _parse(tag: str) -> ImageSchedule:
    found = _VALUE.fullmatch(tag)
    retention = int(found[2]) if found else 0
    if found is None or not LEAST_RETENTION <= retention <= MOST_RETENTION:
        raise MalformedTag(tag)
    return ImageSchedule(retention, found[1].upper() if found[1] else None)


def _rank(schedule: ImageSchedule) -> tuple[int, int]:
    """Return a sort key, greater for the schedule that deletes less.

    That is the one that keeps more images, or makes fewer. Of two weekly ones the
    earlier day counts, so that all who read the tags choose the same.
    """
    day = schedule.day_of_week
    return schedule.retention, 0 if day is None else len(DAYS) - DAYS.index(day)
