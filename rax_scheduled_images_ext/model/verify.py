"""Proving that an image boots: the test server, what was seen, and what is remembered.

A test server is made from the image, looked at and deleted. What was found out is
metadata of the image, so that whoever looks later knows it, and needs no memory of its
own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import Any

from rax_scheduled_images_ext.model.image import (
    VERIFIED_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.server import ServerFacts
from rax_scheduled_images_ext.model.slots import share_of
from rax_scheduled_images_ext.model.times import read_time, write_time
from rax_scheduled_images_ext.model.volume_snapshots import volumes_of_snapshots
from rax_scheduled_images_ext.text import printable

#: The tag of every test server; another one names the image after a colon.
TEST_TAG = "scheduled-images-verify"
#: A test server's metadata: the image's ID, for how many seconds it may be needed, and
#: what no other test server has.
TEST_KEY = "scheduled_images_verify"
#: How long beyond that a test server is left alone: clocks differ, deletions take time.
MARGIN = timedelta(minutes=10)
#: What a console shows when a guest is up, if nothing else is asked for.
LOGIN = re.compile(r"\blogin:")

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = re.compile(rf"{TEST_TAG}-[0-9a-f]{{8}}-[0-9a-f]{{8}}", re.ASCII)
_MARK = re.compile(rf"({_UUID}):([0-9]{{1,9}}):[0-9a-f]{{32}}", re.ASCII)
_RECORD = re.compile(
    rf"({_UUID}):({_UUID}):(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ):([a-z]+):(.*)",
    re.ASCII | re.DOTALL,
)
# Nova hands at most 255 characters on, and a listing carries this for every image.
_LONGEST_SEEN = 120
_FAILED = "failed"
# What the compute service says of a server in ERROR if that is its image's fault.
# Whatever else it says may be a host's, a network's or a quota's.
_IMAGES_FAULT = re.compile(
    "is unacceptable|corrupt|checksum|not bootable|invalid image|image format"
    "|qemu-img|unable to convert",
    re.IGNORECASE,
)
_CLOUDS_FAULT = re.compile(
    "no space|no valid host|quota|timed? ?out|connection", re.IGNORECASE
)
_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\r")


class Level(IntEnum):
    """How much was seen of a test server; each is worth more than the one before."""

    #: The server was ACTIVE, which proves little.
    BOOTED = 1
    #: Its console showed what was expected.
    CONSOLE = 2
    #: A command was content with it.
    COMMAND = 3

    @property
    def word(self) -> str:
        """The level as it is written."""
        return self.name.lower()


#: The levels by their words.
LEVELS = {level.word: level for level in Level}


class Finding(Enum):
    """The result of an attempt to prove an image."""

    PROVEN = "proven"
    FAILED = "failed"
    #: It says nothing about the image: it could not be tried, or not to the end.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verification:
    """The last proof of a server's images.

    ``image_id`` is the image that was booted, ``level`` what was reached, None for a
    proof that failed, ``seen`` what was seen last.
    """

    image_id: str
    time: datetime
    level: Level | None
    seen: str = ""

    @property
    def word(self) -> str:
        """The level as it is written, or that the proof failed."""
        return _FAILED if self.level is None else self.level.word

    @property
    def failed(self) -> bool:
        """Whether the image did not boot."""
        return self.level is None

    def satisfies(self, level: Level, within: timedelta, now: datetime) -> bool:
        """Whether so much was proven, and not too long ago."""
        return (
            self.level is not None and self.level >= level and now - self.time <= within
        )


def verified_metadata(image_id: str, found: Verification) -> dict[str, str]:
    """Return what an image carries of the last proof of its server's images.

    Its own ID comes first: on another image, which has inherited it, it says nothing.
    """
    seen = shortened(found.seen)
    parts = (image_id, found.image_id, write_time(found.time), found.word, seen)
    return {VERIFIED_KEY: ":".join(map(str, parts))}


def verification_of(image: ServerImage) -> Verification | None:
    """Return what an image says of the last proof, None if it says nothing.

    Anybody who may change the image may write anything there.
    """
    text = image.metadata.get(VERIFIED_KEY)
    found = _RECORD.fullmatch(text) if text else None
    if not found or found[1] != image.id:
        return None
    time, level = read_time(found[3]), LEVELS.get(found[4])
    if time is None or (level is None and found[4] != _FAILED):
        return None
    return Verification(found[2], time, level, found[5])


def proofs_of(
    images: Iterable[ServerImage], project_id: str | None
) -> dict[str, Verification]:
    """Return the last proof of each image, by its ID, as far as any of them says.

    Only images of the server's own project are believed: others can publish images that
    seem to be the server's.
    """
    found: dict[str, Verification] = {}
    # Few images have one, and there may be very many.
    own = [
        each
        for each in images
        if VERIFIED_KEY in each.metadata and project_id and each.owner == project_id
    ]
    for known in filter(None, map(verification_of, own)):
        other = found.get(known.image_id)
        if other is None or other.time <= known.time:
            found[known.image_id] = known
    return found


def last_verification(
    images: Iterable[ServerImage], project_id: str | None
) -> Verification | None:
    """Return the last proof of the images of a server, None if there was none.

    :param project_id: as for :func:`proofs_of`.
    """
    found = proofs_of(images, project_id).values()
    return max(found, key=lambda each: each.time, default=None)


def shortened(text: str) -> str:
    """Return what was seen as a short line of ASCII."""
    line = printable(" ".join(_CODES.sub("", text).split()))
    line = line.encode("ascii", "backslashreplace").decode()
    return line if len(line) <= _LONGEST_SEEN else line[: _LONGEST_SEEN - 3] + "..."


def last_line(console: str) -> str:
    """Return the last line of a console that shows anything, empty for none."""
    lines = (line.strip() for line in _CODES.sub("", console).splitlines())
    return next((line for line in reversed(list(lines)) if line), "")


def expected_line(console: str, expected: re.Pattern[str]) -> str | None:
    """Return the line of a console with what is expected, None if it is not there."""
    text = _CODES.sub("", console)
    found = expected.search(text)
    if found is None:
        return None
    begin = text.rfind("\n", 0, found.start()) + 1
    return text[begin : max(found.end(), begin)].strip() or found[0]


def blames_image(fault: str | None) -> bool:
    """Whether a server is in ERROR since its image cannot be booted."""
    text = fault or ""
    return bool(_IMAGES_FAULT.search(text)) and not _CLOUDS_FAULT.search(text)


# -- when a server's turn is

_DAY = timedelta(days=1)
# For how long after its beginning a turn is found without the proofs of all servers:
# what could not be tried is tried again on the next days.
_TURN = timedelta(days=3)


def began(server_id: str, every: timedelta, now: datetime) -> datetime:
    """Return since when it is a server's turn to have an image proven.

    The turns are spread evenly over the interval, and follow from the ID alone.
    """
    length = every.total_seconds()
    passed = (now.timestamp() - share_of(server_id) * length) % length
    return now - timedelta(seconds=passed)


def is_turn(server_id: str, every: timedelta, now: datetime) -> bool:
    """Whether a server's turn has begun in the last days."""
    return now - began(server_id, every, now) < _TURN


