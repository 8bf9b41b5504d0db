"""Keeping an image for good, and handing it back to its schedule."""

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

# Nova's words for what it makes of a server; `nova backup` makes the second.
_SNAPSHOTS = (SNAPSHOT, "backup")


def protect(cloud: Cloud, image: str) -> ServerImage:
    """Keep an image for good: it is neither counted nor deleted any more.

    :param image: a name or an ID.
    :returns: the image as it was before.
    :raises ChangeUndone: if something else puts the marker back.
    :raises NotASnapshot: for an image that was not made of a server.
    """
    found = cloud.images.find(image)
    protect_image(cloud.images, found)
    return found


def unprotect(cloud: Cloud, image: str) -> ServerImage:
    """Hand an image back to its schedule.

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
    """Keep images for good, one by one, whatever becomes of the others.

    Errors: those of :func:`protect`.
    """
    return run(images, lambda image: protect(cloud, image), report, workers=1)


def unprotect_images(
    cloud: Cloud, images: Iterable[str], report: Report[str, ServerImage] | None = None
) -> list[Outcome[str, ServerImage]]:
    """Hand images back to their schedules, one by one, whatever becomes of the others.

    Errors: those of :func:`unprotect`.
    """
    return run(images, lambda image: unprotect(cloud, image), report, workers=1)


def protect_image(images: ImageStore, image: ServerImage) -> None:
    """Take the marker off an image, remembering on it how it was marked.

    The errors are those of :func:`protect`.
    """
    _check_snapshot(image)
    if image.scheduled:
        remembered = f"{image.id}:{MARKER_VALUE}"
        images.ensure_metadata(image, {PROTECTED_KEY: remembered}, [MARKER_KEY])


def unprotect_image(images: ImageStore, image: ServerImage) -> None:
    """Mark an image as it was before it was protected.

    Who has taken the marker away by other means is understood by the image's name, if
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
    """Refuse what Nova has not made of a server.

    :raises NotASnapshot: for it.
    :raises NoSuchImage: for what is only the memory of an image.
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

    :raises NeverScheduled: if it likely gave none: the user's own images are
        not handed over to be deleted.
    """
    if MARKER_KEY in image.metadata:
        other = image.metadata[MARKER_KEY]
        raise NeverScheduled(image.id, f"its {MARKER_KEY} is '{other}'")
    if not named_by_service(image):
        raise NeverScheduled(
            image.id,
            f"it is called '{image.name}' and has never been protected; if it is to"
            f" be deleted in its turn, set its {MARKER_KEY} to {MARKER_VALUE}",
        )
    return MARKER_VALUE
