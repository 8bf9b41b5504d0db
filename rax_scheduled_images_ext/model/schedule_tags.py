"""Schedules as tags of servers, for clouds that keep no schedules themselves.

A server with the tag ``scheduled-images`` has a schedule; another tag says which:
``scheduled-images:daily:7`` or ``scheduled-images:weekly-saturday:4``. Anything may set
tags, so whatever is not exactly of that form is told to people and not acted upon.
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

#: The tag of every server with a schedule, by which lists are filtered.
MARKER_TAG = "scheduled-images"
PREFIX = f"{MARKER_TAG}:"
#: What a server's tags may be, for people.
ALLOWED = (
    f"a schedule requires the tag {MARKER_TAG} and one of {PREFIX}daily:N and"
    f" {PREFIX}weekly-DAY:N, N being {LEAST_RETENTION} to {MOST_RETENTION}"
)
_DAYS = "|".join(day.lower() for day in DAYS)
_VALUE = re.compile(f"{PREFIX}(?:daily|weekly-({_DAYS})):([1-9][0-9]{{0,4}})")


def schedule_tag(schedule: ImageSchedule) -> str:
    """Return the tag that says which schedule it is."""
    kind = "daily"
    if schedule.day_of_week is not None:
        kind = f"weekly-{schedule.day_of_week.lower()}"
    return f"{PREFIX}{kind}:{schedule.retention}"


def is_own_tag(tag: str) -> bool:
    """Whether a tag is the marker, or one of those that say which schedule it is."""
    return tag == MARKER_TAG or is_schedule_tag(tag)


def is_schedule_tag(tag: str) -> bool:
    """Whether a tag is one of those that say which schedule a server has."""
    return tag.startswith(PREFIX)


def read_schedule_tags(tags: Iterable[str]) -> ImageSchedule | None:
    """Return the schedule that a server's tags stand for, None for none.

    Two schedules at once are a change that somebody is making: the one that deletes
    less counts.

    :raises MalformedTag: for a tag that is no schedule, or a marker without one.
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
    """Return what is greater for the schedule that deletes less.

    More images stay, or fewer are made; of two weekly ones the earlier day is taken,
    so that all who read the tags take the same.
    """
    day = schedule.day_of_week
    return schedule.retention, 0 if day is None else len(DAYS) - DAYS.index(day)
