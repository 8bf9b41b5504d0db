"""Claims: of all runners that want to make one image, one may.

The image service takes an image of a given ID once, and never again, even after it is
deleted. So whoever makes an empty image of an ID that follows from the server, the slot
and the number of the attempt has claimed that attempt. The empty image is deleted as
soon as the claim was acted upon: until then it holds a place among the snapshots under
way.
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
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE, Policy, Slot

#: How long a claim is good: whoever was held up for longer may not act on it.
CLAIM_VALIDITY = timedelta(minutes=2)
_NAMESPACE = uuid.UUID("5f0c5a0e-8a39-4c0c-9d7e-0d4b6f0e2b11")


class NoClaim(Enum):
    """Why an attempt is not the caller's."""

    #: Somebody else has, or had, the attempt of this interval.
    LOST = "lost"
    #: All attempts of the slot have been used.
    USED_UP = "used up"


@dataclass(frozen=True)
class Claim:
    """An attempt of a slot that is the caller's.

    ``number`` is the attempt, from 0 on. ``used`` are all intervals that were claimed
    for it, ``turn`` the further claim that is free if nothing comes of this one. The
    empty images ``image_ids`` are there until :meth:`Claims.release`.
    """

    number: int
    used: frozenset[int]
    turn: int
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """Claims of attempts in an image service.

    :param key: makes IDs unforeseeable for whoever knows the IDs of servers; the same
        for all runners of a project.
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

        The first attempts are those of the first intervals after the slot was due.
        Whoever is later claims the interval, and an attempt that nobody has used.

        :param looked: when no image of the slot was seen. Whoever has made one since
            has claimed that interval.
        :param note: says which attempt was claimed and not acted upon: it goes on.
        :raises ApiError: if the image service takes no image.
        """
        if now - looked > self.policy.interval:
            return NoClaim.LOST
        # Another runner's clock may be in the next interval by the time of the request.
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
            # Somebody goes on with it, or was killed at that; a new interval is ours.
            if not wanted:
                return NoClaim.LOST
        used = frozenset(intervals)
        number, attempts = min(wanted), range(self.policy.attempts)
        if number not in attempts:
            free = (n for n in attempts if self._use(server_id, slot, str(n), taken))
            number = next(free, -1)
        return NoClaim.USED_UP if number < 0 else (number, used, 1)

    def were_used(self, server_id: str, slot: Slot) -> bool:
        """Whether somebody has claimed an attempt of a slot that is over.

        Asking uses the attempts up, so only whoever asks first is told.
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
        """Delete the empty images of a claim; their IDs never come back."""
        self._delete(claim.image_ids)
        return replace(claim, image_ids=())

    def _use(self, server_id: str, slot: Slot, what: str, taken: list[str]) -> bool:
        """Use a number of a slot up; return False if that had been done before."""
        # One at a time is there: a full image quota may have one place left.
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
            # What cannot be deleted is swept later.
            with suppress(*PASSING, NoSuchImage):
                self.images.delete(image_id)
