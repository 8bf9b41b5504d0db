"""The disks of a new server: what a request and its image say of volumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rax_scheduled_images_ext.model.volume_snapshots import MAPPING_KEY
from rax_scheduled_images_ext.sandbox.backend.models import BlockDevice, Image
from rax_scheduled_images_ext.sandbox.http.common import HttpError

_INVALID = "Block Device Mapping is Invalid"
_NO_SEQUENCE = (
    f"{_INVALID}: Boot sequence for the instance and image/block device mapping"
    " combination is not valid."
)


def devices_of(wanted: Mapping[str, Any], image: Image | None) -> list[BlockDevice]:
    """Return the volumes that a new server is to have.

    :param wanted: the server of the request, as its schema allows it.
    :param image: the image that it names, which may bring volumes of its own.
    :raises HttpError: 400 where it is not clear what to boot from.
    """
    brought = _mapping_of(image) if image else []
    given = wanted.get("block_device_mapping_v2", [])
    if any(_boot_index(each) == 0 for each in brought):
        # Clients add the image itself, which is not booted from then.
        given = [each for each in given if not _is_image_to_boot(each)]
    entries = [*brought, *given]
    _check_boot_sequence(entries, image, booted_by_itself=not brought)
    devices = [_device(entry) for entry in entries if _is_volume(entry)]
    _check_sources(devices, wanted)
    return devices


def _mapping_of(image: Image) -> list[dict[str, Any]]:
    """Return the block device mapping of an image, nothing for one that has none."""
    try:
        mapping = json.loads(image.properties.get(MAPPING_KEY, "[]"))
    except ValueError:
        mapping = None
    if not isinstance(mapping, list) or not all(isinstance(e, dict) for e in mapping):
        raise HttpError(400, f"{_INVALID}.")
    return mapping


def _check_boot_sequence(
    entries: Iterable[Mapping[str, Any]],
    image: Image | None,
    *,
    booted_by_itself: bool,
) -> None:
    indexes = [index for each in entries if (index := _boot_index(each)) is not None]
    used = sorted(index for index in indexes if index >= 0)
    if image is not None and booted_by_itself and 0 not in used:
        used.insert(0, 0)
    if not used or used != list(range(len(used))):
        raise HttpError(400, _NO_SEQUENCE)


def _check_sources(devices: Sequence[BlockDevice], wanted: Mapping[str, Any]) -> None:
    for device in devices:
        if device.source == "image" and not device.size:
            raise HttpError(
                400,
                "Images with destination_type 'volume' need to have a non-zero size"
                " specified",
            )
        if device.source == "blank" and not device.size:
            raise HttpError(
                400,
                "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero"
                " size",
            )
    several = int(wanted.get("max_count", wanted.get("min_count", 1))) > 1
    if several and any(device.source == "volume" for device in devices):
        raise HttpError(400, "Cannot attach one or more volumes to multiple instances")


def _is_volume(entry: Mapping[str, Any]) -> bool:
    kind = entry.get("source_type", "volume")
    default = "volume" if kind in ("volume", "snapshot") else "local"
    return bool((entry.get("destination_type") or default) == "volume")


def _is_image_to_boot(entry: Mapping[str, Any]) -> bool:
    return entry.get("source_type") == "image" and _boot_index(entry) == 0


def _device(entry: Mapping[str, Any]) -> BlockDevice:
    source = str(entry.get("source_type", "volume"))
    size = entry.get("volume_size")
    return BlockDevice(
        source=source,
        id=entry.get("uuid") or entry.get(f"{source}_id"),
        size=int(size) if size else None,
        boot_index=_boot_index(entry),
        delete_on_termination=bool(entry.get("delete_on_termination")),
    )


def _boot_index(entry: Mapping[str, Any]) -> int | None:
    index = entry.get("boot_index")
    return None if index is None else int(index)
