"""The data types of the sandbox's cloud; nothing here knows of HTTP or SQL.

All times are virtual Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class CloudError(Exception):
    """The cloud refuses a request; the text is for the user."""


class NotFound(CloudError):
    """The thing does not exist in this region."""


class NoSchedule(NotFound):
    """The server has no image schedule."""


class Conflict(CloudError):
    """The present state of the thing forbids the request."""


class Unusable(CloudError):
    """The state file cannot be used."""


class Invalid(CloudError):
    """A value is invalid."""


class Forbidden(CloudError):
    """The request is forbidden to all users."""


class OverQuota(CloudError):
    """The project may have no more images."""


#: The status of a server that is being rebuilt, whatever it was before.
REBUILD = "REBUILD"


@dataclass(frozen=True)
class Flavor:
    """A size of servers: ``ram`` and ``swap`` in MiB, the other disks in GiB."""

    id: str
    name: str
    ram: int
    vcpus: int
    disk: int
    ephemeral: int = 0
    swap: int = 0


@dataclass(frozen=True)
class Schedule:
    """When images of a server are made, and how many of them are kept.

    ``day_of_week`` is None for a daily schedule. ``enabled_at`` is when the schedule
    took effect, ``next_run`` when the service next processes the server. ``attempt``
    counts the attempts for ``slot``, the last day that an image was made for.
    """

    retention: int
    day_of_week: str | None
    enabled_at: float
    next_run: float
    attempt: int
    slot: str | None


@dataclass(frozen=True)
class BlockDevice:
    """A volume that a new server gets as a disk.

    ``source`` is what the volume is created from: image, snapshot or blank; or volume,
    for an existing one. ``id`` is the source's ID, None for a blank one. ``size`` is in
    GiB, None for the size of the source. The server boots from ``boot_index`` 0.
    """

    source: str
    id: str | None = None
    size: int | None = None
    boot_index: int | None = None
    delete_on_termination: bool = False


@dataclass(frozen=True)
class Volume:
    """A volume; ``size`` is in GiB.

    ``image_properties`` are those of the image that it was created from. ``server_id``
    is the server that it is attached to, if any, and ``device``, ``boot_index`` and
    ``delete_on_termination`` describe how. ``reserved`` is whether a rebuild has left
    it reserved.
    """

    id: str
    name: str
    description: str | None
    region: str
    project_id: str
    user_id: str
    size: int
    created: float
    updated: float
    bootable: bool
    snapshot_id: str | None
    image_properties: Mapping[str, str]
    metadata: Mapping[str, str]
    server_id: str | None = None
    device: str | None = None
    boot_index: int | None = None
    delete_on_termination: bool = False
    attached: float | None = None
    reserved: bool = False

    @property
    def status(self) -> str:
        """The status in the block storage API."""
        if self.reserved:
            return "reserved"
        return "available" if self.server_id is None else "in-use"


@dataclass(frozen=True)
class VolumeSnapshot:
    """A snapshot of a volume; ``size`` is the volume's, in GiB."""

    id: str
    name: str | None
    description: str | None
    region: str
    project_id: str
    user_id: str
    volume_id: str
    size: int
    status: str
    created: float
    updated: float
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Subnet:
    """A range of IPv4 addresses of a network, one of which is the gateway's."""

    id: str
    name: str
    network_id: str
    project_id: str
    cidr: str
    gateway: str
    created: float


@dataclass(frozen=True)
class Network:
    """A network; a shared one may be used by all projects."""

    id: str
    name: str
    project_id: str
    shared: bool
    created: float
    subnets: tuple[Subnet, ...]


@dataclass(frozen=True)
class Port:
    """A port of a network, used by a server or free.

    ``groups`` are the IDs of its security groups; ``device_id`` is the server's, empty
    for none. ``of_server`` is whether Nova created it for the server, and deletes it
    with the server.
    """

    id: str
    name: str
    description: str
    network_id: str
    network_name: str
    project_id: str
    mac: str
    subnet_id: str | None
    address: str | None
    groups: tuple[str, ...]
    device_id: str
    of_server: bool
    created: float


@dataclass(frozen=True)
class SecurityGroup:
    """A security group; its rules are not emulated."""

    id: str
    name: str
    description: str
    project_id: str
    created: float


@dataclass(frozen=True)
class KeyPair:
    """A user's key pair; only the public key is known."""

    serial: int
    user_id: str
    name: str
    public_key: str
    fingerprint: str
    created: float


@dataclass(frozen=True)
class ServerGroup:
    """A group of servers; ``members`` are their IDs, ``policy`` has no effect."""

    id: str
    name: str
    policy: str
    project_id: str
    user_id: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Nic:
    """A connection of a new server to a network.

    Either an existing ``port``, or a new one on ``network``, with the given ``address``
    if there is one.
    """

    network: Network | None = None
    address: str | None = None
    port: Port | None = None


