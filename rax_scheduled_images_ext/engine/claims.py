"""Claims: of all runners that want to make one image, one may.

The image service takes an image of a given ID once, and never again, even after it is
deleted. So whoever makes an empty image of an ID that follows from the server, the slot
and the number of the try has claimed that try, and deletes the empty image at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.model.image import claim_metadata
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE, Policy, Slot

#: How long a claim is good: whoever was held up for longer may not act on it.
CLAIM_VALIDITY = timedelta(minutes=2)
_NAMESPACE = uuid.UUID("5f0c5a0e-8a39-4c0c-9d7e-0d4b6f0e2b11")


class NoClaim(Enum):
    """Why a try is not the caller's."""

    #: Somebody else has, or had, the try of this interval.
    LOST = "lost"
    #: All tries of the slot have been used.
    USED_UP = "used up"


@dataclass(frozen=True)
class Claim:
    """A try of a slot that is the caller's.

    ``number`` is the try, from 0 on. ``used`` are all numbers that were used up for it.
    """

    number: int
    used: frozenset[int]


@dataclass(frozen=True)
class Claims:
    """Claims of tries in an image service.

    :param key: makes IDs unforeseeable for whoever knows the IDs of servers; the same
        for all runners of a project.
    """

    images: GlanceImages
    policy: Policy
    key: str = ""

    def take(
        self,
        server_id: str,
        slot: Slot,
        looked: datetime,
        now: datetime,
        held: Claim | None = None,
    ) -> Claim | NoClaim:
        """Claim a try of a slot.

        The first tries are those of the first intervals after the slot was due. Whoever
        is later claims the interval, and one of the tries that nobody has used.

        :param looked: when no image of the slot was seen. Whoever has made one since
            has claimed that interval.
        :param held: a claim of the same interval that was not acted upon.
        :raises ApiError: if the image service takes no image; nothing is claimed then.
        """
        if now - looked > self.policy.interval:
            return NoClaim.LOST
        # Another runner's clock may be in the next interval by the time of the request.
        last = now + (CLOCK_DIFFERENCE + CLAIM_VALIDITY) * self.policy.stretch
        intervals = {
            (each - slot.due) // self.policy.interval for each in (looked, now, last)
        }
        used = held.used if held else frozenset()
        wanted = sorted(intervals - used)
        if not all(self._use(server_id, slot, each) for each in wanted):
            return NoClaim.LOST
        used |= intervals
        if held:
            return Claim(held.number, used)
        number, tries = min(intervals), range(self.policy.tries)
        if number in tries:
            return Claim(number, used)
        free = self._first_free(server_id, slot, tries)
        return NoClaim.USED_UP if free is None else Claim(free, used)

    def close(self, server_id: str, slot: Slot) -> None:
        """Use up all tries of a slot."""
        for number in range(self.policy.tries):
            self._use(server_id, slot, number)

    def _first_free(
        self, server_id: str, slot: Slot, numbers: Collection[int]
    ) -> int | None:
        """Use up the first of these numbers that is free, and return it."""
        free = (each for each in numbers if self._use(server_id, slot, each))
        return next(free, None)

    def _use(self, server_id: str, slot: Slot, number: int) -> bool:
        """Use a number of a slot up; return False if that had been done before."""
        what = f"{server_id}:{slot.name}:{number}"
        image_id = uuid.uuid5(_NAMESPACE, f"{self.key}:{what}")
        properties = claim_metadata(server_id, what)
        return self.images.use_up(str(image_id), f"claim of {what}", properties)
