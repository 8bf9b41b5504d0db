"""Which images of a server are kept, which are deleted, and why.

Of the images that count those stay that a rule of the schedule keeps, such as the
newest N; all others are deleted, and no other image is ever touched. Which images count
depends on the service that makes them. No clock is needed: the images decide.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    PENDING_KEY,
    RUN_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    age_order,
    inherited_copies,
    named_by_service,
    original_of,
    removed_marker,
)
from rax_scheduled_images_ext.model.keep import Keep, KeptBy, kept_words
from rax_scheduled_images_ext.model.volume_snapshots import is_empty

_INHERITED = "; marker likely inherited from its base image"


class Rules(Enum):
    """Which images of a server count: the rules of the service that makes them."""

    #: This package's: its own snapshots that are known to be complete.
    OURS = "ours"
    #: Rackspace's own: every image that is ACTIVE and carries the marker.
    RACKSPACE = "rackspace"


class Reason(Enum):
    """Why an image is kept or deleted."""

    #: Among the newest N, where N is the retention.
    NEWEST = "newest"
    #: Kept by a rule of the schedule, or by several.
    RULE = "rule"
    #: Kept by no rule, such as older than the newest N, but the server boots from it:
    #: rebuilding and moving the server may need it.
    BOOTED_FROM = "booted_from"
    #: Kept by no rule, such as older than the newest N: deleted the next time the
    #: retention is applied.
    SURPLUS = "surplus"
    #: Its server is gone, and somebody wants its images deleted.
    GONE = "gone"
    #: There is no schedule, so nothing is deleted.
    NO_SCHEDULE = "no_schedule"
    #: It has no marker: kept for good.
    UNMARKED = "unmarked"
    #: Its marker has another value: kept for good.
    OTHER_MARKER = "other_marker"
    #: Not a snapshot, but for example an image of ``nova backup``, which rotates its
    #: images itself.
    NOT_A_SNAPSHOT = "not_a_snapshot"
    #: The image service omits it from lists.
    HIDDEN = "hidden"
    #: It inherited the properties of the image that its server was booted from.
    INHERITED = "inherited"
    #: Not ACTIVE: neither counted nor deleted.
    NOT_ACTIVE = "not_active"
    #: It has no readable creation time, so its place in the order is unknown.
    UNDATED = "undated"
    #: It holds neither data nor volume snapshots.
    EMPTY = "empty"
    #: Not yet known to be complete: ACTIVE alone is not enough.
    PENDING = "pending"
    #: An image of another server, or of none.
    FOREIGN = "foreign"
    #: Not known to belong to the server's project: anyone can publish an image that
    #: names the server and carries the marker.
    OTHER_OWNER = "other_owner"


@dataclass(frozen=True)
class Decision:
    """What becomes of one image.

    ``keep`` is what was to be kept, None without a schedule, and ``kept_by`` are its
    rules that keep the image. ``rank`` is the image's place among the counted ones, 1
    for the newest, None if it is not counted. ``rules`` say which images count,
    ``base_image`` is the ID of the image that the server boots from, None if unknown.
    Where rules of the calendar decide, ``until`` is about when it is deleted, None if
    never or not known, and ``goes_next`` whether with the next scheduled image: see
    :meth:`.Outlook.dated`.
    """

    image: ServerImage
    reason: Reason
    keep: Keep | None
    rank: int | None = None
    kept_by: tuple[KeptBy, ...] = ()
    rules: Rules = Rules.OURS
    base_image: str | None = None
    until: datetime | None = None
    goes_next: bool = False

    @property
    def is_base(self) -> bool:
        """Whether the server boots from the image, so that it is not deleted."""
        return self.rules is Rules.OURS and self.image.id == self.base_image

    @property
    def counted(self) -> bool:
        """Whether the image counts towards the retention."""
        return self.rank is not None

    @property
    def is_never_deleted(self) -> bool:
        """Whether nobody deletes the image, even if no rule keeps it.

        The image service does not delete a protected image, and the image that the
        server boots from is kept.
        """
        return self.image.protected or self.is_base

    @property
    def surplus(self) -> bool:
        """Whether applying the retention now would delete the image."""
        return self.reason in (Reason.SURPLUS, Reason.GONE)

    @property
    def expires_in_runs(self) -> int | None:
        """After how many more scheduled images it is deleted, 1 if it expires next.

        None if never, and if rules other than a number decide: then the calendar does,
        see :mod:`.outlook`.
        """
        if self.rank is None or self.keep is None:
            return None
        if not self.kept_by or self.goes_next:
            return 1
        number = self.keep.number
        return None if number is None else number - self.rank + 1


def apply_policy(
    images: Iterable[ServerImage],
    server_id: str,
    keep: Keep | int | None,
    project_id: str | None,
    *,
    rules: Rules = Rules.OURS,
    proven: Container[str] = (),
    base_image: str | None = None,
) -> list[Decision]:
    """Decide on each image.

    :param images: any images, in any order; those of other servers are called foreign.
    :param server_id: the server whose retention is applied.
    :param keep: what stays, by rules or as a number of the newest; None if there is no
        schedule (or it could not be read): then nothing is deleted.
    :param project_id: the server's project, None if unknown: then no image counts.
    :param rules: which images count.
    :param proven: the IDs of images that are known to be complete, although their
        metadata does not say so yet.
    :param base_image: the ID of the image that the server boots from: it is counted,
        and not deleted.
    :returns: a decision for each image, newest first; equal times are ordered by ID.
    :raises ValueError: if nothing would be kept.
    """
    if keep is not None:
        keep = Keep.of(keep)
        if min(vars(keep).values()) < 0 or not keep:
            message = f"retention {keep.last} would keep nothing: the minimum is 1"
            raise ValueError(message)
    images = sorted(images, key=age_order, reverse=True)
    copies: Container[str] = ()
    if rules is Rules.OURS:
        # Of the others some are in one list and not in another.
        copies = inherited_copies(each for each in images if _is_listed(each))
    excuses = [
        _foreign(image, server_id, project_id)
        or _uncounted(image, rules, copies, proven)
        for image in images
    ]
    counted = [
        image.created
        for image, excuse in zip(images, excuses, strict=True)
        if excuse is None and image.created is not None
    ]
    kept = iter(keep.decide(counted) if keep else [()] * len(counted))
    kept_as = Reason.NEWEST if keep and keep.number is not None else Reason.RULE
    decisions, rank = [], 0
    for image, excuse in zip(images, excuses, strict=True):
        if excuse is not None:
            decisions.append(Decision(image, excuse, keep, rules=rules))
            continue
        rank += 1
        decisions.append(
            _ranked(
                image,
                keep,
                rank,
                next(kept),
                kept_as,
                rules=rules,
                base_image=base_image,
            )
        )
    return decisions


def surplus(
    images: Iterable[ServerImage],
    server_id: str,
    keep: Keep | int | None,
    project_id: str | None,
    *,
    rules: Rules = Rules.OURS,
) -> list[ServerImage]:
    """Return the images to delete if the retention is applied now, oldest first.

    The parameters are those of :func:`apply_policy`.

    :raises ValueError: if nothing would be kept.
    """
    decisions = apply_policy(images, server_id, keep, project_id, rules=rules)
    return [decision.image for decision in reversed(decisions) if decision.surplus]


def _foreign(
    image: ServerImage, server_id: str, project_id: str | None
) -> Reason | None:
    """Return why an image does not belong to the server's schedule."""
    if image.server_id != server_id:
        return Reason.FOREIGN
    if image.owner is None or image.owner != project_id:
        return Reason.OTHER_OWNER
    if not image.scheduled:
        marked = MARKER_KEY in image.metadata
        return Reason.OTHER_MARKER if marked else Reason.UNMARKED
    return None


