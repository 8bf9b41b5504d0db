"""Starts a snapshot of a server that keeps running."""

from __future__ import annotations

from functools import partial

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import Snapshots
from rax_scheduled_images_ext.errors import ServerBusy
from rax_scheduled_images_ext.operations.proof import prove_now
from rax_scheduled_images_ext.operations.snapshot.new_image import NewImage
from rax_scheduled_images_ext.operations.snapshot.polling import Poller


def begin_snapshot(cloud: Cloud, server_id: str, name: str) -> str:
    """Start a snapshot, and return the ID of its image, which is still being made.

    Nothing is stopped. The image is the user's own: no schedule counts or deletes it,
    as a marker that it inherited from the server's base image is removed.

    :raises InvalidValue: for a name that clouds refuse; nothing was sent.
    :raises NoSuchServer: if there is no such server.
    :raises ServerBusy: if a task is under way on it.
    :raises SnapshotUnknown: if it is unknown whether a snapshot was started.
    :raises ImageLost: if the image is already gone.
    """
    snapshots = Snapshots(cloud.compute)
    state = snapshots.server(server_id)
    if state.task_state is not None:
        raise ServerBusy(
            f"Server {state.name} is busy (task_state: {state.task_state}): no"
            " snapshot can be started until that is over"
        )
    prove = partial(prove_now, cloud)
    image = NewImage(snapshots, cloud.images, Poller(), server_id, name, {}, prove)
    image.server_name = state.name
    image.prepare()
    image.requested(snapshots.create_image(server_id, name, image.metadata))
    image_id = image.locate()
    image.correct()
    return image_id


def disk_safe_from(cloud: Cloud) -> str:
    """Return the task state that shows on this cloud that a server's disk is copied."""
    return Snapshots(cloud.compute).safe_from()
