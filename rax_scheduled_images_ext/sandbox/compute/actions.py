"""The actions of servers: POST /servers/{id}/action."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import ADMIN
from rax_scheduled_images_ext.sandbox.backend.models import (
    Image,
    OverQuota,
    Server,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import check_metadata
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas
from rax_scheduled_images_ext.sandbox.compute.inputs import (
    find_server,
    may,
)
from rax_scheduled_images_ext.sandbox.compute.views import ServerViews, image_root
from rax_scheduled_images_ext.sandbox.http.common import BROKEN, Call, HttpError

# What a rebuild can change besides the image.
_REBUILT = ("name", "description", "metadata", "key_name", "user_data", "hostname")


def act(call: Call, server_id: str) -> ResponseReturnValue:
    """POST /servers/{id}/action"""
    whole = inputs.content()
    if not isinstance(whole, dict) or len(whole) != 1:
        raise HttpError(400, "Malformed request body")
    name = next(iter(whole))
    if name not in _ACTIONS:
        raise HttpError(400, f"There is no such action: {name}")
    return _ACTIONS[name](call, server_id, whole)


def _create_image(
    call: Call, server_id: str, whole: Mapping[str, Any]
) -> ResponseReturnValue:
    wanted = schemas.validate(whole, schemas.CREATE_IMAGE)["createImage"]
    find_server(call, server_id)
    may(call, "servers:create_image")
    try:
        image = call.region.snapshots.create(
            server_id, wanted["name"], wanted.get("metadata", {}), user_id=call.user_id
        )
    except OverQuota:
        return _over_quota()
    return _image_made(call, image, f"{image_root(call)}/images/{image.id}")


def _create_backup(
    call: Call, server_id: str, whole: Mapping[str, Any]
) -> ResponseReturnValue:
    wanted = schemas.validate(whole, schemas.CREATE_BACKUP)["createBackup"]
    rotation = int(wanted["rotation"])
    find_server(call, server_id)
    may(call, "os-create-backup")
    try:
        image = call.region.snapshots.create_backup(
            server_id,
            wanted["name"],
            wanted["backup_type"],
            rotation,
            wanted.get("metadata", {}),
            user_id=call.user_id,
        )
    except OverQuota:
        return _over_quota()
    location = f"{call.root}/images/{image.id}" if rotation else None
    return _image_made(call, image, location)


def _over_quota() -> ResponseReturnValue:
    """Respond as Nova does, which does not know the quotas of the image service.

    Returned, not raised, so that its earlier effects remain.
    """
    message = BROKEN.format("<class 'glanceclient.exc.HTTPOverLimit'>")
    return {"computeFault": {"code": 500, "message": message}}, 500


def _image_made(call: Call, image: Image, location: str | None) -> ResponseReturnValue:
    if call.version >= (2, 45):
        return {"image_id": image.id}, 202
    return "", 202, {"Location": location} if location else {}


def _on_server(
    policy: str, do: Callable[[Call, Server], None], role: str | None = None
) -> Callable[..., ResponseReturnValue]:
    """Return an action without parameters."""

    def action(
        call: Call, server_id: str, _whole: Mapping[str, Any]
    ) -> ResponseReturnValue:
        server = find_server(call, server_id)
        may(call, policy, *([role] if role else []))
        do(call, server)
        return inputs.nothing(202)

    return action


def _start(call: Call, server: Server) -> None:
    call.region.servers.start(inputs.unlocked(call, server).id)


def _stop(call: Call, server: Server) -> None:
    call.region.servers.stop(inputs.unlocked(call, server).id)


def _lock(call: Call, server_id: str, whole: Mapping[str, Any]) -> ResponseReturnValue:
    wanted: Mapping[str, str] = {}
    if call.version >= (2, 73):
        wanted = schemas.validate(whole, schemas.LOCK)["lock"] or {}
    find_server(call, server_id)
    may(call, "os-lock-server:lock")
    call.region.servers.lock(server_id, True, wanted.get("locked_reason"))
    return inputs.nothing(202)


def _unlock(call: Call, server: Server) -> None:
    call.region.servers.lock(server.id, False)


def _reset_state(
    call: Call, server_id: str, whole: Mapping[str, Any]
) -> ResponseReturnValue:
    wanted = schemas.validate(whole, schemas.RESET_STATE)["os-resetState"]
    find_server(call, server_id)
    may(call, "os-admin-actions:reset_state", ADMIN)
    call.region.servers.reset_state(server_id, wanted["state"])
    return inputs.nothing(202)


def _reboot(
    call: Call, server_id: str, whole: Mapping[str, Any]
) -> ResponseReturnValue:
    """Reboot a server; that takes no time, so that only a refusal is visible."""
    kind = schemas.validate(whole, schemas.REBOOT)["reboot"]["type"]
    server = find_server(call, server_id)
    may(call, "servers:reboot")
    inputs.unlocked(call, server)
    if server.task_state is not None:
        state = f"task_state {server.task_state}"
    elif kind.upper() == "SOFT" and server.vm_state != "active":
        state = f"vm_state {server.vm_state}"
    else:
        call.region.servers.reboot(server_id)
        return inputs.nothing(202)
    raise HttpError(409, f"Cannot 'reboot' instance {server_id} while it is in {state}")


def _rebuild(
    call: Call, server_id: str, whole: Mapping[str, Any]
) -> ResponseReturnValue:
    wanted = schemas.validate(whole, schemas.rebuild(call.version))["rebuild"]
    server = find_server(call, server_id)
    may(call, "servers:rebuild")
    inputs.unlocked(call, server)
    call.region.rebuilds.check(server)
    changes = {key: wanted[key] for key in _REBUILT if key in wanted}
    if changes.get("key_name") is not None:
        inputs.known_key(call, changes["key_name"])
    if "metadata" in changes:
        check_metadata(changes["metadata"])
        changes["metadata"] = json.dumps(changes["metadata"])
    image = inputs.visible_image(call, wanted["imageRef"])
    if image is None:
        raise HttpError(400, "Cannot find image for rebuild")
    call.region.rebuilds.begin(
        server, image, reimage=call.version >= (2, 93), changes=changes
    )
    password = wanted.get("adminPass", call.services.cloud.new_id()[:12])
    server = call.region.servers.get(server_id)
    view = ServerViews(call, [server]).rebuilt(server, password)
    return {"server": view}, 202, {"Location": view["links"][0]["href"]}


def _console(
    call: Call, server_id: str, whole: Mapping[str, Any]
) -> ResponseReturnValue:
    wanted = schemas.validate(whole, schemas.CONSOLE)["os-getConsoleOutput"]
    server = find_server(call, server_id)
    may(call, "os-console-output")
    lines = call.region.guests.console(server)
    length = wanted.get("length")
    if length is not None and int(length) >= 0:
        lines = lines[len(lines) - min(len(lines), int(length)) :]
    return {"output": "".join(f"{line}\n" for line in lines)}


_ACTIONS: Mapping[str, Callable[..., ResponseReturnValue]] = {
    "createImage": _create_image,
    "createBackup": _create_backup,
    "rebuild": _rebuild,
    "os-getConsoleOutput": _console,
    "os-start": _on_server("servers:start", _start),
    "os-stop": _on_server("servers:stop", _stop),
    "os-resetState": _reset_state,
    "lock": _lock,
    "unlock": _on_server("os-lock-server:unlock", _unlock),
    "reboot": _reboot,
}