def _uncounted(
    image: ServerImage, rules: Rules, copies: Container[str], proven: Container[str]
) -> Reason | None:
    """Return why a marked image of the server does not count."""
    if rules is Rules.RACKSPACE:
        return _not_active(image)
    return _not_ours(image, copies) or _not_active(image) or _not_whole(image, proven)


def _not_ours(image: ServerImage, copies: Container[str]) -> Reason | None:
    """Return why this package's service does not count a marked image as its own."""
    if image.metadata.get(TYPE_KEY) != SNAPSHOT:
        return Reason.NOT_A_SNAPSHOT
    if image.hidden:
        return Reason.HIDDEN
    return Reason.INHERITED if image.id in copies or _may_be_copy(image) else None


def _may_be_copy(image: ServerImage) -> bool:
    """Whether an image names a run, but neither it nor its name shows that it is its.

    The image that it is a copy of may be gone.
    """
    unsure = RUN_KEY in image.metadata and original_of(image) is None
    return unsure and not named_by_service(image)


def _is_listed(image: ServerImage) -> bool:
    """Whether the list of all snapshots includes an image."""
    return image.metadata.get(TYPE_KEY) == SNAPSHOT and not image.hidden


def _not_active(image: ServerImage) -> Reason | None:
    if image.status != "ACTIVE":
        return Reason.NOT_ACTIVE
    return Reason.UNDATED if image.created is None else None


def _not_whole(image: ServerImage, proven: Container[str] = ()) -> Reason | None:
    """Return why an ACTIVE image is not known to be complete."""
    if is_empty(image):
        return Reason.EMPTY
    pending = PENDING_KEY in image.metadata and image.id not in proven
    return Reason.PENDING if pending else None


def shows_work(decision: Decision) -> bool:
    """Whether an image shows that the service is working.

    An image whose marker someone removed to keep it still does.
    """
    image = decision.image
    if decision.counted:
        return True
    made = kept_for_good(decision) and named_by_service(image)
    if not made or _not_active(image) is not None:
        return False
    if decision.rules is Rules.RACKSPACE:
        return True
    return original_of(image) in (None, image.id) and _not_whole(image) is None


