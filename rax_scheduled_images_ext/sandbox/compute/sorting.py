"""The order of lists of servers."""

from __future__ import annotations

from flask import request

from rax_scheduled_images_ext.sandbox.backend.models import Sort
from rax_scheduled_images_ext.sandbox.compute.inputs import bad_parameter
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

# Nova's sort keys, in its order, with our columns. The other keys are equal for all
# servers here, or have no order.
_KEYS: dict[str, str | None] = {
    "access_ip_v4": None,
    "access_ip_v6": None,
    "auto_disk_config": None,
    "availability_zone": None,
    "config_drive": None,
    "created_at": "created",
    "display_description": "description",
    "display_name": "name",
    "host": None,
    "hostname": "name",
    "image_ref": "image_id",
    "instance_type_id": "flavor_id",
    "kernel_id": None,
    "key_name": "key_name",
    "launch_index": None,
    "launched_at": "launched",
    "locked_by": None,
    "node": None,
    "power_state": "power_state",
    "progress": None,
    "project_id": None,
    "ramdisk_id": None,
    "root_device_name": None,
    "task_state": None,
    "terminated_at": "deleted_at",
    "updated_at": "updated",
    "user_id": "user_id",
    "uuid": "id",
    "vm_state": "status",
}
_FOR_OPERATORS = ("host", "node")
# Keys that older versions allow without any effect, except for one that has an effect
# now.
_IGNORED = (
    "architecture cell_name cleaned default_ephemeral_device default_swap_device"
    " deleted deleted_at disable_terminate ephemeral_gb ephemeral_key_uuid id key_data"
    " launched_on locked memory_mb os_type reservation_id root_gb shutdown_terminate"
    " user_data vcpus vm_mode".split()
)
_LOCKED_SINCE = (2, 73)
_IGNORED_UNTIL = (2, 74)


def of_query(call: Call) -> Sort:
    """Parse the sort keys and directions of the query.

    :raises HttpError: 400 for an unknown key, 403 for one that is reserved for
        operators.
    """
    keys = request.args.getlist("sort_key") or ["created_at"]
    directions = request.args.getlist("sort_dir") or ["desc"]
    known = _known(call)
    for key in keys:
        if key not in known:
            raise bad_parameter("sort_key", key, f"{key!r} is not one of {list(known)}")
        if key in _FOR_OPERATORS:
            raise HttpError(403, f"Only administrators can sort servers by {key}")
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise HttpError(
                400,
                "Invalid input received: Unknown sort direction, must be 'desc' or"
                " 'asc'",
            )
    padded = directions + directions[:1] * (len(keys) - len(directions))
    columns = (known[key] for key in keys)
    pairs = zip(columns, padded, strict=False)
    order = {column: direction for column, direction in pairs if column}
    # Equal rows need a fixed order, or pages would overlap.
    return tuple({**order, "id": order.get("id", directions[0])}.items())


def _known(call: Call) -> dict[str, str | None]:
    known = dict(_KEYS)
    if call.version <= _IGNORED_UNTIL:
        known |= dict.fromkeys(_IGNORED)
    if call.version >= _LOCKED_SINCE:
        known["locked"] = "locked"
    return known
