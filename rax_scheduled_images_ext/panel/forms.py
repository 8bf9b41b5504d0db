"""Reading what people have written into forms."""

from __future__ import annotations

from collections.abc import Mapping

from rax_scheduled_images_ext.model.errors import InvalidValue
from rax_scheduled_images_ext.model.schedule import (
    ImageSchedule,
    parse_day,
    parse_retention,
)


def read_schedule(form: Mapping[str, str]) -> ImageSchedule:
    """Return the schedule that a form describes.

    :raises InvalidValue: for one that cannot be.
    """
    retention = parse_retention(form.get("retention", "").strip())
    kind = form.get("kind", "daily")
    if kind == "daily":
        return ImageSchedule(retention)
    if kind != "weekly":
        raise InvalidValue(f"'{kind}' is not a kind of schedule: use daily or weekly")
    return ImageSchedule(retention, parse_day(form.get("day", "")))


def read_name(form: Mapping[str, str]) -> str:
    """Return the name of a new image.

    :raises InvalidValue: for one that no image can have.
    """
    name = form.get("name", "").strip()
    if not 1 <= len(name) <= 255 or not name.isprintable():
        raise InvalidValue(
            f"'{name}' is not a name for an image: 1 to 255 characters that can be seen"
        )
    return name
