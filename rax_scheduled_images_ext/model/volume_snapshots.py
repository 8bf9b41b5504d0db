"""The volume snapshots that make up the image of a volume-backed server.

Such an image has no data: its block device mapping names a snapshot of each volume of
the server. Anyone who may change the image may write that metadata, so it does not
prove that the snapshots were made for the image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from rax_scheduled_images_ext.errors import SnapshotsInDoubt
from rax_scheduled_images_ext.model.image import LONGEST_NAME, MAPPING_KEY, ServerImage

#: What Nova prefixes to an image's name to name its volume snapshots.
NAME_PREFIX = "snapshot for "
#: The maximum length of an image's name, so that snapshots can be named after it.
LONGEST_IMAGE_NAME = LONGEST_NAME - len(NAME_PREFIX)

#: The metadata of a snapshot that is to be deleted with its image: a value that all of
#: them share, so that one listing finds them, and the ID of the image.
FATE_KEY, GOES, STAYS = "scheduled_images_snapshot", "goes", "stays"
IMAGE_KEY = "scheduled_images_image"
#: How long a deletion may take before it is tried again.
TIME_TO_DELETE = timedelta(hours=1)

_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ANY_UUID = re.compile(f"(?=({_UUID.pattern}))", re.ASCII)
_SOURCES = (None, "blank", "image", "snapshot", "volume")
# The statuses in which the block storage service can delete a snapshot.
_DELETABLE = ("available", "error")
_GOING = ("deleting", "deleted")
_CREATING = "creating"


@dataclass(frozen=True)
class VolumeSnapshot:
    """A snapshot of a volume, as the block storage service describes it.

    ``status`` is the service's word (available, creating, deleting, error and so on),
    ``changed`` when it was last changed, ``size`` in GiB that of its volume.
    ``project_id``, ``changed`` and ``size`` are None if the service does not show them.
    """

    id: str
    name: str | None
    status: str
    project_id: str | None = None
    changed: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None

    @property
    def image_id(self) -> str | None:
        """The ID of the image with which it is to be deleted, None if it is not."""
        image_id = self.metadata.get(IMAGE_KEY)
        # Anyone who may change the snapshot may write anything there.
        if self.metadata.get(FATE_KEY) != GOES or not isinstance(image_id, str):
            return None
        return image_id if _UUID.fullmatch(image_id) else None

    @property
    def is_going(self) -> bool:
        """Whether the service is deleting it."""
        return self.status in _GOING

    @property
    def is_deletable(self) -> bool:
        """Whether the service can delete it in its present status."""
        return self.status in _DELETABLE


@dataclass(frozen=True)
class Volume:
    """A volume, as the block storage service describes it.

    ``size`` is in GiB, ``snapshot_id`` the snapshot that it was made from, None if it
    was made from none. What the service does not show is None.
    """

    id: str
    name: str
    status: str
    project_id: str | None = None
    created: datetime | None = None
    size: int | None = None
    snapshot_id: str | None = None


def deletion_metadata(image: ServerImage) -> dict[str, str]:
    """Return the metadata of a snapshot that is to be deleted with an image."""
    return {FATE_KEY: GOES, IMAGE_KEY: image.id}


class Wholeness(Enum):
    """Whether an ACTIVE image holds a server's data."""

    WHOLE = "whole"
    #: Not known yet: it may turn out complete or broken.
    WAITING = "waiting"
    #: It will never be complete.
    BROKEN = "broken"
    #: It cannot be determined.
    UNPROVABLE = "unprovable"