@dataclass(frozen=True)
class Server:
    """A server at the moment it was read; ``task_state`` follows the clock.

    ``image_id`` is empty for a volume-backed server. ``volumes`` are the IDs of the
    attached volumes, each with whether it is deleted with the server; ``root_volume``
    is the one that is the root disk, if any. ``pinned_zone`` is the availability zone
    it must stay in, if any. ``base_properties`` are those of its image when it was
    booted or rebuilt. ``fault`` is why it is in ERROR, ``hints`` are those for the
    scheduler.
    """

    id: str
    name: str
    region: str
    project_id: str
    user_id: str
    image_id: str
    flavor_id: str
    status: str
    vm_state: str
    task_state: str | None
    power_state: int
    created: float
    updated: float
    launched: float
    deleted_at: float | None
    metadata: Mapping[str, str]
    description: str | None
    key_name: str | None
    locked: bool
    held: bool
    schedule: Schedule | None
    pinned_zone: str | None = None
    tags: tuple[str, ...] = ()
    base_properties: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, bool] = field(default_factory=dict)
    root_volume: str | None = None
    hostname: str = ""
    config_drive: str = ""
    user_data: str | None = None
    fault: str | None = None
    group_id: str | None = None
    locked_reason: str | None = None
    hints: Mapping[str, object] = field(default_factory=dict)

    @property
    def boots_from_volume(self) -> bool:
        """Whether its root disk is a volume."""
        return self.root_volume is not None


_COMPUTE_STATUS = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
    "killed": "ERROR",
}


@dataclass(frozen=True)
class Image:
    """An image; ``status`` is as in the image API, ``size`` is in bytes.

    ``properties`` are the custom ones, besides the attributes of every image.
    ``hidden`` images are left out of lists. ``sha512`` and ``checksum`` are the SHA-512
    and the MD5 of the data, in hexadecimal digits.
    """

    id: str
    name: str
    region: str
    owner: str
    status: str
    visibility: str
    protected: bool
    size: int | None
    checksum: str | None
    min_disk: int
    min_ram: int
    disk_format: str | None
    container_format: str | None
    created: float
    updated: float
    deleted_at: float | None
    tags: tuple[str, ...]
    properties: Mapping[str, str]
    hidden: bool = False
    sha512: str | None = None

    @property
    def compute_status(self) -> str:
        """The status in the compute API."""
        return _COMPUTE_STATUS.get(self.status, "UNKNOWN")

    def visible_to(self, project_id: str) -> bool:
        """Whether a project may see the image: its own, or a public one."""
        return self.owner == project_id or self.visibility in ("public", "community")


@dataclass(frozen=True)
class Action:
    """One entry of a server's history (the API's instance actions)."""

    server_id: str
    request_id: str
    action: str
    started: float
    finished: float | None
    user_id: str
    project_id: str
    message: str | None


# Compared as (operator, value): eq, neq, gt, gte, lt, lte.
Comparison = tuple[str, float]
Sort = tuple[tuple[str, str], ...]
NEWEST_FIRST: Sort = (("created", "desc"), ("id", "desc"))


@dataclass(frozen=True)
class ServerQuery:
    """The filters of a list of servers; None does not filter.

    ``name`` and ``ip`` are regular expressions. ``changes_since`` and
    ``changes_before`` include deleted servers; ``deleted`` selects only these. A server
    must have all ``tags``, at least one of ``tags_any``, not all ``not_tags``, and none
    of ``not_tags_any``.
    """

    project_id: str | None = None
    name: str | None = None
    status: tuple[str, ...] | None = None
    image_id: str | None = None
    flavor_id: str | None = None
    server_id: str | None = None
    changes_since: float | None = None
    changes_before: float | None = None
    locked: bool | None = None
    ip: str | None = None
    deleted: bool = False
    scheduled: bool | None = None
    tags: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    not_tags: tuple[str, ...] = ()
    not_tags_any: tuple[str, ...] = ()
    marker: str | None = None
    limit: int | None = None
    sort: Sort = NEWEST_FIRST


@dataclass(frozen=True)
class ImageQuery:
    """The filters of a list of images; None does not filter.

    ``project_id`` selects what that project may see: its own images and the public
    ones. ``equals`` and ``within`` filter by base attributes, ``compares`` by numbers
    and times, ``properties`` by custom properties.
    """

    project_id: str | None = None
    equals: Mapping[str, str | bool | int] = field(default_factory=dict)
    within: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compares: tuple[tuple[str, Comparison], ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    deleted: bool = False
    marker: str | None = None
    limit: int | None = None
    sort: Sort = NEWEST_FIRST
