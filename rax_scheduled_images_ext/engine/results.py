"""What has come of the steps of a look, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from rax_scheduled_images_ext.engine.look import Look
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.operations.work_queue import Outcome


class Result(Enum):
    """What has come of a step."""

    #: There was nothing to do.
    NOTHING = "nothing"
    #: The cloud is making the image.
    BEGUN = "image begun"
    #: Another runner makes, or has made, the image.
    LEFT = "left to another runner"
    #: The limits on snapshots under way allow no more.
    LIMITED = "limit reached"
    #: The server is busy: it is tried again at the next look.
    BUSY = "server busy"
    #: All tries have been used.
    GIVEN_UP = "given up"
    #: The project may have no more images: it is tried again at the next slot.
    QUOTA = "quota exceeded"
    #: It is not known whether the image is being made.
    UNKNOWN = "unknown whether begun"
    #: An error has kept it from being done.
    FAILED = "failed"
    #: An image without data was deleted.
    DISCARDED = "empty image deleted"
    #: An image was deleted whose slot has an older one.
    DEDUPLICATED = "duplicate image deleted"
    #: The retention was applied.
    RETAINED = "retention applied"


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
        return self.result in (Result.FAILED, Result.QUOTA, Result.GIVEN_UP) or any(
            each.error is not None for each in self.pruned
        )


@dataclass(frozen=True)
class Tick:
    """What was found at a moment, and what was done.

    ``now`` is the time that was decided by. ``swept`` are images that were left behind,
    each with whether it was deleted.
    """

    now: datetime
    look: Look
    results: list[StepResult]
    swept: list[Outcome[ServerImage, bool]] = field(default_factory=list)

    @property
    def failures(self) -> list[StepResult]:
        """The steps that failed."""
        return [result for result in self.results if result.failed]
