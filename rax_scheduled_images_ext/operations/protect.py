"""Keeping images for good, and handing them back to their schedules."""

from __future__ import annotations

from collections.abc import Iterable

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.operations.retention import (
    next_expiry,
    protect,
    unprotect,
)
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report, run


def protect_images(
    cloud: Cloud, images: Iterable[str], report: Report[str, ServerImage] | None = None
) -> list[Outcome[str, ServerImage]]:
    """Keep images for good, one by one, whatever becomes of the others.

    Errors: those of :func:`.retention.protect`.

    :param images: names or IDs.
    :returns: an outcome for each, with the image as it was before.
    """
    return run(images, lambda image: protect(cloud, image), report, workers=1)


def unprotect_images(
    cloud: Cloud, images: Iterable[str], report: Report[str, ServerImage] | None = None
) -> list[Outcome[str, ServerImage]]:
    """Hand images back to their schedules, one by one; see :func:`protect_images`.

    Errors: those of :func:`.retention.unprotect`.
    """
    return run(images, lambda image: unprotect(cloud, image), report, workers=1)


def next_expiries(
    cloud: Cloud, images: Iterable[Outcome[str, ServerImage]]
) -> list[Outcome[str, list[Decision] | None]]:
    """Return what expires next of each server whose images were handed back.

    The values and errors are those of :func:`.retention.next_expiry`.

    :returns: an outcome for each ID of a server, in the order of the images.
    """
    servers = dict.fromkeys(str(each.value.server_id) for each in images if each.value)
    return run(servers, lambda server_id: next_expiry(cloud, server_id), workers=1)
