"""What happens to an image that is no longer protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.retention import Decision, expires_in_runs
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.review import current_words
from rax_scheduled_images_ext.text import digest_of


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
    server = details.server
    decision, outlook = details.counted_again(image.id)
    runs = expires_in_runs(decision)
    return Fate(
        decision,
        current_words(server.schedule, server.invalid_tag),
        runs,
        outlook.until(decision),
        outlook.expiring,
    )
