"""Servers of the compute API: lists, show, boot, change, delete, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from oslo_utils import strutils

from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.extension import ATTRIBUTE, parse_filter
from rax_scheduled_images_ext.sandbox.backend.directory import OPERATOR
from rax_scheduled_images_ext.sandbox.backend.models import (
    Action,
    BlockDevice,
    Image,
    Invalid,
    NotFound,
    Server,
    ServerQuery,
)
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas, sorting
from rax_scheduled_images_ext.sandbox.compute.devices import devices_of
from rax_scheduled_images_ext.sandbox.compute.inputs import (
    bad_parameter,
    find_server,
    given,
    may,
)
from rax_scheduled_images_ext.sandbox.compute.nics import nics_of, security_groups_of
from rax_scheduled_images_ext.sandbox.compute.views import (
    ServerViews,
    action_view,
    event_view,
)
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

# The statuses that servers may have in any OpenStack, including this one.
_STATUSES = frozenset(
    "ACTIVE BUILD DELETED ERROR HARD_REBOOT MIGRATING PASSWORD PAUSED REBOOT REBUILD"
    " RESCUE RESIZE REVERT_RESIZE SHELVED SHELVED_OFFLOADED SHUTOFF SOFT_DELETED"
    " SUSPENDED VERIFY_RESIZE".split()
)
# The first version that filters by IPv6 addresses, which no server here has.
_IP6 = (2, 5)
_TAG_FILTERS = {
    "tags": "tags",
    "tags-any": "tags_any",
    "not-tags": "not_tags",
    "not-tags-any": "not_tags_any",
}
_HINTS = ("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints")
_ZONE = "pinned_availability_zone"


def list_brief(call: Call) -> ResponseReturnValue:
    """GET /servers"""
    servers, links = _page(call, "servers")
    views = ServerViews(call)
    return {"servers": [views.brief(server) for server in servers], **links}


def list_detail(call: Call) -> ResponseReturnValue:
    """GET /servers/detail"""
    servers, links = _page(call, "servers/detail")
    views = ServerViews(call, servers)
    return {"servers": [views.detail(server) for server in servers], **links}


def _page(call: Call, path: str) -> tuple[list[Server], dict[str, Any]]:
    """Return a page of the requested servers, and the link to the next one."""
    size = inputs.page_size(call)
    query = _query(call, size)
    try:
        servers = call.region.servers.select(query) if query else []
    except Invalid as error:
        raise HttpError(400, str(error)) from None
    ids = (server.id for server in servers)
    return servers, inputs.next_link(call, path, ids, size)


def _query(call: Call, size: int) -> ServerQuery | None:
    """Parse the filters; ignore those that Nova reserves for operators.

    :returns: None if no server can match.
    """
    all_tenants = given("all_tenants")
    # Without a value, it means yes.
    if all_tenants is not None and inputs.truth(all_tenants or "yes"):
        # The admin of a project is no operator.
        detail = "detail" if request.path.endswith("/detail") else "index"
        may(call, f"servers:{detail}:get_all_tenants", OPERATOR)
        project = given("project_id") or given("tenant_id")
    else:
        project = call.project_id
    statuses = _statuses(call)
    if statuses == () or _wants_what_none_has(call):
        return None
    since, before = _in_order(*_changes(call))
    return ServerQuery(
        project_id=project,
        name=inputs.pattern("name"),
        ip=inputs.pattern("ip"),
        status=statuses,
        image_id=given("image"),
        flavor_id=given("flavor"),
        changes_since=since,
        changes_before=before,
        locked=_locked(call),
        scheduled=_scheduled(call),
        **_tagged(call),
        marker=given("marker"),
        limit=size,
        sort=sorting.of_query(call),
    )


def _statuses(call: Call) -> tuple[str, ...] | None:
    """Return the requested statuses; None for any, empty for an unknown one."""
    asked = [word.upper() for word in request.args.getlist("status")]
    known = tuple(word for word in asked if word in _STATUSES)
    if known == ("DELETED",):
        raise HttpError(403, "Only administrators may list deleted instances")
    if asked and not known and call.version >= (2, 38):
        raise HttpError(400, "Invalid status value")
    return known if asked else None


def _wants_what_none_has(call: Call) -> bool:
    """Whether the filter is by an IPv6 address."""
    return "ip6" in request.args and call.version >= _IP6


def _changes(call: Call) -> tuple[float | None, float | None]:
    """Return the period in which servers must have changed."""
    since = inputs.since("changes-since")
    before = inputs.since("changes-before") if call.version >= (2, 66) else None
    return since, before


def _in_order(
    since: float | None, before: float | None
) -> tuple[float | None, float | None]:
    """Return the beginning and the end of a period, which must be in this order.

    :raises HttpError: 400 if they are not.
    """
    if since is not None and before is not None and before < since:
        raise HttpError(
            400,
            "The value of changes-since must be less than or equal to changes-before.",
        )
    return since, before


def _tagged(call: Call) -> dict[str, Any]:
    """Return the filters by tags; before 2.26 there are none."""
    if call.version < (2, 26):
        return {}
    asked = {}
    for word, field in _TAG_FILTERS.items():
        text = inputs.pattern(word)
        if text == "":
            raise bad_parameter(word, text, "'' is not a 'regex'")
        if text is not None:
            asked[field] = tuple(text.split(","))
    return asked


def _locked(call: Call) -> bool | None:
    text = given("locked") if call.version >= (2, 73) else None
    return None if text is None else inputs.truth(text)


def _scheduled(call: Call) -> bool | None:
    """Parse the extension's own filter: true or false in any letter case, 1 or 0."""
    value = given(ATTRIBUTE)
    if value is None or not call.services.cloud.extension:
        return None
    try:
        return parse_filter(value)
    except InvalidValue as error:
        raise HttpError(400, str(error)) from None


