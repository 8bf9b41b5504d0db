"""What becomes of a server's images, in words; here alone are they worded.

What is decided is :mod:`.retention`'s. Two things are added that the rules do
not know: an image that the image service protects cannot be deleted, and an image
may carry the marker without being the scheduled images service's.
"""

from __future__ import annotations

from collections.abc import Iterable

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    named_by_service,
    removed_marker,
)
from rax_scheduled_images_ext.model.retention import Decision, Reason

_INHERITED = "; marker likely inherited from its base image"


def has_inherited_marker(decision: Decision) -> bool:
    """Whether an image is counted that the service itself has likely not made.

    A server that was booted from a scheduled image hands the marker on to the
    snapshots that people make of it. That a counted image goes in its turn is
    certain; why it is marked is not: someone may have set the marker, or
    renamed the image.
    """
    return decision.counted and not named_by_service(decision.image)


def expires_in_runs(decision: Decision) -> int | None:
    """Return how many more scheduled images make it go, None where it never goes."""
    return None if decision.image.protected else decision.expires_in_runs


def next_to_expire(decisions: Iterable[Decision]) -> list[Decision]:
    """Return what goes before all else that goes, in the order given."""
    decisions = list(decisions)
    soonest = min(filter(None, map(expires_in_runs, decisions)), default=None)
    return [
        v for v in decisions if soonest is not None and expires_in_runs(v) == soonest
    ]


def retention_status(decision: Decision) -> str:
    """Return the retention status of an image.

    One of: kept (exempt), not counted, kept, expires next, expires in N runs; a run
    is a scheduled image that turns ACTIVE.
    """
    if decision.reason in (Reason.UNMARKED, Reason.OTHER_MARKER):
        return "kept (exempt)"
    if not decision.counted:
        return "not counted"
    left = expires_in_runs(decision)
    if left is None:
        return "kept"
    return "expires next" if left == 1 else f"expires in {left} runs"


def reason(decision: Decision) -> str:
    """Return why that becomes of it."""
    if not decision.counted:
        return _excuse(decision)
    place = _place(decision)
    if decision.image.protected:
        place += "; cannot be deleted while protected in the image service"
    return place + (_INHERITED if has_inherited_marker(decision) else "")


def _place(decision: Decision) -> str:
    """Return where a counted image stands."""
    if decision.reason is Reason.NO_SCHEDULE:
        return "without a schedule nothing is deleted"
    if decision.goes:
        return f"older than the newest {decision.retention}"
    rank = "last" if decision.rank == decision.retention else f"number {decision.rank}"
    return f"{rank} of the newest {decision.retention}"


def _excuse(decision: Decision) -> str:
    """Return why an image is not counted."""
    image = decision.image
    if decision.reason is Reason.UNMARKED:
        return "protected" if removed_marker(image) else "not a scheduled image"
    return {
        Reason.OTHER_MARKER: f"marked '{image.metadata.get(MARKER_KEY)}'",
        Reason.NOT_ACTIVE: f"{image.status}, not ACTIVE",
        Reason.UNDATED: "without a time of creation it has no place in the order",
        Reason.FOREIGN: "not an image of this server",
        Reason.OTHER_OWNER: "not an image of the server's project"
        if image.owner
        else "not known to be an image of the server's project",
    }[decision.reason]
