"""The results of a scan's steps, as data."""

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
from rax_scheduled_images_ext.model.policies import PolicyChange
from rax_scheduled_images_ext.model.space import Spaces
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.operations.work_queue import Outcome

#: How long a missing image is due before it is overdue: time for a second attempt.
MARGIN = timedelta(hours=2)


class Result(Enum):
    """The result of a step."""

    #: There was nothing to do.
    NOTHING = "nothing"
    #: The cloud is making the image.
    STARTED = "image started"
    #: Another runner is making the image, or has made it.
    LEFT = "left to another runner"
    #: The limits on snapshots in progress allow no more.
    LIMITED = "limit reached"
    #: The server is busy: the next try is soon.
    BUSY = "server busy"
    #: All attempts have been used.
    GIVEN_UP = "given up"
    #: The project may have no more images: the attempts become less and less frequent.
    QUOTA = "quota exceeded"
    #: It is not known whether the image is being made.
    UNKNOWN = "unknown whether started"
    #: An error prevented it.
    FAILED = "failed"
    #: An image without data was deleted.
    DISCARDED = "empty image deleted"
    #: An image was deleted because its slot has another one.
    DEDUPLICATED = "duplicate image deleted"
    #: An image was deleted because its volume snapshots failed.
    BROKEN = "broken image deleted"
    #: It is not known whether an image is complete: it does not count yet.
    UNPROVEN = "image not known to be complete"
    #: The retention was applied.
    RETAINED = "retention applied"


_FAILURES = (Result.FAILED, Result.QUOTA, Result.GIVEN_UP, Result.BROKEN)
# The causes that prevent an image, besides those that a runner sees itself.
_REASONS = frozenset(
    {
        Cause.BUSY,
        Cause.SLOW,
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
# The causes that do not pass by themselves within minutes.
_LASTING = frozenset({Cause.INVALID, Cause.GIVEN_UP, Cause.MISSED})
# The causes that only the owner of a server can remove.
_OWNERS = frozenset({Cause.STATUS, Cause.INVALID})


@dataclass(frozen=True)
class StepResult:
    """A step and its result.

    ``pruned`` is what the retention did, ``reason`` why a step failed, and
    ``request_id`` the cloud's ID of the request for the image.
    """

    step: Step
    result: Result
    image_id: str | None = None
    request_id: str | None = None
    reason: str | None = None
    pruned: tuple[PrunedImage, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the step failed and should be reported."""
        return self.result in _FAILURES or any(
            each.error is not None for each in self.pruned
        )

    @property
    def left(self) -> bool:
        """Whether something is due but was not done."""
        in_doubt = any(each.in_doubt for each in self.pruned)
        return in_doubt or self.step.cause in _REASONS or self.result in _NOT_MADE

    @property
    def for_owner(self) -> bool:
        """Whether only the server's owner can fix it."""
        note = self.step.note
        quota = note is not None and note.kind is Refusal.QUOTA
        status = self.step.server.status not in IMAGEABLE
        cause = self.step.cause
        return (
            self.result is Result.QUOTA
            or cause in _OWNERS
            or (cause is Cause.REFUSED and quota)
            # The image was missed for such a reason, and will be missed again.
            or (cause is Cause.MISSED and (quota or status))
        )

    def is_overdue(self, now: datetime) -> bool:
        """Whether an image is refused, or missing after time for a second attempt."""
        note = self.step.note
        refused = self.left and note is not None and note.lasts
        if self.failed or refused or self.step.cause in _LASTING:
            return True
        unsettled = self.step.unsettled
        since = self.step.since
        if self.result is Result.UNPROVEN and unsettled:
            since = unsettled[-1].created
        return self.left and since is not None and now - since > MARGIN


@dataclass(frozen=True)
class Coverage:
    """What policies found, and what was done.

    ``unprotected`` is how many servers have no schedule and are not excepted, None if
    unknown, ``problem`` why the policies could not be used. ``vanished`` are the
    servers whose schedules somebody has taken away with all tags, and when the newest
    image of each was made. ``missing_projects`` are in the policies, but not in the
    cloud.
    """

    done: list[Outcome[PolicyChange, bool]] = field(default_factory=list)
    unprotected: int | None = None
    vanished: list[tuple[InventoryServer, datetime]] = field(default_factory=list)
    problem: str | None = None
    missing_projects: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome[PolicyChange, bool]]:
        """The changes that failed."""
        return [each for each in self.done if each.error is not None]


@dataclass(frozen=True)
class Tick:
    """What a scan found, and what was done.

    ``now`` is the time of the decisions, ``servers`` are all with a schedule,
    ``under_way`` counts the snapshots in progress by project, and ``newest`` is when
    the newest complete image of each server was made, where known. ``swept`` are images
    left behind, each with whether it was deleted, and ``leftovers`` volume snapshots
    that should be gone; ``problem`` is why these could not be listed. ``coverage`` is
    what policies did, None without any. ``spaces`` is what the images take, None if
    that was not read this time.
    """

    now: datetime
    results: list[StepResult]
    servers: list[InventoryServer]
    under_way: Counter[str]
    newest: Mapping[str, datetime] = field(default_factory=dict)
    swept: list[Outcome[ServerImage, bool]] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    problem: str | None = None
    spaces: Spaces | None = None
    coverage: Coverage | None = None

    @property
    def failures(self) -> list[StepResult]:
        """The steps that failed."""
        return [result for result in self.results if result.failed]

    @property
    def left(self) -> list[StepResult]:
        """The steps that were due, were not done, and did not fail."""
        return [each for each in self.results if each.left and not each.failed]

    def overdue(self, *, owners: bool) -> list[StepResult]:
        """Return the results for servers whose images are missing.

        :param owners: also those that only the owner can fix.
        """
        return [
            each
            for each in self.results
            if each.is_overdue(self.now) and (owners or not each.for_owner)
        ]
