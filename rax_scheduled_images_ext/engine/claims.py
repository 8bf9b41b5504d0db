"""Claims: only one of the runners that want to make an image may do so.

The image service accepts an image with a given ID only once, even after it is deleted.
So a runner claims an attempt by creating an empty image whose ID is derived from the
server, the slot and the number of the attempt. Until the runner has used the claim and
deletes the empty image, it counts as one of the snapshots in progress.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import NoSuchImage
from rax_scheduled_images_ext.model.image import claim_metadata
from rax_scheduled_images_ext.model.note import Note
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE, Policy
from rax_scheduled_images_ext.model.slots import Slot

#: How long a claim is valid: a runner that was delayed for longer may not use it.
CLAIM_VALIDITY = timedelta(minutes=2)
_NAMESPACE = uuid.UUID("5f0c5a0e-8a39-4c0c-9d7e-0d4b6f0e2b11")


class NoClaim(Enum):
    """Why the caller got no claim."""

    #: Another runner has, or had, the attempt of this interval.
    LOST = "lost"
    #: All attempts of the slot have been used.
    USED_UP = "used up"


@dataclass(frozen=True)
class Claim:
    """The caller's claim of an attempt.

    ``number`` is the attempt, from 0. ``used`` are the intervals claimed for it,
    ``turn`` is the next free claim if this one is refused. The empty images
    ``image_ids`` exist until :meth:`Claims.release`.
    """

    number: int
    used: frozenset[int]
    turn: int
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """The claims in an image service.

    :param key: makes the IDs of claims unpredictable to those who know the IDs of
        servers; the same for all runners of a project.
    """

    images: GlanceImages
    policy: Policy
    key: str = ""
    _deleted: set[str] = field(default_factory=set)

    def take(
        self,
        server_id: str,
        slot: Slot,
        looked: datetime,
        now: datetime,
        note: Note | None = None,
    ) -> Claim | NoClaim:
        """Claim an attempt of a slot.

        The first attempts belong to the first intervals after the slot was due. A later
        runner claims the interval, and an attempt that is unused.

        :param looked: when the slot was seen to have no image. A runner that has made
            one since has claimed that interval.
        :param note: names the attempt that was claimed but refused: it is continued.
        :raises ApiError: if the image service refuses to create an image.
        """
        if now - looked > self.policy.interval:
            return NoClaim.LOST
        # By the time of the request, another runner's clock may show the next one.
        last = now + CLOCK_DIFFERENCE + CLAIM_VALIDITY
        intervals = {
            (each - slot.due) // self.policy.interval for each in (looked, now, last)
        }
        taken: list[str] = []
        try:
            found = self._take(server_id, slot, intervals, note, taken)
        except BaseException:
            self._delete(taken)
            raise
        if isinstance(found, NoClaim):
            self._delete(taken)
            return found
        number, used, turn = found
        return Claim(number, used, turn, tuple(taken))

    def _take(
        self,
        server_id: str,
        slot: Slot,
        intervals: set[int],
        note: Note | None,
        taken: list[str],
    ) -> tuple[int, frozenset[int], int] | NoClaim:
        used = note.used if note else frozenset()
        wanted = sorted(intervals - used)
        for each in wanted:
            if not self._use(server_id, slot, str(each), taken):
                return NoClaim.LOST
        if note is not None:
            further = f"{note.number}:{note.turn}"
            if self._use(server_id, slot, further, taken):
                return note.number, used | intervals, note.turn + 1
            # Another runner continues it, or was killed; a new interval is ours.
            if not wanted:
                return NoClaim.LOST
        used = frozenset(intervals)
        number, attempts = min(wanted), range(self.policy.attempts)
        if number not in attempts:
            free = (n for n in attempts if self._use(server_id, slot, str(n), taken))
            number = next(free, -1)
        return NoClaim.USED_UP if number < 0 else (number, used, 1)

    def were_used(self, server_id: str, slot: Slot) -> bool:
        """Whether any runner claimed an attempt of a slot that is over.

        Asking uses the attempts up, so only the first caller gets True.
        """
        taken: list[str] = []
        try:
            if not self._use(server_id, slot, "over", taken):
                return False
            attempts = map(str, range(self.policy.attempts))
            return not all(self._use(server_id, slot, n, taken) for n in attempts)
        finally:
            self._delete(taken)

    def release(self, claim: Claim) -> Claim:
        """Delete the empty images of a claim; their IDs cannot be used again."""
        self._delete(claim.image_ids)
        return replace(claim, image_ids=())

    def _use(self, server_id: str, slot: Slot, what: str, taken: list[str]) -> bool:
        """Use up a number of a slot; return False if it was used before."""
        # Only one exists at a time: an image quota may have just one place left.
        self._delete(taken)
        what = f"{server_id}:{slot.name}:{what}"
        image_id = str(uuid.uuid5(_NAMESPACE, f"{self.key}:{what}"))
        properties = claim_metadata(server_id, what)
        if not self.images.reserve(image_id, f"claim of {what}", properties):
            return False
        taken.append(image_id)
        return True

    def _delete(self, image_ids: Iterable[str]) -> None:
        for image_id in set(image_ids) - self._deleted:
            self._deleted.add(image_id)
            # An image that cannot be deleted is swept later.
            with suppress(*PASSING, NoSuchImage):
                self.images.delete(image_id)