@dataclass(frozen=True)
class Proof:
    """Whether an image is complete; ``reason`` says why not, or why unknown.

    ``is_missing`` is whether a snapshot could not be found, ``is_creating`` whether one
    is still being made, even if another one has decided already.
    """

    wholeness: Wholeness
    reason: str = ""
    is_missing: bool = False
    is_creating: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the image is proven complete."""
        return self.wholeness is Wholeness.WHOLE


WHOLE = Proof(Wholeness.WHOLE)
# What decides when the snapshots of an image differ: the first of these.
_PRECEDENCE = (Wholeness.BROKEN, Wholeness.UNPROVABLE, Wholeness.WAITING)


def prove(image: ServerImage, find: Callable[[str], VolumeSnapshot | None]) -> Proof:
    """Determine whether an image is complete.

    The image of a volume-backed server becomes ACTIVE as soon as the block storage
    service accepts the requests for its snapshots, even if they fail later.

    :param find: returns a snapshot by its ID, None if there is none. It is called once
        for each snapshot that the image names, and raises SnapshotsInDoubt if it cannot
        be read.
    """
    if image.status != "ACTIVE":
        return Proof(Wholeness.WAITING, f"it is {image.status}, not ACTIVE")
    try:
        snapshot_ids = named_snapshots(image)
    except SnapshotsInDoubt as error:
        return Proof(Wholeness.UNPROVABLE, str(error))
    if not snapshot_ids:
        # An unknown size is not 0.
        if image.size != 0:
            return WHOLE
        return Proof(
            Wholeness.BROKEN, "it has no data, and names no volume snapshot with data"
        )
    proofs = [_proof_of(each, find) for each in snapshot_ids]
    missing = [proof for proof in proofs if proof.is_missing]
    if missing and len(missing) == len(proofs):
        # A block storage service that did not make them would know none of them either.
        return Proof(Wholeness.UNPROVABLE, missing[0].reason)
    creating = any(proof.is_creating for proof in proofs)
    for wholeness in _PRECEDENCE:
        for proof in proofs:
            if proof.wholeness is wholeness:
                return replace(proof, is_creating=creating)
    return WHOLE


def _proof_of(snapshot_id: str, find: Callable[[str], VolumeSnapshot | None]) -> Proof:
    try:
        snapshot = find(snapshot_id)
    except SnapshotsInDoubt as error:
        return Proof(Wholeness.UNPROVABLE, str(error))
    named = f"its volume snapshot {snapshot_id}"
    if snapshot is None:
        return Proof(Wholeness.BROKEN, f"{named} is gone", is_missing=True)
    if snapshot.status == "available":
        return WHOLE
    broken = snapshot.status == "error"
    why = f"{named} is {snapshot.status}, not available"
    wholeness = Wholeness.BROKEN if broken else Wholeness.WAITING
    return Proof(wholeness, why, is_creating=snapshot.status == _CREATING)


def is_left(snapshot: VolumeSnapshot, now: datetime) -> bool:
    """Whether a snapshot was to be deleted with its image, but is not being deleted."""
    if snapshot.image_id is None:
        return False
    return not snapshot.is_going or may_be_deleted_again(snapshot, now)


def may_be_deleted_again(snapshot: VolumeSnapshot, now: datetime) -> bool:
    """Whether the last attempt to delete a snapshot was long enough ago."""
    if snapshot.changed is None:
        return not snapshot.is_going
    return now - snapshot.changed >= TIME_TO_DELETE


def ids_in_mapping(image: ServerImage) -> set[str]:
    """Return all IDs in an image's mapping, including those of its snapshots.

    Even a malformed mapping may refer to them.
    """
    text = image.metadata.get(MAPPING_KEY, "").lower()
    return set(_ANY_UUID.findall(text))


def named_snapshots(image: ServerImage) -> list[str]:
    """Return the IDs of the volume snapshots that an image names, each once.

    :raises SnapshotsInDoubt: if its mapping is malformed.
    """
    found = (_named_by(device) for device in _devices(image))
    return list(dict.fromkeys(name for name in found if name is not None))


def _devices(image: ServerImage) -> list[Any]:
    """Return the devices of an image's mapping, none without one."""
    text = image.metadata.get(MAPPING_KEY)
    if text is None:
        return []
    try:
        devices = json.loads(text)
    except (ValueError, RecursionError):
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} is not JSON") from None
    if not isinstance(devices, list):
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} is not a JSON list")
    return devices


