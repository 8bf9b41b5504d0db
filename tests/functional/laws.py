"""The laws of the service, over all that was ever made of many servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rax_scheduled_images_ext.model.image import CLAIM_KEY, MARKER_KEY
from rax_scheduled_images_ext.model.plan import Window, slots_around
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.sandbox.backend.models import Image

from .history import slot_of, try_of

TRIES = 3
WHOLE_DAY = Window()


def check_tries(server_id: str, images: Iterable[Image]) -> None:
    """See that there is at most one image of a slot and try.

    :param images: all that runs have ever made of the server, the deleted ones too.
    """
    images = list(images)
    tries = Counter((slot_of(image), try_of(image)) for image in images)
    assert max(tries.values(), default=0) <= 1, (server_id, tries)
    slots = Counter(map(slot_of, images))
    assert max(slots.values(), default=0) <= TRIES, (server_id, slots)


def check_deletions(retention: int, images: Iterable[Image]) -> None:
    """See that what was deleted leaves as many newer ones as are to be kept."""
    images = list(images)
    deleted = [image for image in images if image.deleted_at and image.size]
    if deleted:
        left = [i for i in images if i.status == "active" and not i.deleted_at]
        assert len(left) >= retention, images
        assert max(i.created for i in deleted) < min(i.created for i in left), images


def check_settled(
    server_id: str,
    schedule: ImageSchedule,
    images: Iterable[Image],
    now: datetime,
    begun: datetime,
    window: Window = WHOLE_DAY,
) -> None:
    """See that exactly the images are there that should be, all ACTIVE and marked.

    :param begun: when the schedule began; what was due before has no image.
    """
    images = sorted(
        (i for i in images if i.deleted_at is None),
        key=slot_of,
    )
    assert [i.status for i in images] == ["active"] * len(images), images
    assert all(MARKER_KEY in image.properties for image in images)
    found = list(map(slot_of, images))
    wanted = last_slots(server_id, schedule, now, begun, window)
    assert found == wanted, (server_id, found)


def last_slots(
    server_id: str,
    schedule: ImageSchedule,
    now: datetime,
    begun: datetime,
    window: Window = WHOLE_DAY,
) -> list[str]:
    """Return the slots whose images the retention keeps, oldest first."""
    found: list[str] = []
    moment = now
    while len(found) < schedule.keep.last:
        slot = slots_around(server_id, schedule, moment, window)[0]
        if slot.due < begun:
            break
        found.append(slot.name)
        moment = slot.due - timedelta(seconds=1)
    return found[::-1]


def check_bystanders(bystanders: Iterable[str], images: Sequence[Image]) -> None:
    """See that nothing of others was deleted, and that no claim was left behind."""
    assert set(bystanders) <= {image.id for image in images}
    assert not [image for image in images if CLAIM_KEY in image.properties]
