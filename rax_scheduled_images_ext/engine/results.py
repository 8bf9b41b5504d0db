"""What has come of the steps of a look, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.engine.sweep import Leftover
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.note import Refusal
from rax_scheduled_images_ext.model.plan import IMAGEABLE, Cause, Step
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.operations.work_queue import Outcome

#: How long after it was due a missing image is nobody's fault: there is time for a
#: second attempt.
MARGIN = timedelta(hours=2)


class Result(Enum):
    """What has come of a step."""

    #: There was nothing to do.
    NOTHING = "nothing"
    #: The cloud is making the image.
    BEGUN = "image started"
    #: Another runner makes, or has made, the image.
    LEFT = "left to another runner"
    #: The limits on snapshots under way allow no more.
    LIMITED = "limit reached"
    #: The server is busy: it is tried again soon.
    BUSY = "server busy"
    #: All attempts have been used.
    GIVEN_UP = "given up"
    #: The project may have no more images: it is tried again, less and less often.
    QUOTA = "quota exceeded"
    #: It is not known whether the image is being made.
    UNKNOWN = "unknown whether started"
    #: An error has kept it from being done.
    FAILED = "failed"
    #: An image without data was deleted.
    DISCARDED = "empty image deleted"
    #: An image was deleted whose slot has another one.
    DEDUPLICATED = "duplicate image deleted"
    #: An image whose volume snapshots failed was deleted.
    BROKEN = "broken image deleted"
    #: It is not known whether an image is whole: it counts for nothing so far.
    UNPROVEN = "image not known to be complete"
    #: The retention was applied.
    RETAINED = "retention applied"


_FAILURES = (Result.FAILED, Result.QUOTA, Result.GIVEN_UP, Result.BROKEN)
# What keeps a server from being imaged, besides what a runner has seen itself.
_REASONS = frozenset(
    {
        Cause.BUSY,
        Cause.STATUS,
        Cause.MISSED,
        Cause.REFUSED,
        Cause.GIVEN_UP,
        Cause.HANGS,
        Cause.UNKNOWN_IMAGE,
        Cause.INVALID,
        Cause.UNKNOWN,
    }
)
_NOT_MADE = (
    Result.LEFT,
    Result.LIMITED,
    Result.BUSY,
    Result.UNKNOWN,
    Result.UNPROVEN,
)
# What does not pass by itself within minutes.
_TOLD = frozenset({Cause.INVALID, Cause.GIVEN_UP, Cause.MISSED})
# What only the owner of a server can change.
_OWNERS = frozenset({Cause.STATUS, Cause.INVALID})


@dataclass(frozen=True)
class StepResult:
    """A step, and what has come of it.

    ``pruned`` is what the retention has done, ``reason`` why a step failed, and
    ``request_id`` what the cloud calls the request that made the image.
    """

    step: Step
    result: Result
    image_id: str | None = None
    request_id: str | None = None
    reason: str | None = None
    pruned: tuple[PrunedImage, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether somebody should know that the step failed."""
        return self.result in _FAILURES or any(
            each.error is not None for each in self.pruned
        )

    @property
    def left(self) -> bool:
        """Whether something is due and was not done."""
        in_doubt = any(each.in_doubt for each in self.pruned)
        return in_doubt or self.step.cause in _REASONS or self.result in _NOT_MADE

    @property
    def for_owner(self) -> bool:
        """Whether only the owner of the server can do something about it."""
        note = self.step.note
        quota = note is not None and note.kind is Refusal.QUOTA
        status = self.step.server.status not in IMAGEABLE
        cause = self.step.cause
        return (
            self.result is Result.QUOTA
            or cause in _OWNERS
            or (cause is Cause.REFUSED and quota)
            # For such a reason it was missed, and will be again.
            or (cause is Cause.MISSED and (quota or status))
        )

    def is_overdue(self, now: datetime) -> bool:
        """Whether an image is refused, or missing though a second attempt had time."""
        note = self.step.note
        refused = self.left and note is not None and note.lasts
        if self.failed or refused or self.step.cause in _TOLD:
            return True
        slot, unsettled = self.step.slot, self.step.unsettled
        since = slot.due if slot else None
        if self.result is Result.UNPROVEN and unsettled:
            since = unsettled[-1].created
        return self.left and since is not None and now - since > MARGIN


@dataclass(frozen=True)
class Tick:
    """What was found at a moment, and what was done.

    ``now`` is the time that was decided by, ``servers`` are all that have a schedule,
    ``under_way`` is how many snapshots are, by project, and ``newest`` when the newest
    whole image of each server was made, as far as that is known. ``swept`` are images
    that were left behind, each with whether it was deleted, and ``leftovers`` volume
    snapshots that should be gone; ``problem`` is why these could not be listed.
    """

    now: datetime
    results: list[StepResult]
    servers: list[InventoryServer]
    under_way: Counter[str]
    newest: Mapping[str, datetime] = field(default_factory=dict)
    swept: list[Outcome[ServerImage, bool]] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    problem: str | None = None

    @property
    def failures(self) -> list[StepResult]:
        """The steps that failed."""
        return [result for result in self.results if result.failed]

    @property
    def left(self) -> list[StepResult]:
        """The steps that were due and not done, and did not fail."""
        return [each for each in self.results if each.left and not each.failed]

    def overdue(self, *, owners: bool) -> list[StepResult]:
        """Return the servers whose images are missing.

        :param owners: also those for which only the owner can do something.
        """
        return [
            each
            for each in self.results
            if each.is_overdue(self.now) and (owners or not each.for_owner)
        ]
