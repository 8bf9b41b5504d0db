"""Keeps an image for good, or returns it to its schedule."""

from __future__ import annotations

from collections.abc import Iterable

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.errors import (
    NeverScheduled,
    NoSuchImage,
    NotASnapshot,
)
from rax_scheduled_images_ext.model.image import (
    BACKUP,
    MARKER_KEY,
    MARKER_VALUE,
    PROTECTED_KEY,
    SERVER_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    named_by_service,
    removed_marker,
)
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report, run

# Nova's types of images of servers; `nova backup` makes the second.
_SNAPSHOTS = (SNAPSHOT, BACKUP)


def protect(cloud: Cloud, image: str) -> ServerImage:
    """Keep an image for good: its schedule no longer counts or deletes it.

    :param image: a name or an ID.
    :returns: the image as it was before.
    :raises ChangeUndone: if something else puts the marker back.
    :raises NotASnapshot: for an image that was not made of a server.
    """
    found = cloud.images.find(image)
    protect_image(cloud.images, found)
    return found


def unprotect(cloud: Cloud, image: str) -> ServerImage:
    """Return an image to its schedule.

    :param image: a name or an ID.
    :returns: the image as it was before.
    :raises NotASnapshot: for an image that was not made of a server.
    :raises NeverScheduled: for an image that likely never had the marker.
    """
    found = cloud.images.find(image)
    unprotect_image(cloud.images, found)
    return found


def protect_images(
    cloud: Cloud, images: Iterable[str], report: Report[str, ServerImage] | None = None
) -> list[Outcome[str, ServerImage]]:
    """Keep images for good, each regardless of errors of the others.

    Errors: those of :func:`protect`.
    """
    return run(images, lambda image: protect(cloud, image), report, workers=1)


def unprotect_images(
    cloud: Cloud, images: Iterable[str], report: Report[str, ServerImage] | None = None
) -> list[Outcome[str, ServerImage]]:
    """Return images to their schedules, each regardless of errors of the others.

    Errors: those of :func:`unprotect`.
    """
    return run(images, lambda image: unprotect(cloud, image), report, workers=1)


def protect_image(images: ImageStore, image: ServerImage) -> None:
    """Remove the marker from an image, and record on the image how it was marked.

    The errors are those of :func:`protect`.
    """
    _check_snapshot(image)
    if image.scheduled:
        remembered = f"{image.id}:{MARKER_VALUE}"
        images.ensure_metadata(image, {PROTECTED_KEY: remembered}, [MARKER_KEY])


def unprotect_image(images: ImageStore, image: ServerImage) -> None:
    """Mark an image as it was before it was protected.

    If the marker was removed by other means, the image is recognized by the name that
    the service gave it. The errors are those of :func:`unprotect`.
    """
    _check_snapshot(image)
    remembered = removed_marker(image)
    marker = {}
    if not image.scheduled:
        marker[MARKER_KEY] = remembered or _first_marker(image)
    forgotten = [PROTECTED_KEY] if remembered else []
    if marker or forgotten:
        images.ensure_metadata(image, marker, forgotten)


def _check_snapshot(image: ServerImage) -> None:
    """Refuse an image that Nova has not made of a server.

    :raises NotASnapshot: for such an image.
    :raises NoSuchImage: for the record of a deleted image.
    """
    if image.status == "DELETED":
        raise NoSuchImage(image.id)
    if image.server_id is None:
        raise NotASnapshot(image.id, f"it has no {SERVER_KEY}")
    kind = image.metadata.get(TYPE_KEY)
    if kind not in _SNAPSHOTS:
        why = f"its {TYPE_KEY} is '{kind}'" if kind else f"it has no {TYPE_KEY}"
        raise NotASnapshot(image.id, why)


def _first_marker(image: ServerImage) -> str:
    """Return the marker that the service gave an image.

    :raises NeverScheduled: if it probably gave none: the user's own images must not
        become subject to deletion.
    """
    if MARKER_KEY in image.metadata:
        other = image.metadata[MARKER_KEY]
        raise NeverScheduled(image.id, f"its {MARKER_KEY} is '{other}'")
    if not named_by_service(image):
        raise NeverScheduled(
            image.id,
            f"it is named '{image.name}' and has never been protected; to let its"
            f" schedule delete it, set its {MARKER_KEY} to {MARKER_VALUE}",
        )
    return MARKER_VALUE
