"""Reads forms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    ImageSchedule,
    ScheduleSettings,
    parse_retention,
)
from rax_scheduled_images_ext.model.volume_snapshots import LONGEST_IMAGE_NAME
from rax_scheduled_images_ext.operations.server import ServerDetails

#: The fields of a form that describe a schedule.
SCHEDULE_FIELDS = ("when", "retention")
_DAILY = "daily"


def read_schedule(form: Mapping[str, str]) -> ImageSchedule:
    """Return the schedule in a form.

    :raises InvalidValue: for an invalid one.
    """
    retention = _read_retention(form)
    when = form.get("when", _DAILY)
    if when == _DAILY:
        return ImageSchedule(retention)
    if when.upper() not in DAYS:
        days = ", ".join(map(str.lower, DAYS))
        raise InvalidValue(f"'{when}' is not a schedule: use daily, {days}")
    return ImageSchedule(retention, when.upper())


def read_change(form: Mapping[str, str]) -> ScheduleSettings | None:
    """Return the change of schedules in a form, None to switch them off.

    :raises InvalidValue: for an invalid one.
    """
    action = form.get("action", "")
    if action == "disable":
        return None
    if action == "update":
        return ScheduleSettings(retention=_read_retention(form))
    if action == "enable":
        return ScheduleSettings.of(read_schedule(form))
    raise InvalidValue(f"'{action}' is not an action: use enable, update or disable")


def _read_retention(form: Mapping[str, str]) -> int:
    return parse_retention(form.get("retention", "").strip())


def read_name(form: Mapping[str, str]) -> str:
    """Return the name of a new image.

    :raises InvalidValue: for an invalid one.
    """
    name = form.get("name", "").strip()
    if not 1 <= len(name) <= 255 or not name.isprintable():
        raise InvalidValue(
            f"'{name}' is not a name for an image: use 1 to 255 printable characters"
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
