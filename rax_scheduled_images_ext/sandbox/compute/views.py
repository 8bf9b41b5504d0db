"""Servers, flavors and images in the form of the compute API."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rax_scheduled_images_ext.model.extension import ATTRIBUTE, schedule_object
from rax_scheduled_images_ext.model.image import MAPPING_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.sandbox.backend.models import (
    REBUILD,
    Action,
    Flavor,
    Image,
    Schedule,
    Server,
)
from rax_scheduled_images_ext.sandbox.http.common import (
    Call,
    Microversion,
    isotime,
    microtime,
)

Json = dict[str, Any]

_IMAGE_PROGRESS = {"queued": 25, "saving": 50, "active": 100}

# Before this version, the response to a change of a server shows less than ``show``.
_FULL_UPDATE = (2, 75)
_NOT_IN_UPDATE = (
    "OS-EXT-AZ:availability_zone",
    "config_drive",
    "key_name",
    "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at",
    "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state",
    "OS-EXT-STS:power_state",
    "os-extended-volumes:volumes_attached",
    "security_groups",
)


# The image properties that Nova itself uses.
_MEANS_SOMETHING = re.compile(
    r"(hw|img)_|traits_required$|os_(admin_user|command_line|distro|require_quiesce"
    r"|secure_boot|skip_agent_inject_files_at_boot|skip_agent_inject_ssh|type)$"
    r"|(architecture|auto_disk_config|block_device_mapping|cache_in_nova"
    r"|hypervisor_type|hypervisor_version_requires|mappings|root_device_name"
    r"|vm_mode)$"
)


class Links:
    """URLs under one API root; a bookmark is the URL without the version."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.unversioned = re.sub(r"/v2(\.1)?(?=/|$)", "", root)

    def both(self, kind: str, key: str) -> list[Json]:
        """Return the links of one thing."""
        return [
            {"rel": "self", "href": f"{self.root}/{kind}/{key}"},
            self.bookmark(kind, key),
        ]

    def bookmark(self, kind: str, key: str) -> Json:
        """Return the link without a version."""
        return {"rel": "bookmark", "href": f"{self.unversioned}/{kind}/{key}"}


def schedule_view(schedule: Schedule) -> Json:
    """Return a schedule; a daily one has no day."""
    return schedule_object(ImageSchedule(schedule.retention, schedule.day_of_week))


class ServerViews:
    """The views of servers for one call; created once per page, with what all rows
    share.
    """

    def __init__(self, call: Call, servers: Sequence[Server] = ()) -> None:
        self._version = call.version
        self._extension = call.services.cloud.extension
        self._rackspace = call.services.rackspace
        self._links = Links(call.root)
        host = f"{call.project_id}{call.region.name}".encode()
        self._host = hashlib.sha224(host).hexdigest()
        flavors = call.region.flavors.list(deleted=True)
        self._flavors = {f.id: self._flavor(f) for f in flavors}
        networks = call.region.networks
        self._ports = networks.ports_of_all(server.id for server in servers)
        self._groups = networks.group_names() if self._ports else {}

    def brief(self, server: Server) -> Json:
        """Return a server as in a short list."""
        return {
            "id": server.id,
            "name": server.name,
            "links": self._links.both("servers", server.id),
        }

    def detail(self, server: Server) -> Json:
        """Return a server as in a detailed list, for a user who is no operator."""
        view: Json = {
            "id": server.id,
            "name": server.name,
            "status": server.status,
            "tenant_id": server.project_id,
            "user_id": server.user_id,
            "metadata": dict(server.metadata),
            "hostId": self._host,
            "image": self._image(server),
            "flavor": self._flavors[server.flavor_id],
            "created": isotime(server.created),
            "updated": isotime(server.updated),
            "addresses": self._addresses(server),
            "accessIPv4": "",
            "accessIPv6": "",
            "links": self._links.both("servers", server.id),
            "OS-DCF:diskConfig": "MANUAL",
            "OS-EXT-AZ:availability_zone": "nova",
            "config_drive": server.config_drive,
            "key_name": server.key_name,
            "OS-SRV-USG:launched_at": microtime(server.launched),
            "OS-SRV-USG:terminated_at": server.deleted_at
            and microtime(server.deleted_at),
            "OS-EXT-STS:task_state": server.task_state,
            "OS-EXT-STS:vm_state": server.vm_state,
            "OS-EXT-STS:power_state": server.power_state,
            "os-extended-volumes:volumes_attached": self._volumes(server),
        }
        if server.status in ("ACTIVE", REBUILD):
            done = server.status == "ACTIVE" and self._rackspace
            view["progress"] = 100 if done else 0
        if server.status == "ERROR" and server.fault is not None:
            view["fault"] = {
                "code": 500,
                "created": isotime(server.updated),
                "message": server.fault,
            }
        if server.id in self._ports:
            ids = [group for port in self._ports[server.id] for group in port.groups]
            names = [{"name": self._groups[group]} for group in dict.fromkeys(ids)]
            view["security_groups"] = names
        if server.schedule is not None and self._extension:
            view[ATTRIBUTE] = schedule_view(server.schedule)
        return view | self._newer(server)

    def _newer(self, server: Server) -> Json:
        """Return the attributes that later versions have added."""
        newer: dict[Microversion, tuple[str, Any]] = {
            (2, 9): ("locked", server.locked),
            (2, 19): ("description", server.description),
            (2, 26): ("tags", list(server.tags)),
            (2, 63): ("trusted_image_certificates", None),
            (2, 73): ("locked_reason", server.locked_reason),
            (2, 90): ("OS-EXT-SRV-ATTR:hostname", server.hostname),
            (2, 96): ("pinned_availability_zone", server.pinned_zone),
            (2, 100): ("scheduler_hints", dict(server.hints)),
        }
        return dict(shown for first, shown in newer.items() if self._version >= first)

    def show(self, server: Server) -> Json:
        """Return a single server."""
        view = self.detail(server)
        if self._version >= (2, 71):
            view["server_groups"] = [server.group_id] if server.group_id else []
        return view

    def updated(self, server: Server) -> Json:
        """Return a server after a change."""
        view = self.show(server)
        if self._version < _FULL_UPDATE:
            for key in _NOT_IN_UPDATE:
                view.pop(key, None)
            for addresses in view["addresses"].values():
                for address in addresses:
                    del address["OS-EXT-IPS:type"], address["OS-EXT-IPS-MAC:mac_addr"]
        return view

    def rebuilt(self, server: Server, password: str) -> Json:
        """Return a server before a rebuild, with secrets that nobody may log."""
        view = self.updated(server)
        if (2, 54) <= self._version < _FULL_UPDATE:
            view["key_name"] = server.key_name
        view["adminPass"] = password
        if self._version >= (2, 57):
            view["user_data"] = server.user_data
        return view

    def _addresses(self, server: Server) -> Json:
        view: Json = {}
        for port in self._ports.get(server.id, []):
            address = {
                "version": 4,
                "addr": port.address,
                "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": port.mac,
            }
            if port.address is not None:
                view.setdefault(port.network_name, []).append(address)
        return view

    def _volumes(self, server: Server) -> list[Json]:
        if self._version < (2, 3):
            return [{"id": volume_id} for volume_id in server.volumes]
        return [
            {"id": volume_id, "delete_on_termination": goes}
            for volume_id, goes in server.volumes.items()
        ]

    def _image(self, server: Server) -> Json | str:
        if not server.image_id:
            return ""
        bookmark = self._links.bookmark("images", server.image_id)
        view: Json = {"id": server.image_id, "links": [bookmark]}
        if self._version >= (2, 98):
            known = server.base_properties.items()
            view["properties"] = {k: v for k, v in known if _MEANS_SOMETHING.match(k)}
        return view

    def _flavor(self, flavor: Flavor) -> Json:
        if self._version < (2, 47):
            bookmark = self._links.bookmark("flavors", flavor.id)
            return {"id": flavor.id, "links": [bookmark]}
        return {
            "vcpus": flavor.vcpus,
            "ram": flavor.ram,
            "disk": flavor.disk,
            "ephemeral": flavor.ephemeral,
            "swap": flavor.swap,
            "original_name": flavor.name,
            "extra_specs": {},
        }


