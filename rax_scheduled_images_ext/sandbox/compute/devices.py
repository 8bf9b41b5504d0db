"""The volumes of a new server, as given by a request and its image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rax_scheduled_images_ext.model.image import MAPPING_KEY
from rax_scheduled_images_ext.sandbox.backend.models import (
    BlockDevice,
    Image,
    NotFound,
    Volume,
)
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError

_INVALID = "Block Device Mapping is Invalid"
_NO_SEQUENCE = (
    f"{_INVALID}: Boot sequence for the instance and image/block device mapping"
    " combination is not valid."
)


def devices_of(
    call: Call, wanted: Mapping[str, Any], image: Image | None
) -> list[BlockDevice]:
    """Return the volumes that a new server gets.

    :param wanted: the server in the request, checked by its schema.
    :param image: the image that it names, which may define volumes of its own.
    :raises HttpError: 400 if it is unclear what to boot from, or that does not exist.
    """
    brought = _mapping_of(image) if image else []
    has_mapping = bool(brought)
    given = wanted.get("block_device_mapping_v2", [])
    if any(_boot_index(each) == 0 for each in brought):
        # Clients add the image itself, from which the server then does not boot.
        given = [each for each in given if not _is_image_to_boot(each)]
    # A device in the request replaces the image's device of the same name.
    names = {each["device_name"] for each in given if each.get("device_name")}
    brought = [each for each in brought if each.get("device_name") not in names]
    entries = [*brought, *given]
    devices = [_device(entry) for entry in entries if _is_volume(entry)]
    for device in devices:
        _check_source(call, device)
    several = int(wanted.get("max_count", wanted.get("min_count", 1))) > 1
    if several and any(device.source == "volume" for device in devices):
        raise HttpError(400, "Cannot attach one or more volumes to multiple instances")
    _check_boot_sequence(entries, image, booted_by_itself=not has_mapping)
    return devices


def _mapping_of(image: Image) -> list[dict[str, Any]]:
    """Return the block device mapping of an image, empty if it has none."""
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


def _check_source(call: Call, device: BlockDevice) -> None:
    """Check that a device can be made, as far as Nova checks that in advance."""
    if device.source == "volume":
        _check_volume(call, device)
    elif device.source == "snapshot" and device.boot_index == 0:
        snapshot_id = str(device.id)
        try:
            found = call.region.volumes.snapshot(snapshot_id)
        except NotFound as error:
            raise HttpError(400, str(error)) from None
        if found.project_id != call.project_id:
            raise HttpError(400, f"Snapshot {snapshot_id} could not be found.")
    elif device.source == "image" and not device.size:
        raise HttpError(
            400,
            "Images with destination_type 'volume' need to have a non-zero size"
            " specified",
        )
    elif device.source == "blank" and not device.size:
        raise HttpError(
            400,
            "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero"
            " size",
        )


def _check_volume(call: Call, device: BlockDevice) -> None:
    try:
        volume: Volume | None = call.region.volumes.get(str(device.id))
    except NotFound:
        volume = None
    boots = device.boot_index == 0
    if volume is None or volume.project_id != call.project_id:
        raise HttpError(
            400,
            f"{_INVALID}: failed to get volume {device.id}."
            if boots
            else f"Volume {device.id} could not be found.",
        )
    if boots and not volume.bootable:
        raise HttpError(400, f"Block Device {device.id} is not bootable.")


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
