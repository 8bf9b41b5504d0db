"""Which images of a server are kept, which are removed, and why.

The rules are those of the scheduled images service: of a server's images that
carry the marker, are ACTIVE and belong to the server's project the newest N stay,
all older ones go, and no other image is ever touched. A clock is not needed: age
never decides, order does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    ServerImage,
    named_by_service,
    removed_marker,
)

_INHERITED = "; marker likely inherited from its base image"


class Reason(Enum):
    """Why an image is kept or removed."""

    #: Among the newest N, N being the retention.
    NEWEST = "newest"
    #: Older than the newest N: removed the next time the retention is applied.
    SURPLUS = "surplus"
    #: There is no schedule, so nothing is deleted.
    NO_SCHEDULE = "no_schedule"
    #: The marker is not there: kept for good.
    UNMARKED = "unmarked"
    #: The marker has another value: kept for good.
    OTHER_MARKER = "other_marker"
    #: Not ACTIVE: neither counted nor deleted.
    NOT_ACTIVE = "not_active"
    #: It has no readable creation time, so its place in the order is not known.
    UNDATED = "undated"
    #: An image of another server, or of none.
    FOREIGN = "foreign"
    #: Not known to belong to the server's project: anybody can publish an image that
    #: names the server and carries the marker.
    OTHER_OWNER = "other_owner"


@dataclass(frozen=True)
class Decision:
    """What becomes of one image.

    ``rank`` is its place among the counted images, 1 being the newest, and
    None where it is not counted. ``expires_in_runs`` is how many more scheduled
    images delete it (1: it expires next), None where none does.
    """

    image: ServerImage
    reason: Reason
    retention: int | None
    rank: int | None = None
    expires_in_runs: int | None = None

    @property
    def counted(self) -> bool:
        """Whether the image takes one of the places that the retention gives."""
        return self.rank is not None

    @property
    def surplus(self) -> bool:
        """Whether applying the retention now removes the image."""
        return self.reason is Reason.SURPLUS


def apply_policy(
    images: Iterable[ServerImage],
    server_id: str,
    retention: int | None,
    project_id: str | None,
) -> list[Decision]:
    """Decide on each image.

    :param images: any images, in any order; those of other servers are named
        foreign.
    :param server_id: the server whose retention it is.
    :param retention: how many images stay, 1 or more; None where there is no
        schedule (or none that could be read), and then nothing is removed.
    :param project_id: the server's project; None where it is not known, and then
        no image counts.
    :returns: a decision for each image, newest image first; equal times are
        settled by id.
    :raises ValueError: for a retention below 1.
    """
    if retention is not None and retention < 1:
        raise ValueError(f"retention {retention} would keep nothing: 1 is the least")
    decisions = []
    rank = 0
    for image in sorted(images, key=_age_order, reverse=True):
        excuse = _uncounted(image, server_id, project_id)
        if excuse is not None:
            decisions.append(Decision(image, excuse, retention))
            continue
        rank += 1
        decisions.append(_ranked(image, rank, retention))
    return decisions


def surplus(
    images: Iterable[ServerImage],
    server_id: str,
    retention: int | None,
    project_id: str | None,
) -> list[ServerImage]:
    """Return the images that go when the retention is applied now, oldest first.

    :raises ValueError: for a retention below 1.
    """
    decisions = apply_policy(images, server_id, retention, project_id)
    return [decision.image for decision in reversed(decisions) if decision.surplus]


def _age_order(image: ServerImage) -> tuple[float, str]:
    return (image.created.timestamp() if image.created else 0.0, image.id)


def _uncounted(
    image: ServerImage, server_id: str, project_id: str | None
) -> Reason | None:
    if image.server_id != server_id:
        return Reason.FOREIGN
    if image.owner is None or image.owner != project_id:
        return Reason.OTHER_OWNER
    if not image.scheduled:
        marked = MARKER_KEY in image.metadata
        return Reason.OTHER_MARKER if marked else Reason.UNMARKED
    if image.status != "ACTIVE":
        return Reason.NOT_ACTIVE
    if image.created is None:
        return Reason.UNDATED
    return None


def _ranked(image: ServerImage, rank: int, retention: int | None) -> Decision:
    if retention is None:
        return Decision(image, Reason.NO_SCHEDULE, retention, rank)
    reason = Reason.NEWEST if rank <= retention else Reason.SURPLUS
    return Decision(image, reason, retention, rank, max(1, retention - rank + 1))


def has_inherited_marker(decision: Decision) -> bool:
    """Whether an image is counted that the service itself has likely not made.

    A server that was booted from a scheduled image hands the marker on to the
    snapshots that people make of it. That a counted image goes in its turn is
    certain; why it is marked is not: someone may have set the marker, or
    renamed the image.
    """
    return decision.counted and not named_by_service(decision.image)


def expires_in_runs(decision: Decision) -> int | None:
    """Return how many more scheduled images delete it, None where none does.

    The image service deletes no image that it protects.
    """
    return None if decision.image.protected else decision.expires_in_runs


def next_to_expire(decisions: Iterable[Decision]) -> list[Decision]:
    """Return what expires before all else, in the order given."""
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
    """Return why, in words."""
    if not decision.counted:
        return _excuse(decision)
    place = _place(decision)
    if decision.image.protected:
        place += "; cannot be deleted while protected in the image service"
    return place + (_INHERITED if has_inherited_marker(decision) else "")


def _place(decision: Decision) -> str:
    """Return the place of a counted image."""
    if decision.reason is Reason.NO_SCHEDULE:
        return "without a schedule nothing is deleted"
    if decision.surplus:
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
