"""What happens to an image that is no longer protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rax_scheduled_images_ext.model.freshness import decide_on
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    PROTECTED_KEY,
    ServerImage,
    removed_marker,
)
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.retention import Decision, expires_in_runs
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.review import current_words, digest_of


@dataclass(frozen=True)
class Fate:
    """What happens to an image once its schedule counts it again.

    ``runs`` is after how many more scheduled images it is deleted, None if never, and
    ``when`` roughly when that is, None if it cannot be predicted. ``expiring`` are the
    images that the next scheduled image then deletes, oldest first.
    """

    decision: Decision
    schedule: str
    runs: int | None
    when: datetime | None
    expiring: Sequence[Decision]

    @property
    def digest(self) -> str:
        """A digest of what the page shows about it."""
        image = self.decision.image.id
        going = [each.image.id for each in self.expiring]
        return digest_of([image, self.schedule, str(self.runs), *going])


def fate_without_protection(details: ServerDetails, image: ServerImage) -> Fate:
    """Return what happens to an image of a server once the schedule counts it again."""
    metadata = {k: v for k, v in image.metadata.items() if k != PROTECTED_KEY}
    marker = removed_marker(image) or MARKER_VALUE
    counted = replace(image, metadata={**metadata, MARKER_KEY: marker})
    images = [
        counted if each.image.id == image.id else each.image for each in details.images
    ]
    server = details.server
    schedule = server.schedule
    decisions = decide_on(server, images, schedule.keep if schedule else None)
    decision = next(each for each in decisions if each.image.id == image.id)
    runs = expires_in_runs(decision)
    outlook = Outlook.of(decisions, schedule, details.now, details.status.next_due)
    return Fate(
        decision,
        current_words(schedule, server.invalid_tag),
        runs,
        outlook.until(decision),
        outlook.going_next[::-1],
    )
