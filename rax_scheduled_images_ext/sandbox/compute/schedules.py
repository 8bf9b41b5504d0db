"""The scheduled images extension: a server's image schedule, and its presence."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.extension import (
    ALIAS,
    EXTENSION,
    read_schedule_request,
)
from rax_scheduled_images_ext.sandbox.backend.directory import ADMIN, MEMBER
from rax_scheduled_images_ext.sandbox.compute import inputs
from rax_scheduled_images_ext.sandbox.compute.inputs import find_server
from rax_scheduled_images_ext.sandbox.compute.views import schedule_view
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError


def show(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/rax-si-image-schedule"""
    find_server(call, server_id)
    return {"image_schedule": schedule_view(call.region.schedules.get(server_id))}


def enable(call: Call, server_id: str) -> ResponseReturnValue:
    """POST /servers/{id}/rax-si-image-schedule"""
    find_server(call, server_id)
    inputs.may(call, f"{ALIAS}:create", MEMBER)
    try:
        wanted = read_schedule_request(inputs.content())
    except InvalidValue as error:
        raise HttpError(400, str(error)) from None
    schedule = call.region.schedules.set(
        server_id, wanted.keep.last, wanted.day_of_week
    )
    return {"image_schedule": schedule_view(schedule)}


def disable(call: Call, server_id: str) -> ResponseReturnValue:
    """DELETE /servers/{id}/rax-si-image-schedule; a body is ignored."""
    find_server(call, server_id)
    # A user without the right gets 403, whether there is a schedule or not.
    inputs.may(call, f"{ALIAS}:delete", ADMIN)
    call.region.schedules.delete(server_id)
    return "", 202


# -- the list of extensions


def _extension(alias: str, name: str, description: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": name,
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "description": description,
        "links": [],
        "updated": "2014-12-03T00:00:00Z",
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
    EXTENSION,
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
