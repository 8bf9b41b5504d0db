"""Schedules as server tags, for clouds that do not store schedules themselves.

A server with the tag ``scheduled-images`` has a schedule; another tag says which, such
as ``scheduled-images:daily:7`` or ``scheduled-images:6h@02:30:8l+7d+4w``. Anyone may
set tags, so a tag that does not have exactly that form is reported and not acted upon.
Each schedule has one form: Nova compares tags without letter case.

``scheduled-images:off`` says that somebody wants none: no policy gives it one. A tag
``scheduled-images-policy:...`` says which policy gave it: see :mod:`.policies`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from rax_scheduled_images_ext.errors import InvalidValue, MalformedTag
from rax_scheduled_images_ext.model.keep import (
    LEAST_RETENTION,
    MOST_RETENTION,
    RULES,
    WITHIN,
    Keep,
)
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule, parse_every

#: The tag of every server with a schedule, which lists are filtered by.
MARKER_TAG = "scheduled-images"
PREFIX = f"{MARKER_TAG}:"
#: The tag of a server that is to have no schedule.
OFF_TAG = f"{PREFIX}off"
#: The start of the tag that says which policy gave a schedule.
POLICY_PREFIX = f"{MARKER_TAG}-policy:"
#: The valid tags of a server, for messages.
ALLOWED = (
    f"a schedule requires the tag {MARKER_TAG} and one of {PREFIX}daily:N,"
    f" {PREFIX}weekly-DAY:N and {PREFIX}6h@02:30:8l+7d+4w, N being {LEAST_RETENTION} to"
    f" {MOST_RETENTION}"
)
#: The maximum length of a tag, and the most tags that a server may have.
LONGEST_TAG, MOST_TAGS = 60, 50
# The letter of each rule; that of an age comes before and after its number.
_LETTERS = dict(zip(RULES, ("l", "h", "d", "w", "m", "y", "d"), strict=True))
_FORM = re.compile(f"{PREFIX}([a-z0-9-]+)(?:@([0-9:]+))?:([0-9a-z+]+)", re.ASCII)


def schedule_tag(schedule: ImageSchedule) -> str:
    """Return the tag of a schedule.

    :raises InvalidValue: for a schedule whose tag would be too long.
    """
    when = schedule.every
    if schedule.day_of_week is not None:
        when += f"-{schedule.day_of_week.lower()}"
    if schedule.at is not None:
        when += f"@{schedule.at}"
    tag = f"{PREFIX}{when}:{_keep_text(schedule.keep)}"
    if len(tag) > LONGEST_TAG:
        raise InvalidValue(
            f"'{tag}' has {len(tag)} characters, and a tag at most {LONGEST_TAG}: use"
            " fewer rules"
        )
    return tag


def is_own_tag(tag: str) -> bool:
    """Whether a tag is the marker, or one of those that go with a schedule."""
    return tag == MARKER_TAG or tag.startswith((PREFIX, POLICY_PREFIX))


def is_schedule_tag(tag: str) -> bool:
    """Whether a tag says which schedule a server has."""
    return tag.startswith(PREFIX) and tag != OFF_TAG


def half_schedule(tags: Iterable[str]) -> str | None:
    """Return the tag of a schedule that lacks the marker, so that it is none."""
    known = set(tags)
    if known & {MARKER_TAG, OFF_TAG}:
        return None
    return min(filter(is_schedule_tag, known), default=None)


def why_invalid(tag: str) -> str:
    """Return what is wrong with a tag that should be a server's schedule."""
    if tag == MARKER_TAG:
        return f"the tag '{tag}' without a schedule beside it"
    if tag == OFF_TAG:
        return f"the tag '{tag}' beside '{MARKER_TAG}': nothing is made or deleted"
    try:
        _parse(tag)
    except MalformedTag:
        return f"the tag '{tag}' is not a schedule"
    return f"the tag '{tag}' is not a schedule without the tag '{MARKER_TAG}'"


def read_schedule_tags(tags: Iterable[str]) -> ImageSchedule | None:
    """Return the schedule in a server's tags, None for none.

    Two schedules at once mean that someone is changing it: what either keeps stays, and
    images are made when the first of them says.

    :raises MalformedTag: for a malformed schedule, a marker without a schedule, or one
        beside the tag that says that there is none.
    """
    known = sorted(set(tags))
    if MARKER_TAG not in known:
        return None
    if OFF_TAG in known:
        raise MalformedTag(OFF_TAG)
    schedules = [_parse(tag) for tag in known if is_schedule_tag(tag)]
    if not schedules:
        raise MalformedTag(MARKER_TAG)
    if len(schedules) == 1:
        return schedules[0]
    # Of equal rank, the first in the order of the tags.
    first, keep = max(schedules, key=_rank), Keep()
    for schedule in schedules:
        keep |= schedule.keep
    return replace(first, retention=None, keep=keep)


@lru_cache(maxsize=1024)
def _parse(tag: str) -> ImageSchedule:
    """Return the schedule of a tag; a fleet has few different ones.

    :raises MalformedTag: for anything else.
    """
    found = _FORM.fullmatch(tag)
    if found is not None:
        every, _, day = found[1].partition("-")
        try:
            hours = parse_every(every)[1]
            schedule = ImageSchedule(
                day_of_week=day.upper() or None,
                hours=hours,
                at=found[2],
                keep=_read_keep(found[3]),
            )
            # Only the one form that there is: no abbreviations, no leading zeros.
            if schedule_tag(schedule.checked()) == tag:
                return schedule
        except InvalidValue:
            pass
    raise MalformedTag(tag)


def _keep_text(keep: Keep) -> str:
    if keep.number is not None:
        return str(keep.number)
    return "+".join(
        ("in" if rule == WITHIN else "") + f"{number}{_LETTERS[rule]}"
        for rule, number in keep.rules.items()
    )


def _read_keep(text: str) -> Keep:
    """Read rules that are written in any order, some of them twice."""
    if re.fullmatch("[0-9]{1,5}", text):
        return Keep(last=int(text))
    rules = {}
    for part in text.split("+"):
        found = re.fullmatch("(in)?([0-9]{1,5})([a-z])", part)
        names = [
            rule
            for rule, letter in _LETTERS.items()
            if found and (letter, rule == WITHIN) == (found[3], bool(found[1]))
        ]
        if found is None or not names:
            raise InvalidValue(f"'{part}' is not a rule")
        rules[names[0]] = int(found[2])
    return Keep(**rules)


def _rank(schedule: ImageSchedule) -> tuple[int, int]:
    """Return a sort key, greater for the schedule that says when images are made.

    Of two numbers that is the one that deletes less: the one that keeps more images, or
    makes fewer. Of two weekly ones the earlier day counts, so that all who read the
    tags choose the same.
    """
    day, kept = schedule.day_of_week, schedule.retention or MOST_RETENTION
    return kept, 0 if day is None else len(DAYS) - DAYS.index(day)
