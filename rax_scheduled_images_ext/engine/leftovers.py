"""What was left behind: it takes space or a place in a quota, and nothing needs it.

It is for display. What runners delete by themselves is said; the rest is for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.client.volumes import Volumes
from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.engine.sweep import is_left_behind
from rax_scheduled_images_ext.errors import NoAccess
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    ServerImage,
    made_by_run,
    named_by_service,
)
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.model.plan import HANGS_AFTER
from rax_scheduled_images_ext.model.server import ServerFacts
from rax_scheduled_images_ext.model.volume_snapshots import (
    NAME_PREFIX,
    TIME_TO_DELETE,
    VolumeSnapshot,
    ids_in_mapping,
    is_left,
)
from rax_scheduled_images_ext.operations.verify import find_left_behind, is_ours

_SWEPT = "the next tick deletes it"
_PLACE = "deleting it frees a place in the quota, and loses nothing"


class Kind(Enum):
    """What was left behind."""

    CLAIM = "claim"
    NOTE = "note"
    IMAGE = "image"
    SNAPSHOT = "volume snapshot"
    VOLUME = "volume"
    SERVER = "test server"


@dataclass(frozen=True)
class LeftBehind:
    """Something left behind.

    ``status`` is its service's word, ``changed`` when it was made or last changed, None
    if unknown. ``reason`` is why nothing needs it, ``effect`` what deleting it does.
    """

    kind: Kind
    id: str
    name: str
    project_id: str | None
    status: str
    changed: datetime | None
    reason: str
    effect: str


def find_leftovers(projects: Projects, page: Page) -> list[LeftBehind]:
    """Find what was left behind, by a survey.

    It takes one request for test servers, one per page of volume snapshots, one per
    page of volumes, and one per page of images: an image of any kind may name a
    snapshot.

    :raises ApiError: if they cannot be listed, or any other error in ``PASSING``.
    """
    listing, everybody = projects.listing, projects.all_projects
    found = [*_images(page), *_servers(projects)]
    volumes = listing.volumes
    if volumes is None:
        return found
    snapshots = list(volumes.snapshots(all_projects=everybody))
    ours = {each.id: each for each in snapshots if _is_ours(each)}
    if ours:
        named = _named(listing.images)
        found += _snapshots(ours.values(), named, page.now)
        found += _volumes(volumes, ours, all_projects=everybody)
    return found


def _images(page: Page) -> Iterator[LeftBehind]:
    """Yield the images without data that nobody fills any more."""
    now = page.now
    making = {image.id: image for image in (*page.open.empty, *page.open.making)}
    for image in making.values():
        age = now - image.created if image.created else None
        if CLAIM_KEY in image.metadata:
            is_note = image.metadata[CLAIM_KEY] == NOTE
            kind = Kind.NOTE if is_note else Kind.CLAIM
            if is_left_behind(image, now):
                yield _image(kind, image, "its runner has ended", _SWEPT)
        elif not made_by_run(image, str(image.server_id)) or age is None:
            continue
        elif is_left_behind(image, now):
            yield _image(Kind.IMAGE, image, "it never got any data", _SWEPT)
        elif age > HANGS_AFTER:
            hours = int(age.total_seconds() // 3600)
            why = f"it has had no complete data for {hours} hours"
            yield _image(Kind.IMAGE, image, why, f"if its snapshot is lost, {_PLACE}")


def _image(kind: Kind, image: ServerImage, reason: str, effect: str) -> LeftBehind:
    return LeftBehind(
        kind,
        image.id,
        image.name,
        image.owner,
        "queued" if image.is_queued else image.status.lower(),
        image.created,
        reason,
        effect,
    )


def _servers(projects: Projects) -> Iterator[LeftBehind]:
    """Yield the servers of proofs that must be over."""
    listing, everybody = projects.listing, projects.all_projects
    for server, image_id in find_left_behind(listing, all_projects=everybody):
        yield LeftBehind(
            Kind.SERVER,
            server.id,
            server.name,
            server.project_id,
            str(server.status),
            server.created,
            f"it is marked as the test of image {image_id}, which must be over",
            _effect(projects, server, image_id),
        )


def _effect(projects: Projects, server: ServerFacts, image_id: str) -> str:
    """Return what deleting a test server does, or who does it."""
    try:
        if is_ours(projects.of(str(server.project_id)), server, image_id):
            return "the next proof in its project deletes it"
    except (*PASSING, NoAccess):
        pass
    volumes = "; volumes that were made for it go with it" if server.volumes else ""
    return f"it frees a place in the quota{volumes}"


def _is_ours(snapshot: VolumeSnapshot) -> bool:
    """Whether a volume snapshot was made for a scheduled image, by mark or by name."""
    name = snapshot.name or ""
    image = ServerImage("", name.removeprefix(NAME_PREFIX), "")
    by_name = name.startswith(NAME_PREFIX) and named_by_service(image)
    return snapshot.image_id is not None or by_name


def _named(images: ImageStore) -> set[str]:
    """Return the IDs of all volume snapshots that an image names."""
    listed = (i for hidden in (False, True) for i in images.list(hidden=hidden))
    return {each for image in listed for each in ids_in_mapping(image)}


def _snapshots(
    snapshots: Iterable[VolumeSnapshot], named: set[str], now: datetime
) -> Iterator[LeftBehind]:
    """Yield the volume snapshots that no image needs."""
    for snapshot in snapshots:
        if snapshot.id in named or snapshot.is_going:
            continue
        recent = snapshot.changed is None or now - snapshot.changed < TIME_TO_DELETE
        if snapshot.image_id is not None:
            if is_left(snapshot, now):
                why = f"it was to be deleted with image {snapshot.image_id}"
                yield _snapshot(snapshot, why, _SWEPT)
        elif not recent:
            # An image that is just being made does not name its snapshots yet.
            effect = f"it frees {snapshot.size} GiB, and no image needs it"
            yield _snapshot(snapshot, "no image names it", effect)


def _snapshot(snapshot: VolumeSnapshot, reason: str, effect: str) -> LeftBehind:
    return LeftBehind(
        Kind.SNAPSHOT,
        snapshot.id,
        snapshot.name or "",
        snapshot.project_id,
        snapshot.status,
        snapshot.changed,
        reason,
        effect,
    )


def _volumes(
    volumes: Volumes, snapshots: Iterable[str], *, all_projects: bool
) -> Iterator[LeftBehind]:
    """Yield the volumes made from snapshots of scheduled images that nothing uses."""
    ours = set(snapshots)
    for volume in volumes.volumes(all_projects=all_projects):
        if volume.snapshot_id in ours and volume.status == "available":
            yield LeftBehind(
                Kind.VOLUME,
                volume.id,
                volume.name,
                volume.project_id,
                volume.status,
                volume.created,
                f"made from volume snapshot {volume.snapshot_id}, and nothing uses it",
                f"it frees {volume.size} GiB, and loses what was written to it since",
            )
