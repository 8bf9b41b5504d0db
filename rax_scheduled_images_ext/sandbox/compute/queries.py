"""The query parameters that the compute API accepts; newer versions are stricter.

Older versions ignore an unknown parameter.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import request

from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.sandbox.http.common import (
    Call,
    HttpError,
    Microversion,
)

# The version from which the entire API is strict.
_ALL_STRICT: Microversion = (2, 102)

_SERVERS = frozenset(
    "access_ip_v4 access_ip_v6 all_tenants auto_disk_config availability_zone"
    " block_device_mapping changes-before changes-since config_drive created_at"
    " deleted description display_description display_name flavor host hostname"
    " image image_ref info_cache ip ip6 kernel_id key_name launch_index launched_at"
    " limit locked locked_by marker metadata name node not-tags not-tags-any"
    " pci_devices power_state progress project_id ramdisk_id reservation_id"
    " root_device_name security_groups services soft_deleted sort_dir sort_key status"
    " system_metadata tags tags-any task_state tenant_id terminated_at user_id uuid"
    " vm_state".split()
)
_FLAVORS = frozenset("is_public limit marker minDisk minRam sort_dir sort_key".split())
_KEYPAIRS = frozenset("limit marker user_id".split())
_GROUPS = frozenset("all_projects limit offset".split())
_USAGE = frozenset("end limit marker start".split())
_PAGES = frozenset("limit offset".split())
_ACTIONS = frozenset("changes-since limit marker".split())

# The version from which a path is strict, and the parameters that it accepts.
_KNOWN: Mapping[str, tuple[Microversion, frozenset[str]]] = {
    "/servers": ((2, 75), _SERVERS),
    "/servers/detail": ((2, 75), _SERVERS),
    "/flavors": ((2, 75), _FLAVORS),
    "/flavors/detail": ((2, 75), _FLAVORS),
    "/os-keypairs": ((2, 75), _KEYPAIRS),
    "/os-server-groups": ((2, 75), _GROUPS),
    "/limits": ((2, 75), frozenset({"tenant_id"})),
    "/os-simple-tenant-usage/<project_id>": ((2, 75), _USAGE),
    "/servers/<server_id>/os-volume_attachments": ((2, 75), _PAGES),
    "/servers/<server_id>/os-instance-actions": ((2, 58), _ACTIONS),
}


def check(call: Call, path: str) -> None:
    """Check that the query has only parameters that the path accepts.

    :raises HttpError: 400 naming the first unknown one.
    """
    since, known = _KNOWN.get(path, (_ALL_STRICT, frozenset[str]()))
    if call.version < since:
        return
    if known is _ACTIONS and call.version >= (2, 66):
        known = known | {"changes-before"}
    if known is _FLAVORS and call.version >= _ALL_STRICT:
        known = known | {"name"}
    free = known is _SERVERS
    if free and call.services.cloud.extension:
        known = known | {ATTRIBUTE}
    for word in request.args:
        # For servers these are no attributes, and have no effect.
        if word not in known and not (free and word.startswith("_")):
            raise HttpError(400, _unknown(word, free=free))


def _unknown(word: str, *, free: bool) -> str:
    if free:
        return f"'{word}' does not match any of the regexes: '^_'"
    return f"Additional properties are not allowed ('{word}' was unexpected)"