def is_due(
    known: Verification | None, server_id: str, every: timedelta, now: datetime
) -> bool:
    """Whether no image of a server was proven since its turn began.

    :param known: the last proof, None for none.
    """
    return known is None or known.time < began(server_id, every, now)


def most_a_day(servers: int, every: timedelta) -> int:
    """Return how many servers are proven a day, so that all have their turn."""
    return int(servers * (_DAY / every)) + 1


def due_proofs(
    known: Mapping[str, Verification | None], every: timedelta, now: datetime
) -> list[str]:
    """Return the servers whose images are to be proven today, the most urgent first.

    :param known: the last proof of each server, None for none.
    """
    recent = sum(each is not None and now - each.time < _DAY for each in known.values())
    due = [
        (each.time.timestamp() if each else 0.0, server_id)
        for server_id, each in known.items()
        if is_due(each, server_id, every, now)
    ]
    free = max(0, most_a_day(len(known), every) - recent)
    return [server_id for _, server_id in sorted(due)[:free]]


# -- the test server


def name_of_test(image_id: str, nonce: str) -> str:
    """Return the name of a test server, by which lists find it and pass it over."""
    return f"{TEST_TAG}-{image_id[:8]}-{nonce[:8]}"


def is_test_server(name: str) -> bool:
    """Whether a server is called as test servers are."""
    return _NAME.fullmatch(name) is not None


def tags_of_test(image_id: str) -> list[str]:
    """Return the tags of a test server."""
    return [TEST_TAG, f"{TEST_TAG}:{image_id}"]


def metadata_of_test(image_id: str, seconds: float, nonce: str) -> dict[str, str]:
    """Return the metadata of a test server that is needed for so many seconds."""
    return {TEST_KEY: f"{image_id}:{int(seconds)}:{nonce}"}


def devices_of_test(image: ServerImage) -> list[dict[str, Any]]:
    """Return the volumes of a test server, so that they are deleted with it.

    :returns: nothing for an image that has its data itself.
    :raises SnapshotsInDoubt: for an image whose volumes could not be deleted with the
        server, or are not made from snapshots.
    """
    return [
        {**volume, "delete_on_termination": True}
        for volume in volumes_of_snapshots(image)
    ]


def _needed(server: ServerFacts) -> tuple[str, timedelta] | None:
    """Return the image of a test server and how long it may be needed.

    :returns: None for any other server.
    """
    mark = _MARK.fullmatch(server.metadata.get(TEST_KEY, ""))
    if not mark or not is_test_server(server.name):
        return None
    return mark[1], timedelta(seconds=int(mark[2])) + MARGIN


def is_under_way(server: ServerFacts, now: datetime) -> bool:
    """Whether a server is a test server that somebody may still look at."""
    found = _needed(server)
    return found is not None and (
        server.created is None or now - server.created <= found[1]
    )


def image_of_left_behind(server: ServerFacts, now: datetime) -> str | None:
    """Return the image that a test server names, if its proof must be over by now.

    :returns: None for any other server.
    """
    found = _needed(server)
    if found is None or server.created is None or now - server.created <= found[1]:
        return None
    return found[0]


def is_made_by(
    server: ServerFacts, image_id: str, user_id: str | None, project_id: str | None
) -> bool:
    """Whether a user has made a test server, as far as all of it says so.

    Whether it boots from the image is still to be seen if it boots from a volume.
    """
    is_tagged = server.tags is None or set(tags_of_test(image_id)) <= set(server.tags)
    is_own = None not in (user_id, project_id) and (user_id, project_id) == (
        server.user_id,
        server.project_id,
    )
    return is_tagged and is_own and server.image_id in (image_id, "")
