"""Claims: of all runners that want to make one image, one may.

The image service takes an image of a given ID once, and never again, even after it is
deleted. So whoever makes an empty image of an ID that follows from the server, the slot
and the number of the try has claimed that try, and deletes the empty image at once.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.model.image import claim_metadata
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE, Policy, Slot

_NAMESPACE = uuid.UUID("5f0c5a0e-8a39-4c0c-9d7e-0d4b6f0e2b11")


class Claim(Enum):
    """What a claim has come to."""

    #: The try is the caller's.
    TAKEN = "taken"
    #: Somebody else has, or had, the try of this interval.
    LOST = "lost"
    #: All tries of the slot have been used.
    USED_UP = "used up"


@dataclass(frozen=True)
class Claims:
    """Claims of tries in an image service.

    :param key: makes IDs unforeseeable for whoever knows the IDs of servers; the same
        for all runners of a project.
    """

    images: GlanceImages
    policy: Policy
    key: str = ""

    def take(self, server_id: str, slot: Slot, now: datetime) -> Claim:
        """Claim a try of a slot.

        The first tries are those of the first intervals after the slot was due. Whoever
        is later claims the interval, and one of the tries that nobody has used.

        :raises ApiError: if the image service takes no image; nothing is claimed then.
        """
        late, early = now - slot.due, now - slot.due + CLOCK_DIFFERENCE
        # Another runner's clock may be in the next interval already.
        intervals = {late // self.policy.interval, early // self.policy.interval}
        if not all(self._use(server_id, slot, each) for each in sorted(intervals)):
            return Claim.LOST
        tries = range(self.policy.tries)
        if min(intervals) in tries:
            return Claim.TAKEN
        free = any(self._use(server_id, slot, number) for number in tries)
        return Claim.TAKEN if free else Claim.USED_UP

    def close(self, server_id: str, slot: Slot) -> None:
        """Use up all tries of a slot."""
        for number in range(self.policy.tries):
            self._use(server_id, slot, number)

    def _use(self, server_id: str, slot: Slot, number: int) -> bool:
        """Use a number of a slot up; return False if that had been done before."""
        what = f"{server_id}:{slot.name}:{number}"
        image_id = uuid.uuid5(_NAMESPACE, f"{self.key}:{what}")
        properties = claim_metadata(server_id, what)
        return self.images.use_up(str(image_id), f"claim of {what}", properties)