def show(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}"""
    server = find_server(call, server_id)
    return {"server": ServerViews(call, [server]).show(server)}


def boot(call: Call) -> ResponseReturnValue:
    """POST /servers"""
    wanted = inputs.body(schemas.boot(call.version))["server"]
    name = wanted["name"]
    least = int(wanted.get("min_count", 1))
    most = int(wanted.get("max_count", least))
    if least > most:
        raise HttpError(400, "min_count must be <= max_count")
    may(call, "servers:create")
    if wanted.get("key_name") is not None:
        inputs.known_key(call, wanted["key_name"])
    names = [f"{name}-{n}" for n in range(1, most + 1)] if most > 1 else [name]
    image = _image_to_boot(call, wanted)
    more = {
        "image_id": image.id if image else "",
        "devices": devices_of(call, wanted, image),
        "nics": nics_of(call, wanted),
        "security_groups": security_groups_of(call, wanted),
        **_hints(call),
    }
    servers = [_boot_one(call, wanted, each, more) for each in names]
    if wanted.get("return_reservation_id"):
        return {"reservation_id": f"r-{servers[0].id[:8]}"}, 202
    return _booted(call, wanted, servers[0])


def _boot_one(
    call: Call,
    wanted: Mapping[str, Any],
    name: str,
    more: Mapping[str, Any],
) -> Server:
    flavor_id = str(wanted["flavorRef"]).rsplit("/", 1)[-1]
    try:
        flavor = call.region.flavors.get(flavor_id)
    except NotFound as error:
        raise HttpError(400, str(error)) from None
    if not flavor.disk and more["image_id"] and not _boots_volume(more["devices"]):
        raise HttpError(
            403, "Only volume-backed servers are allowed for flavors with zero disk."
        )
    config_drive = strutils.bool_from_string(wanted.get("config_drive"))
    default = name if call.version < (2, 19) else None
    return call.region.servers.boot(
        project_id=call.project_id,
        user_id=call.user_id,
        name=name,
        flavor_id=flavor_id,
        metadata=wanted.get("metadata", {}),
        description=wanted.get("description", default),
        zone=wanted.get("availability_zone"),
        key_name=wanted.get("key_name"),
        tags=wanted.get("tags", []),
        config_drive="True" if config_drive else "",
        user_data=wanted.get("user_data"),
        hostname=wanted.get("hostname"),
        **more,
    )


def _boots_volume(devices: Sequence[BlockDevice]) -> bool:
    return any(device.boot_index == 0 for device in devices)


def _hints(call: Call) -> dict[str, Any]:
    """Return the scheduler hints of the request, and their server group."""
    whole = inputs.content()
    hints: Any = next((whole[key] for key in _HINTS if key in whole), {})
    group_id = hints.get("group") if isinstance(hints, dict) else None
    if group_id is not None:
        try:
            call.region.groups.get(str(group_id), call.project_id)
        except NotFound as error:
            raise HttpError(400, str(error)) from None
    return {"group_id": group_id, "hints": hints}


def _image_to_boot(call: Call, wanted: Mapping[str, Any]) -> Image | None:
    """Return the image of a new server, None for one that has only volumes."""
    if not wanted.get("imageRef"):
        if not wanted.get("block_device_mapping_v2"):
            raise HttpError(400, "Missing imageRef attribute")
        return None
    image_id = str(wanted["imageRef"]).rsplit("/", 1)[-1]
    image = inputs.visible_image(call, image_id)
    if image is None:
        raise HttpError(400, "Can not find requested image")
    if image.status != "active":
        raise HttpError(400, f"Image {image_id} is not active.")
    return image


def _booted(
    call: Call, wanted: Mapping[str, Any], server: Server
) -> ResponseReturnValue:
    links = ServerViews(call).brief(server)["links"]
    view = {
        "id": server.id,
        "links": links,
        "OS-DCF:diskConfig": wanted.get("OS-DCF:diskConfig", "MANUAL"),
        "security_groups": wanted.get("security_groups", [{"name": "default"}]),
        # Nobody can log in to an emulated server.
        "adminPass": wanted.get("adminPass", server.id[:12]),
    }
    return {"server": view}, 202, {"Location": links[0]["href"]}


def update(call: Call, server_id: str) -> ResponseReturnValue:
    """PUT /servers/{id}"""
    wanted = inputs.body(schemas.update(call.version))["server"]
    find_server(call, server_id)
    may(call, "servers:update")
    if _ZONE in wanted:
        call.region.servers.pin(server_id, wanted[_ZONE])
    server = call.region.servers.update(
        server_id,
        name=wanted.get("name"),
        description=wanted.get("description"),
        clear_description="description" in wanted,
    )
    return {"server": ServerViews(call, [server]).updated(server)}


def delete(call: Call, server_id: str) -> ResponseReturnValue:
    """DELETE /servers/{id}"""
    server = find_server(call, server_id)
    may(call, "servers:delete")
    inputs.unlocked(call, server)
    call.region.servers.delete(server_id)
    return inputs.nothing(204)


# -- metadata


def metadata_list(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/metadata"""
    return {"metadata": dict(find_server(call, server_id).metadata)}


