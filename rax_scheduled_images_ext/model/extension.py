"""The scheduled images extension of the compute API: its names, bodies and filter.

Clients, the sandbox and the service's API all use these definitions.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.keep import LEAST_RETENTION, MOST_RETENTION
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    ImageSchedule,
    read_schedule,
    schedule_fields,
)

#: The name of the extension, and of its resource below a server.
ALIAS = "rax-si-image-schedule"
#: The only key of the resource's bodies.
KEY = "image_schedule"
#: The attribute of a server that holds its schedule, and the filter on it.
ATTRIBUTE = "RAX-SI:image_schedule"
#: The header with which this package's own API says that it keeps schedules as tags, so
#: that this package's service makes the images.
KEPT_HEADER, KEPT_AS_TAGS = "X-Scheduled-Images-Kept", "as-tags"
#: The extension's entry in the list of extensions.
EXTENSION: dict[str, Any] = {
    "alias": ALIAS,
    "name": "ScheduledImages",
    "namespace": "http://docs.openstack.org/servers/api/ext/scheduled_images/v1.0",
    "description": "Enables automatic scheduled images to be taken of a server.",
    "links": [],
    "updated": "2013-03-20T00:00:00Z",
}
#: The keys of a schedule beyond daily, weekly and a number.
FURTHER = frozenset({"every", "at", "keep"})
_FILTER = {"true": True, "1": True, "false": False, "0": False}


def schedule_object(schedule: ImageSchedule) -> dict[str, Any]:
    """Return a schedule as a JSON object; a daily one has no day.

    Older clients know daily, weekly and a number, and prune by the number. Of others
    they see the greatest, and those that know more the further keys: the fields of the
    schedule, and how many images it keeps at most.
    """
    if not schedule.is_simple:
        fields = schedule_fields(schedule)
        return {**fields, "most": schedule.most, "retention": MOST_RETENTION}
    if schedule.day_of_week is None:
        return {"retention": schedule.retention}
    return {"day_of_week": schedule.day_of_week, "retention": schedule.retention}


def schedule_body(schedule: ImageSchedule) -> dict[str, Any]:
    """Return the body with a schedule, of requests and responses."""
    return {KEY: schedule_object(schedule)}


def read_schedule_request(body: object, *, further: bool = False) -> ImageSchedule:
    """Return the schedule that a request asks for.

    The retention may be a string of digits, the day in any letter case.

    :param body: the JSON of the request.
    :param further: whether further keys count, as in :func:`schedule_object`; not those
        of Rackspace's own extension.
    :raises InvalidValue: for anything else; the text says what is allowed.
    """
    wanted = body.get(KEY) if isinstance(body, dict) else None
    if not isinstance(wanted, dict):
        raise InvalidValue(f"The body must be a JSON object with an object '{KEY}'")
    if further and FURTHER & wanted.keys():
        return read_schedule(wanted)
    retention = _retention(wanted.get("retention"))
    day = _day(wanted["day_of_week"]) if "day_of_week" in wanted else None
    return ImageSchedule(retention, day)


def parse_filter(text: str) -> bool:
    """Return whether a list's filter asks for servers with a schedule (or without).

    :raises InvalidValue: for anything but 1, 0, True and False in any letter case.
    """
    if text.lower() not in _FILTER:
        raise InvalidValue(
            f"Invalid input for query parameters {ATTRIBUTE}. Value: {text}. It must be"
            " True or False"
        )
    return _FILTER[text.lower()]


def no_schedule(server_id: str) -> str:
    """Return the message about a server without a schedule."""
    return f"Image schedule does not exist for server {server_id}"


def _retention(value: object) -> int:
    digits = isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value)
    if digits or (isinstance(value, int) and not isinstance(value, bool)):
        number = int(str(value))
        if LEAST_RETENTION <= number <= MOST_RETENTION:
            return number
    raise InvalidValue(
        f"Retention must be a whole number from {LEAST_RETENTION} to {MOST_RETENTION},"
        f" not {reprlib.repr(value)}"
    )


def _day(value: object) -> str:
    if isinstance(value, str) and value.upper() in DAYS:
        return value.upper()
    raise InvalidValue(
        f"day_of_week must be one of {', '.join(DAYS)}, not {reprlib.repr(value)}"
    )
