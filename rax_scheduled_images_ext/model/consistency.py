"""What the data of an image may be like, as far as can be seen from outside.

Nova tells nobody whether a guest was frozen for a snapshot. What can be seen is how the
snapshot was asked for, and no more than that is said of an image.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.errors import SnapshotsInDoubt
from rax_scheduled_images_ext.model.image import (
    AGENT_KEY,
    BACKUP,
    HOOK_KEY,
    MAPPING_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.times import read_time, write_time
from rax_scheduled_images_ext.model.volume_snapshots import named_snapshots
from rax_scheduled_images_ext.text import digest_of

# What the compute service reads as "yes".
_YES = ("1", "t", "true", "on", "y", "yes")
# How long after it was asked for an image may appear; clocks differ.
_EARLY, _LATE = timedelta(minutes=1), timedelta(minutes=2)


class Consistency(Enum):
    """How the data of an image was prepared, from the most to the least."""

    #: A command stopped what writes, and it stayed so until the disk was copied.
    HOOK = "hook"
    #: The guest agent was to freeze the file systems. Whether it did is not shown.
    AGENT = "agent asked for"
    #: Nothing was done: the disk is as after a power failure.
    CRASH = "crash"
    #: Not even that is known.
    UNKNOWN = "unknown"


def hook_metadata(server_id: str, name: str, now: datetime) -> dict[str, str]:
    """Return the metadata of an image that is asked for while its server is held.

    It goes with the request: a later change may undo what the compute service writes
    meanwhile, and lose the image. So it is to be removed if the hold ends too early.

    :param name: the name of the image.
    :param now: the cloud's time.
    """
    named = digest_of([name])[:16]
    return {HOOK_KEY: f"{server_id}:{named}:{write_time(now)}"}


def consistency_of(image: ServerImage) -> Consistency:
    """Return what can be said of the data of an image."""
    known = image.metadata
    if image.status != "ACTIVE" or known.get(TYPE_KEY) not in (SNAPSHOT, BACKUP):
        return Consistency.UNKNOWN
    # The snapshots of volumes are made after the image has become ACTIVE.
    if MAPPING_KEY not in known and _was_held(image):
        return Consistency.HOOK
    # With `os_require_quiesce` alone, nobody asks the agent.
    if known.get(AGENT_KEY, "").strip().lower() in _YES:
        return Consistency.AGENT
    return Consistency.CRASH if _is_of_one_moment(image) else Consistency.UNKNOWN


def _is_of_one_moment(image: ServerImage) -> bool:
    """Whether an image holds data, and not of several volumes one after another."""
    try:
        volumes = named_snapshots(image)
    except SnapshotsInDoubt:
        return False
    return len(volumes) == 1 or (image.size != 0 and not volumes)


def _was_held(image: ServerImage) -> bool:
    """Whether an image says that its server was held, and has not inherited that.

    A copy of it has another name, or is younger.
    """
    server_id, _, rest = image.metadata.get(HOOK_KEY, "").partition(":")
    named, _, time = rest.partition(":")
    asked, created = read_time(time), image.created
    return (
        server_id == image.server_id
        and named == digest_of([image.name])[:16]
        and asked is not None
        and created is not None
        and -_EARLY <= created - asked <= _LATE
    )