def flavor_view(call: Call, flavor: Flavor, *, full: bool) -> Json:
    """Return a flavor, with or without its details."""
    view: Json = {"id": flavor.id, "name": flavor.name}
    if full:
        view |= {
            "ram": flavor.ram,
            "disk": flavor.disk,
            "swap": flavor.swap or (0 if call.version >= (2, 75) else ""),
            "vcpus": flavor.vcpus,
            "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
            "os-flavor-access:is_public": True,
        }
    if full and call.version < (2, 102):
        view |= {"rxtx_factor": 1.0, "OS-FLV-DISABLED:disabled": False}
    if call.version >= (2, 55):
        view["description"] = None
    if full and call.version >= (2, 61):
        view["extra_specs"] = {}
    view["links"] = Links(call.root).both("flavors", flavor.id)
    return view


def image_view(call: Call, image: Image, *, full: bool) -> Json:
    """Return an image as the compute API shows it."""
    links = Links(call.root)
    view: Json = {"id": image.id, "name": image.name}
    if full:
        view |= {
            "status": image.compute_status,
            "progress": _IMAGE_PROGRESS.get(image.status, 0),
            "created": isotime(image.created),
            "updated": isotime(image.updated),
            "minDisk": image.min_disk,
            "minRam": image.min_ram,
            "metadata": _with_mapping(image.properties),
            "OS-EXT-IMG-SIZE:size": image.size or 0,
        }
        view |= _server_of(image.properties, links)
    alternate = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": f"{image_root(call)}/images/{image.id}",
    }
    view["links"] = [*links.both("images", image.id), alternate]
    return view


def _with_mapping(properties: Mapping[str, str]) -> Json:
    """Return the properties of an image; Nova parses some of them as JSON."""
    view: Json = dict(properties)
    with suppress(KeyError, ValueError):
        view[MAPPING_KEY] = json.loads(view[MAPPING_KEY])
    return view


def _server_of(properties: Mapping[str, str], links: Links) -> Json:
    server_id = properties.get("instance_uuid")
    if server_id is None:
        return {}
    return {"server": {"id": server_id, "links": links.both("servers", server_id)}}


def image_root(call: Call) -> str:
    """Return the URL of the image service without a version, as Nova configures it."""
    return f"{call.root.partition('/compute')[0]}/image"


def action_view(call: Call, action: Action) -> Json:
    """Return an entry of a server's history."""
    view: Json = {
        "action": action.action,
        "instance_uuid": action.server_id,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "project_id": action.project_id,
        "start_time": microtime(action.started),
        "message": action.message,
    }
    if call.version >= (2, 58):
        view["updated_at"] = microtime(action.finished or action.started)
    return view


def event_view(call: Call, action: Action) -> Json:
    """Return the result of an entry of a server's history."""
    failed = action.message is not None
    view: Json = {
        "event": f"compute_{action.action}",
        "start_time": microtime(action.started),
        "finish_time": action.finished and microtime(action.finished),
        "result": "Error" if failed else "Success" if action.finished else None,
    }
    if call.version >= (2, 84):
        view["details"] = action.message
    return view
