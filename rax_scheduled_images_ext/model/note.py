"""Notes: the record of a refused attempt, where every runner reads it.

A note is an empty, hidden image, at most one for each server and slot. It says what was
refused, since when and how often, when to ask again, and which further claim of the
attempt is free, which again only one runner can take. Losing a note costs one interval
between attempts, never an image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from rax_scheduled_images_ext.model.image import CLAIM_KEY, SERVER_KEY, ServerImage
from rax_scheduled_images_ext.model.times import read_time, write_time

#: The value of an image's ``CLAIM_KEY`` that makes it a note.
NOTE = "note"
#: The metadata with the contents of the note, as JSON.
NOTE_KEY = "scheduled_images_note"
_LONGEST_REASON = 200
# How often a busy server may refuse, within about half an hour.
_PASSING = 5


class Refusal(Enum):
    """Why no snapshot was started."""

    #: The server or the cloud was busy.
    BUSY = "busy"
    #: The limits on concurrent snapshots were reached.
    LIMIT = "limit"
    #: The project may have no more images.
    QUOTA = "quota"
    #: Any other refusal.
    REFUSED = "refused"
    #: All attempts of the slot are used.
    USED_UP = "used up"


# The first and the longest pause after refusals: each is twice the one before.
_PAUSES = {
    Refusal.BUSY: (timedelta(minutes=1), timedelta(minutes=10)),
    Refusal.LIMIT: (timedelta(), timedelta()),
    Refusal.QUOTA: (timedelta(minutes=5), timedelta(hours=1)),
    Refusal.REFUSED: (timedelta(minutes=5), timedelta(hours=1)),
    Refusal.USED_UP: (timedelta(days=2), timedelta(days=2)),
}


@dataclass(frozen=True)
class Note:
    """The contents of the note for a slot of a server.

    ``number`` is the attempt that was refused, ``used`` are the intervals claimed for
    it, ``turn`` is the next free claim of the attempt. It was refused ``count`` times
    since ``since``; nobody asks before ``again``. ``image_id`` is the note itself.
    """

    slot: str
    kind: Refusal
    number: int
    used: frozenset[int]
    turn: int
    since: datetime
    count: int
    again: datetime
    reason: str
    image_id: str = ""

    @property
    def lasts(self) -> bool:
        """Whether the refusal will last longer than minutes."""
        passes = self.kind in (Refusal.BUSY, Refusal.LIMIT)
        return not passes or self.count > _PASSING

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the image, in addition to that of every claim."""
        return {NOTE_KEY: self.text}

    @property
    def text(self) -> str:
        """The contents of the note, for :func:`parse_note`."""
        said = {
            "slot": self.slot,
            "kind": self.kind.value,
            "number": self.number,
            "used": sorted(self.used),
            "turn": self.turn,
            "since": write_time(self.since),
            "count": self.count,
            "again": write_time(self.again),
            "reason": self.reason[:_LONGEST_REASON],
        }
        return json.dumps(said)


def new_note(
    before: Note | None,
    slot: str,
    kind: Refusal,
    number: int,
    used: frozenset[int],
    turn: int,
    now: datetime,
    reason: str,
) -> Note:
    """Return the note to write after a refusal.

    :param before: the one that it replaces.
    """
    since, count = now, 1
    if before is not None and before.kind is kind:
        since, count = before.since, before.count + 1
    first, longest = _PAUSES[kind]
    pause = min(first * 2 ** min(count - 1, 10), longest)
    return Note(slot, kind, number, used, turn, since, count, now + pause, reason)


def read_note(image: ServerImage) -> Note | None:
    """Return the note that an image is, None if it is not one or cannot be read."""
    if image.metadata.get(CLAIM_KEY) != NOTE or not image.is_queued:
        return None
    return parse_note(image.metadata.get(NOTE_KEY, ""), image.id)


def parse_note(text: str, image_id: str) -> Note | None:
    """Parse the contents of a note, None if they cannot be read."""
    try:
        said = json.loads(text)
        since, again = read_time(said["since"]), read_time(said["again"])
        if since is None or again is None:
            return None
        return Note(
            slot=_text(said["slot"]),
            kind=Refusal(said["kind"]),
            number=_number(said["number"]),
            used=frozenset(map(_number, said["used"])),
            turn=_number(said["turn"]),
            since=since,
            count=_number(said["count"]),
            again=again,
            reason=_text(said["reason"]),
            image_id=image_id,
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def notes_of(
    images: Iterable[ServerImage],
) -> dict[tuple[str, str | None], list[Note]]:
    """Return the notes among images, by server and owning project.

    The last of several for one server is the most recent.
    """
    found: dict[tuple[str, str | None], list[Note]] = {}
    for image in images:
        note = read_note(image)
        if note is not None:
            key = (image.metadata.get(SERVER_KEY, ""), image.owner)
            found.setdefault(key, []).append(note)
    for notes in found.values():
        notes.sort(key=lambda each: (each.slot, each.turn, each.count))
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError
    return value
