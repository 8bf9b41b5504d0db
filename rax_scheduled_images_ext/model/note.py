"""Notes: what became of an attempt that was refused, where every runner reads it.

A note is an empty, hidden image, at most one of a server and slot. It says what was
refused, since when and how often, when to ask again, and which further claim of the
attempt is free, which again only one runner can take. Losing a note costs one interval
between attempts, and never an image.
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
#: The metadata with what the note says, as JSON.
NOTE_KEY = "scheduled_images_note"
_LONGEST_REASON = 200
# How often a busy server may refuse, in about half an hour.
_PASSING = 5


class Refusal(Enum):
    """Why nothing was begun."""

    #: The server was busy, or the cloud was.
    BUSY = "busy"
    #: The limits on snapshots under way allowed no more.
    LIMIT = "limit"
    #: The project may have no more images.
    QUOTA = "quota"
    #: Anything else that was refused.
    REFUSED = "refused"
    #: All attempts of the slot are used.
    USED_UP = "used up"


# The first pause after a refusal, and the longest: each is twice the one before.
_PAUSES = {
    Refusal.BUSY: (timedelta(minutes=1), timedelta(minutes=10)),
    Refusal.LIMIT: (timedelta(), timedelta()),
    Refusal.QUOTA: (timedelta(minutes=5), timedelta(hours=1)),
    Refusal.REFUSED: (timedelta(minutes=5), timedelta(hours=1)),
    Refusal.USED_UP: (timedelta(days=2), timedelta(days=2)),
}


@dataclass(frozen=True)
class Note:
    """What a note says of a slot of a server.

    ``number`` is the attempt that was not acted upon, ``used`` are the intervals that
    were claimed for it, ``turn`` is the further claim of the attempt that is free.
    ``count`` is how often it was refused since ``since``; nobody asks before ``again``.
    ``image_id`` is the note itself.
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
        """Whether it is no refusal that passes by itself within minutes."""
        passes = self.kind in (Refusal.BUSY, Refusal.LIMIT)
        return not passes or self.count > _PASSING

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the image, besides that of every claim."""
        return {NOTE_KEY: self.text}

    @property
    def text(self) -> str:
        """What the note says, for :func:`parse_note`."""
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
    """Return the note to leave after a refusal.

    :param before: the one that it replaces.
    """
    since, count = now, 1
    if before is not None and before.kind is kind:
        since, count = before.since, before.count + 1
    first, longest = _PAUSES[kind]
    pause = min(first * 2 ** min(count - 1, 10), longest)
    return Note(slot, kind, number, used, turn, since, count, now + pause, reason)


def read_note(image: ServerImage) -> Note | None:
    """Return what an image says as a note; None if it is none, or cannot be read."""
    if image.metadata.get(CLAIM_KEY) != NOTE or not image.is_queued:
        return None
    return parse_note(image.metadata.get(NOTE_KEY, ""), image.id)


def parse_note(text: str, image_id: str) -> Note | None:
    """Return what a text says as the note of an image; None if it cannot be read."""
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
    """Return the notes among images, by the server and the project that owns them.

    Of several of one server the last is the one that knows the most.
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
