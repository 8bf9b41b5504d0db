"""What becomes of a server's images, in words; here alone are they worded.

What is decided is :mod:`.retention`'s. Two things are added that the rules do
not know: an image that the image service protects cannot be deleted, and an image
may carry the marker without being the scheduled images service's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .images import MARKER_KEY, ServerImage
from .retention import Reason, Verdict

#: What an image was protected from: its own id, a colon, and the marker's value.
#: The id is there because servers hand what their base image has on to their own
#: snapshots, which nobody has protected.
PROTECTED_KEY = "scheduled_images_ext_protected"
# Unix seconds have had nine digits or more since 1973. The capitals are not
# counted on: some documents of the service write its names without.
_SERVICE_NAME = re.compile(
    "(daily|weekly)-.+-[0-9]{9,11}", re.IGNORECASE | re.DOTALL | re.ASCII
)
_INHERITED = "; marker likely inherited from its base image"


def removed_marker(image: ServerImage) -> str | None:
    """Return the marker that protecting this image took away, None for none."""
    owner, _, marker = image.metadata.get(PROTECTED_KEY, "").partition(":")
    return marker or None if owner == image.id else None


def named_by_service(image: ServerImage) -> bool:
    """Whether the name is one that the scheduled images service gives.

    The server in it is not compared: it may have been called so once.
    """
    return _SERVICE_NAME.fullmatch(image.name) is not None


def stray(verdict: Verdict) -> bool:
    """Whether an image is counted that the service itself has likely not made.

    A server that was booted from a scheduled image hands the marker on to the
    snapshots that people make of it. That a counted image goes in its turn is
    certain; why it is marked is not: someone may have set the marker, or
    renamed the image.
    """
    return verdict.counted and not named_by_service(verdict.image)


def runs_left(verdict: Verdict) -> int | None:
    """Return how many more scheduled images make it go, None where it never goes."""
    return None if verdict.image.protected else verdict.runs_left


def next_to_go(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return what goes before all else that goes, in the order given."""
    verdicts = list(verdicts)
    soonest = min(filter(None, map(runs_left, verdicts)), default=None)
    return [v for v in verdicts if soonest is not None and runs_left(v) == soonest]


def fate(verdict: Verdict) -> str:
    """Return what becomes of an image.

    One of: kept for good, not counted, keeps, goes next, goes in N runs; a run
    is a scheduled image that turns ACTIVE.
    """
    if verdict.reason in (Reason.UNMARKED, Reason.OTHER_MARKER):
        return "kept for good"
    if not verdict.counted:
        return "not counted"
    left = runs_left(verdict)
    if left is None:
        return "keeps"
    return "goes next" if left == 1 else f"goes in {left} runs"


def reason(verdict: Verdict) -> str:
    """Return why that becomes of it."""
    if not verdict.counted:
        return _excuse(verdict)
    place = _place(verdict)
    if verdict.image.protected:
        place += "; cannot be deleted while protected in the image service"
    return place + (_INHERITED if stray(verdict) else "")


def _place(verdict: Verdict) -> str:
    """Return where a counted image stands."""
    if verdict.reason is Reason.NO_SCHEDULE:
        return "without a schedule nothing is deleted"
    if verdict.goes:
        return f"older than the newest {verdict.retention}"
    rank = "last" if verdict.rank == verdict.retention else f"number {verdict.rank}"
    return f"{rank} of the newest {verdict.retention}"


def _excuse(verdict: Verdict) -> str:
    """Return why an image is not counted."""
    image = verdict.image
    if verdict.reason is Reason.UNMARKED:
        return "protected" if removed_marker(image) else "not a scheduled image"
    return {
        Reason.OTHER_MARKER: f"marked '{image.metadata.get(MARKER_KEY)}'",
        Reason.NOT_ACTIVE: f"{image.status}, not ACTIVE",
        Reason.UNDATED: "without a time of creation it has no place in the order",
        Reason.FOREIGN: "not an image of this server",
        Reason.OTHER_OWNER: "not an image of the server's project"
        if image.owner
        else "not known to be an image of the server's project",
    }[verdict.reason]