def kept_for_good(decision: Decision) -> bool:
    """Whether no schedule ever deletes an image, because it has no marker."""
    return decision.reason in (Reason.UNMARKED, Reason.OTHER_MARKER)


def _ranked(
    image: ServerImage,
    keep: Keep | None,
    rank: int,
    kept_by: tuple[KeptBy, ...],
    kept_as: Reason,
    *,
    rules: Rules,
    base_image: str | None,
) -> Decision:
    """Decide on an image that counts.

    :param kept_as: the reason if any rule keeps it.
    """
    if keep is None:
        reason = Reason.NO_SCHEDULE
    elif kept_by:
        reason = kept_as
    elif rules is Rules.OURS and image.id == base_image:
        reason = Reason.BOOTED_FROM
    else:
        reason = Reason.SURPLUS
    return Decision(image, reason, keep, rank, kept_by, rules, base_image)


def has_inherited_marker(decision: Decision) -> bool:
    """Whether an image is counted that the service itself probably did not make.

    Snapshots that people take of a server booted from a scheduled image inherit the
    marker. Such an image is certainly deleted in its turn, but why it has the marker is
    uncertain: someone may have set the marker, or renamed the image.
    """
    image = decision.image
    known = named_by_service(image) or original_of(image) == image.id
    return decision.counted and not known


def expires_in_runs(decision: Decision) -> int | None:
    """Return after how many more scheduled images it is deleted, None if never."""
    return None if decision.is_never_deleted else decision.expires_in_runs


def retention_status(decision: Decision) -> str:
    """Return the retention status of an image.

    One of: kept (exempt), not counted, kept, expires next, expires in N runs; a run is
    a scheduled image that becomes ACTIVE. Where rules of the calendar decide, it is
    kept until about a day.
    """
    if kept_for_good(decision):
        return "kept (exempt)"
    if not decision.counted:
        return "not counted"
    left = expires_in_runs(decision)
    if left is None:
        until = until_words(decision)
        return f"kept until about {until}" if until else "kept"
    return "expires next" if left == 1 else f"expires in {left} runs"


def until_words(decision: Decision) -> str | None:
    """Return the day on which an image is deleted, such as ``6 December``.

    The year is that in which it was made, or is named. None if there is no such day.
    """
    until, created = decision.until, decision.image.created
    if until is None or created is None:
        return None
    year = "" if until.year == created.year else f" {until.year}"
    return f"{until.day} {until:%B}{year}"


def reason(decision: Decision) -> str:
    """Return the reason in words."""
    if not decision.counted:
        return _excuse(decision)
    place = _place(decision)
    if decision.image.protected:
        place += "; cannot be deleted while protected in the image service"
    elif decision.is_base:
        whose = "a" if decision.reason is Reason.GONE else "the"
        place += f"; not deleted: {whose} server boots from it"
    return place + (_INHERITED if has_inherited_marker(decision) else "")


def _place(decision: Decision) -> str:
    """Return why a counted image stays or goes, in words."""
    if decision.reason is Reason.GONE:
        if decision.keep is None:
            return "its server is gone"
        older = _older_than(decision.keep)
        also = older if decision.keep.number is None else f"it is {older}"
        return f"its server is gone, and {also}"
    if decision.keep is None:
        return "no schedule, so nothing is deleted"
    if not decision.kept_by:
        return _older_than(decision.keep)
    assert decision.image.created is not None
    return kept_words(decision.kept_by, decision.image.created)


def _older_than(keep: Keep) -> str:
    """Return why an image is kept by none of some rules."""
    number = keep.number
    if number is None:
        return "no rule keeps it"
    return f"older than the newest {number}".removesuffix(" 1")


def _excuse(decision: Decision) -> str:
    """Return why an image is not counted."""
    image = decision.image
    if decision.reason is Reason.UNMARKED:
        return "protected" if removed_marker(image) else "not a scheduled image"
    kind = image.metadata.get(TYPE_KEY)
    return {
        Reason.OTHER_MARKER: f"marked '{image.metadata.get(MARKER_KEY)}'",
        Reason.NOT_A_SNAPSHOT: f"its {TYPE_KEY} is '{kind}', not '{SNAPSHOT}'"
        if kind
        else f"it has no {TYPE_KEY}",
        Reason.HIDDEN: "hidden in the image service",
        Reason.INHERITED: "not made by the schedule: it has the marker of"
        f" {_original(image)}",
        Reason.EMPTY: "empty: it has neither data nor volume snapshots",
        Reason.PENDING: "not yet known to be complete",
        Reason.NOT_ACTIVE: f"{image.status}, not ACTIVE",
        Reason.UNDATED: "no creation time, so its place in the order is unknown",
        Reason.FOREIGN: "not an image of this server",
        Reason.OTHER_OWNER: "not an image of the server's project"
        if image.owner
        else "not known to be an image of the server's project",
    }[decision.reason]


def _original(image: ServerImage) -> str:
    """Return the image whose properties an image inherited, in words."""
    original = original_of(image)
    return "its base image" if original is None else f"image {original}"