def metadata_add(call: Call, server_id: str) -> ResponseReturnValue:
    """POST /servers/{id}/metadata"""
    return _set_metadata(call, server_id, replace=False)


def metadata_replace(call: Call, server_id: str) -> ResponseReturnValue:
    """PUT /servers/{id}/metadata"""
    return _set_metadata(call, server_id, replace=True)


def _set_metadata(call: Call, server_id: str, *, replace: bool) -> ResponseReturnValue:
    metadata = inputs.body(schemas.SET_METADATA)["metadata"]
    server = find_server(call, server_id)
    may(call, f"server-metadata:{'update_all' if replace else 'create'}")
    inputs.unlocked(call, server)
    whole = call.region.servers.set_metadata(server_id, metadata, replace=replace)
    return {"metadata": whole}


def metadata_show(call: Call, server_id: str, key: str) -> ResponseReturnValue:
    """GET /servers/{id}/metadata/{key}"""
    metadata = find_server(call, server_id).metadata
    if key not in metadata:
        raise HttpError(404, "Metadata item was not found")
    return {"meta": {key: metadata[key]}}


def metadata_set(call: Call, server_id: str, key: str) -> ResponseReturnValue:
    """PUT /servers/{id}/metadata/{key}"""
    item = inputs.checked_item(key)
    server = find_server(call, server_id)
    may(call, "server-metadata:update")
    inputs.unlocked(call, server)
    call.region.servers.set_metadata(server_id, item, replace=False)
    return {"meta": item}


def metadata_delete(call: Call, server_id: str, key: str) -> ResponseReturnValue:
    """DELETE /servers/{id}/metadata/{key}"""
    server = find_server(call, server_id)
    may(call, "server-metadata:delete")
    inputs.unlocked(call, server)
    call.region.servers.delete_metadata(server_id, key)
    return inputs.nothing(204)


# -- shared file systems: no server has any


def share_list(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/shares"""
    find_server(call, server_id)
    return {"shares": []}


def share_show(call: Call, server_id: str, share_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/shares/{share id}"""
    find_server(call, server_id)
    raise HttpError(404, f"Share {share_id} could not be found.")


# -- history


def action_list(call: Call, server_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/os-instance-actions"""
    links: dict[str, Any] = {}
    if call.version < (2, 58):
        actions = _history(call, server_id)
    else:
        actions, links = _history_page(call, server_id)
    views = [action_view(call, action) for action in actions]
    return {"instanceActions": views, **links}


def _history(call: Call, server_id: str) -> list[Action]:
    find_server(call, server_id, deleted=call.version >= (2, 21))
    return call.region.servers.actions(server_id)


def _history_page(call: Call, server_id: str) -> tuple[list[Action], dict[str, Any]]:
    """Return the requested page of a history, and the link to the next one."""
    # As in Nova, checks that do not need the server come first.
    size, changes = inputs.page_size(call), _changes(call)
    inputs.only_once("limit", "marker", "changes-since", "changes-before")
    actions = _history(call, server_id)
    since, before = _in_order(*changes)
    # The marker itself may have changed outside this period.
    actions = [
        action
        for action in _behind_marker(actions)
        if (since is None or _updated(action) >= round(since, 6))
        and (before is None or _updated(action) <= round(before, 6))
    ][:size]
    ids = (action.request_id for action in actions)
    path = f"servers/{server_id}/os-instance-actions"
    return actions, inputs.next_link(call, path, ids, size, "links")


def _updated(action: Action) -> float:
    """Return the time when an action last changed, to the microsecond."""
    return round(action.finished or action.started, 6)


def _behind_marker(actions: list[Action]) -> list[Action]:
    """Return the actions that follow the one that the query names.

    :raises HttpError: 400 if there is no such action.
    """
    marker = given("marker")
    if marker is None:
        return actions
    for place, action in enumerate(actions):
        if action.request_id == marker:
            return actions[place + 1 :]
    # Nova loses the marker's ID.
    raise HttpError(400, "Marker None could not be found.")


def action_show(call: Call, server_id: str, request_id: str) -> ResponseReturnValue:
    """GET /servers/{id}/os-instance-actions/{request id}"""
    for action in _history(call, server_id):
        if action.request_id == request_id:
            view = action_view(call, action)
            if call.version >= (2, 51):
                view["events"] = [event_view(call, action)]
            return {"instanceAction": view}
    raise HttpError(404, f"Action {request_id} not found")
