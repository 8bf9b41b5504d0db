"""The scheduled images extension: a server's image schedule, and its presence."""

from __future__ import annotations

import re
from typing import Any

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import ADMIN, MEMBER
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas
from rax_scheduled_images_ext.sandbox.compute.inputs import find_server
from rax_scheduled_images_ext.sandbox.compute.views import schedule_view
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

ALIAS = "rax-si-image-schedule"
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
LEAST, MOST = 1, 65535


def show(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/rax-si-image-schedule"""
    find_server(call, server_id)
    return {"image_schedule": schedule_view(call.region.schedule(server_id))}


def enable(call: Call, server_id: str) -> ResponseReturnValue:
    """POST /servers/{id}/rax-si-image-schedule"""
    find_server(call, server_id)
    inputs.may(call, f"{ALIAS}:create", MEMBER)
    wanted = inputs.body(schemas.SET_SCHEDULE)["image_schedule"]
    retention = checked_retention(wanted["retention"])
    day = checked_day(wanted["day_of_week"]) if "day_of_week" in wanted else None
    schedule = call.region.set_schedule(server_id, retention, day)
    return {"image_schedule": schedule_view(schedule)}


def disable(call: Call, server_id: str) -> ResponseReturnValue:
    """DELETE /servers/{id}/rax-si-image-schedule; a body means nothing."""
    find_server(call, server_id)
    # A user who may not remove one gets 403, with or without a schedule.
    inputs.may(call, f"{ALIAS}:delete", ADMIN)
    call.region.delete_schedule(server_id)
    return "", 202


def checked_retention(value: object) -> int:
    """Return a retention of 1 to 65535; digits in a text will do.

    :raises HttpError: 400 for anything else.
    """
    digits = isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII)
    if digits or (isinstance(value, int) and not isinstance(value, bool)):
        number = int(str(value))
        if LEAST <= number <= MOST:
            return number
    raise HttpError(
        400, f"Retention must be a whole number from {LEAST} to {MOST}, not {value!r}"
    )


def checked_day(value: object) -> str:
    """Return a day of the week in capitals.

    :raises HttpError: 400 for what is none.
    """
    if isinstance(value, str) and value.upper() in DAYS:
        return value.upper()
    raise HttpError(400, f"day_of_week must be one of {', '.join(DAYS)}, not {value!r}")


# -- the list of extensions


def _extension(alias: str, name: str, description: str, **more: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": name,
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "description": description,
        "links": [],
        "updated": "2014-12-03T00:00:00Z",
        **more,
    }


EXTENSIONS = (
    _extension("OS-DCF", "DiskConfig", "How a server's disk is partitioned."),
    _extension("OS-EXT-AZ", "ExtendedAvailabilityZone", "Where a server runs."),
    _extension("OS-EXT-IMG-SIZE", "ImageSize", "Sizes of images."),
    _extension("OS-EXT-STS", "ExtendedStatus", "What is being done to a server."),
    _extension("OS-SRV-USG", "ServerUsage", "When a server was launched and ended."),
    _extension("os-create-backup", "CreateBackup", "Backups with a rotation."),
    _extension("os-extended-volumes", "ExtendedVolumes", "A server's volumes."),
    _extension("os-instance-actions", "InstanceActions", "A server's history."),
    _extension("os-lock-server", "LockServer", "Locks on servers."),
    _extension("os-server-start-stop", "ServerStartStop", "Power on, power off."),
    _extension(
        ALIAS,
        "ScheduledImages",
        "Enables automatic scheduled images to be taken of a server.",
        namespace="http://docs.openstack.org/servers/api/ext/scheduled_images/v1.0",
        updated="2013-03-20T00:00:00Z",
    ),
)


def _offered(call: Call) -> list[dict[str, Any]]:
    ours = call.services.cloud.extension
    return [each for each in EXTENSIONS if ours or each["alias"] != ALIAS]


def extension_list(call: Call) -> ResponseReturnValue:
    """GET /extensions"""
    return {"extensions": _offered(call)}


def extension_show(call: Call, alias: str) -> ResponseReturnValue:
    """GET /extensions/{alias}"""
    for extension in _offered(call):
        if extension["alias"] == alias:
            return {"extension": extension}
    raise HttpError(404, "The resource could not be found.")
