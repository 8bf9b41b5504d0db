"""Reads forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.keep import MOST_RETENTION, RULES, Keep
from rax_scheduled_images_ext.model.restore import RestoreOptions
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    INTERVALS,
    ImageSchedule,
    ScheduleSettings,
    parse_retention,
)
from rax_scheduled_images_ext.model.schedule_tags import schedule_tag
from rax_scheduled_images_ext.model.volume_snapshots import LONGEST_IMAGE_NAME
from rax_scheduled_images_ext.operations.server import ServerDetails

#: The rules that a form may have beside the number of the newest images.
FURTHER_RULES = RULES[1:]
#: The fields of a form that describe a schedule.
SCHEDULE_FIELDS = ("when", "at", "retention", *FURTHER_RULES)
#: The fields of a form that describe a restore.
RESTORE_FIELDS = (
    *("how", "image", "name", "flavor"),
    *("schedule", "no_safety_image", "lose_ephemeral"),
)
_DAILY = "daily"


def read_schedule(form: Mapping[str, str]) -> ImageSchedule:
    """Return the schedule in a form.

    :raises InvalidValue: for an invalid one.
    """
    keep = _read_keep(form)
    when, at = form.get("when", _DAILY), form.get("at", "").strip() or None
    day, hours = None, None
    if when.upper() in DAYS:
        day = when.upper()
    elif when in INTERVALS:
        hours = int(when[:-1])
    elif when != _DAILY:
        allowed = ", ".join((*map(str.lower, DAYS), *INTERVALS))
        raise InvalidValue(f"'{when}' is not a schedule: use daily, {allowed}")
    schedule = ImageSchedule(day_of_week=day, hours=hours, at=at, keep=keep).checked()
    # As long as a tag may be.
    schedule_tag(schedule)
    return schedule


def read_change(form: Mapping[str, str]) -> ScheduleSettings | None:
    """Return the change of schedules in a form, None to switch them off.

    :raises InvalidValue: for an invalid one.
    """
    action = form.get("action", "")
    if action == "disable":
        return None
    if action == "update":
        keep = _read_keep(form)
        if keep.number is not None:
            return ScheduleSettings(retention=keep.number)
        return ScheduleSettings(
            keep=replace(keep, within_days=0), within_days=keep.within_days
        )
    if action == "enable":
        return ScheduleSettings.of(read_schedule(form))
    raise InvalidValue(f"'{action}' is not an action: use enable, update or disable")


def _read_keep(form: Mapping[str, str]) -> Keep:
    """Return the rules in a form; the number of the newest images is one of them."""
    given = {rule: form.get(rule, "").strip() for rule in FURTHER_RULES}
    rules = {rule: _number(rule, text) for rule, text in given.items() if text}
    newest = form.get("retention", "").strip()
    if newest or not any(rules.values()):
        rules["last"] = parse_retention(newest)
    return Keep(**rules).checked()


def _number(rule: str, text: str) -> int:
    """Return how much a rule keeps, 0 for nothing."""
    if re.fullmatch("0*[0-9]{1,5}", text, re.ASCII) and int(text) <= MOST_RETENTION:
        return int(text)
    raise InvalidValue(
        f"'{text}' is not a number for {rule.replace('_', ' ')}: a whole number from 0"
        f" to {MOST_RETENTION}"
    )


def read_restore(form: Mapping[str, str]) -> RestoreOptions:
    """Return how a form wants a server to be restored.

    The fields of the other way count for nothing.

    :raises InvalidValue: for an invalid one.
    """
    how = form.get("how", "")
    image = form.get("image") or None
    if how == "in-place":
        return RestoreOptions(
            in_place=True,
            image=image,
            safety_image="no_safety_image" not in form,
            lose_ephemeral="lose_ephemeral" in form,
        )
    if how == "new":
        return RestoreOptions(
            new_name=read_name(form, "a server"),
            image=image,
            flavor=form.get("flavor", "").strip() or None,
            schedule="schedule" in form,
        )
    raise InvalidValue(f"'{how}' is not a way to restore a server: use new or in-place")


def read_name(form: Mapping[str, str], what: str = "an image") -> str:
    """Return the name of something new.

    :raises InvalidValue: for an invalid one.
    """
    name = form.get("name", "").strip()
    if not 1 <= len(name) <= 255 or not name.isprintable():
        raise InvalidValue(
            f"'{name}' is not a name for {what}: use 1 to 255 printable characters"
        )
    return name


def new_image_name(details: ServerDetails) -> str:
    """Return a name for a new image of a server that none of its images has."""
    printable = "".join(c if c.isprintable() else "_" for c in details.server.name)
    taken = {each.image.name for each in details.images}
    suffix = f"-{details.now:%Y%m%d-%H%M%S}"
    for number in count(2):
        # Volume snapshots are named after the image, and their names are limited too.
        name = printable.strip()[: LONGEST_IMAGE_NAME - len(suffix)] + suffix
        if name not in taken:
            break
        suffix = f"-{details.now:%Y%m%d-%H%M%S}-{number}"
    return name
