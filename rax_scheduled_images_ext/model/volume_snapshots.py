"""The volume snapshots that make up the image of a volume-backed server.

Such an image has no data: its block device mapping names a snapshot of each volume of
the server. The mapping is metadata that anybody who may change the image may write, so
what it names is not yet known to have been made for the image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rax_scheduled_images_ext.model.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.image import LONGEST_NAME, MAPPING_KEY, ServerImage

#: What Nova puts before an image's name to name a volume snapshot of it.
NAME_PREFIX = "snapshot for "
#: How long the name of an image may be, so that its snapshots can be named after it.
LONGEST_IMAGE_NAME = LONGEST_NAME - len(NAME_PREFIX)

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SOURCES = (None, "blank", "image", "snapshot", "volume")
# In which the block storage service deletes a snapshot.
_DELETABLE = ("available", "error")
_GOING = ("deleting", "deleted")


class SnapshotsInDoubt(ScheduledImagesError):
    """An image stays: not all it names is known to be its own. The text says why."""


@dataclass(frozen=True)
class VolumeSnapshot:
    """A snapshot of a volume, as the block storage service describes it.

    ``status`` is the service's word (available, creating, deleting, error and so on),
    ``project_id`` is None if the service does not show it.
    """

    id: str
    name: str | None
    status: str
    project_id: str | None = None


def named_snapshots(image: ServerImage) -> list[str]:
    """Return the IDs of the volume snapshots that an image names, each once.

    :raises SnapshotsInDoubt: if its mapping is not understood.
    """
    text = image.metadata.get(MAPPING_KEY)
    if text is None:
        return []
    try:
        devices = json.loads(text)
    except (ValueError, RecursionError):
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} is not JSON") from None
    if not isinstance(devices, list):
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} is not a JSON list")
    found = (_named_by(device) for device in devices)
    return list(dict.fromkeys(name for name in found if name is not None))


def is_empty(image: ServerImage) -> bool:
    """Whether an image holds nothing, neither data of its own nor volume snapshots.

    An image of unknown size may hold some.
    """
    if image.size != 0:
        return False
    try:
        return not named_snapshots(image)
    except SnapshotsInDoubt:
        return True


def own_snapshots(
    image: ServerImage,
    images: Iterable[ServerImage],
    find: Callable[[str], VolumeSnapshot | None],
) -> list[str]:
    """Return the IDs of the volume snapshots that are to be deleted with an image.

    Those that another image names as well are not, nor those that are gone already.

    :param images: all images that may name a snapshot of the image's project.
    :param find: returns a snapshot by its ID, None if there is none.
    :raises SnapshotsInDoubt: if one is not known to have been made for the image, or
        cannot be deleted.
    """
    others = [
        other.metadata[MAPPING_KEY].lower()
        for other in images
        if other.id != image.id and MAPPING_KEY in other.metadata
    ]
    own = []
    for snapshot_id in named_snapshots(image):
        # Searched as text: even a mapping that is not understood may need it.
        if any(snapshot_id in mapping for mapping in others):
            continue
        snapshot = find(snapshot_id)
        if snapshot is None or snapshot.status in _GOING:
            continue
        _check(image, snapshot)
        own.append(snapshot_id)
    return own


def _named_by(device: Any) -> str | None:
    """Return the snapshot that a device of a mapping is made from, None for none."""
    if not isinstance(device, dict) or device.get("source_type") not in _SOURCES:
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} has an unknown kind of device")
    snapshot_id = device.get("snapshot_id")
    if snapshot_id is None and device.get("source_type") != "snapshot":
        return None
    if not isinstance(snapshot_id, str) or not _UUID.fullmatch(snapshot_id):
        raise SnapshotsInDoubt(f"its {MAPPING_KEY} has a snapshot without an ID")
    return snapshot_id


def _check(image: ServerImage, snapshot: VolumeSnapshot) -> None:
    name = NAME_PREFIX + image.name
    why = None
    if image.owner is None or snapshot.project_id != image.owner:
        why = "is not known to belong to the project of the image"
    elif snapshot.name != name:
        why = f"is called '{snapshot.name}', not '{name}'"
    elif snapshot.status not in _DELETABLE:
        why = f"is {snapshot.status}, not available"
    if why is not None:
        raise SnapshotsInDoubt(f"its volume snapshot {snapshot.id} {why}")