def volumes_of_snapshots(image: ServerImage) -> list[dict[str, Any]]:
    """Return the volumes of a server to boot, in place of those that its image names.

    They have the same devices, so Nova takes them instead. The root volume is as large
    as the image's ``min_disk``: Nova writes the disk of the server's flavor there, and
    then refuses the smaller volume that the image itself asks for.

    :returns: nothing for an image that has its data itself.
    :raises SnapshotsInDoubt: for an image whose volumes are not made from snapshots.
    """
    if not named_snapshots(image):
        if MAPPING_KEY in image.metadata:
            raise SnapshotsInDoubt(f"its {MAPPING_KEY} names no volume snapshot")
        return []
    found = []
    for device in _devices(image):
        source, target = device.get("source_type"), device.get("destination_type")
        if source == "blank" and target == "local":
            continue
        if source != "snapshot" or target != "volume":
            raise SnapshotsInDoubt(f"its {MAPPING_KEY} names more than snapshots")
        if not device.get("device_name"):
            raise SnapshotsInDoubt(f"its {MAPPING_KEY} does not name its devices")
        small = _is_small_root(device, image)
        size = image.min_disk if small else device.get("volume_size")
        wanted = {
            "device_name": device["device_name"],
            "boot_index": device.get("boot_index"),
            "source_type": "snapshot",
            "destination_type": "volume",
            "uuid": device["snapshot_id"],
            "volume_size": size,
            "delete_on_termination": device.get("delete_on_termination"),
        }
        found.append({key: each for key, each in wanted.items() if each is not None})
    return found


def has_small_root(image: ServerImage) -> bool:
    """Whether Nova refuses the root volume that an image asks for.

    :raises SnapshotsInDoubt: if its mapping is malformed.
    """
    return bool(named_snapshots(image)) and any(
        _is_small_root(device, image) for device in _devices(image)
    )


def _is_small_root(device: Mapping[str, Any], image: ServerImage) -> bool:
    size = device.get("volume_size")
    root = device.get("boot_index") == 0
    return root and isinstance(size, int) and size < image.min_disk


def is_empty(image: ServerImage) -> bool:
    """Whether an image has neither data of its own nor volume snapshots.

    An image of unknown size may have data.
    """
    if image.size != 0:
        return False
    try:
        return not named_snapshots(image)
    except SnapshotsInDoubt:
        return True


def own_snapshots(
    image: ServerImage,
    is_needed: Callable[[str], bool],
    find: Callable[[str], VolumeSnapshot | None],
) -> list[VolumeSnapshot]:
    """Return the volume snapshots that are to be deleted with an image.

    Snapshots that another image also names are not included, nor those already gone.
    Those being deleted are, because that may fail.

    :param is_needed: whether another image names the snapshot with this ID.
    :param find: returns a snapshot by its ID, None if there is none.
    :raises SnapshotsInDoubt: if a snapshot is not known to have been made for the
        image, or cannot be deleted.
    """
    own = []
    for snapshot_id in named_snapshots(image):
        if is_needed(snapshot_id):
            continue
        snapshot = find(snapshot_id)
        if snapshot is None:
            continue
        why = _doubt(image, snapshot)
        if why is None:
            own.append(snapshot)
        elif not snapshot.is_going:
            raise SnapshotsInDoubt(f"its volume snapshot {snapshot.id} {why}")
    return own


def _named_by(device: Any) -> str | None:
    """Return the snapshot from which a device is created, None for none."""
    if not isinstance(device, dict) or device.get("source_type") not in _SOURCES:
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} has an unknown kind of device")
    snapshot_id = device.get("snapshot_id")
    if snapshot_id is None and device.get("source_type") != "snapshot":
        return None
    if not isinstance(snapshot_id, str) or not _UUID.fullmatch(snapshot_id):
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} has a snapshot without an ID")
    return snapshot_id


def _doubt(image: ServerImage, snapshot: VolumeSnapshot) -> str | None:
    """Return why a snapshot is not known to be an image's own, or cannot be deleted."""
    name = NAME_PREFIX + image.name
    if image.owner is None or snapshot.project_id != image.owner:
        return "is not known to belong to the image's project"
    if snapshot.name != name:
        return f"is called '{snapshot.name}', not '{name}'"
    if not snapshot.is_deletable and not snapshot.is_going:
        return f"is {snapshot.status}, not available"
    return None
