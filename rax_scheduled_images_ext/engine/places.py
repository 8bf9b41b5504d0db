"""Places among the snapshots under way, for processes that know nothing of each other.

A process announces that it wants a place by making an empty image. Only then it counts:
the images that are being made, and the empty images of others. So of any two that go
on, one has counted the other, and the limits are never exceeded. Where too many have
announced themselves at once, those that came last withdraw.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.engine.limits import Limits, being_made, under_way
from rax_scheduled_images_ext.model.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    PLACE,
    ServerImage,
    claim_metadata,
)
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE
from rax_scheduled_images_ext.model.times import write_time

#: How old the empty image of a process that has died is when it no longer counts.
_STALE = CLOCK_DIFFERENCE
# How often, and after how many seconds at most, a crowd is looked at again.
_LOOKS, _PAUSE = 20, 0.3


@dataclass
class Places:
    """A place for one snapshot of a server; a context that gives it back.

    :param images: the images of the server's project.
    :param listing: the images of all projects that the limits are for.
    :param now: the present time, by the cloud's clock.
    """

    limits: Limits
    images: GlanceImages
    listing: ImageStore
    server_id: str
    now: datetime
    sleep: Callable[[float], object] = time.sleep
    #: The images that were being made when the place was taken.
    making: list[ServerImage] = field(default_factory=list)
    _id: str | None = None

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._withdraw()

    def enter(self, project_id: str) -> bool:
        """Take a place for a snapshot of a project; False if there is none."""
        self._id = str(uuid.uuid4())
        properties = claim_metadata(self.server_id, PLACE)
        self.images.reserve(self._id, f"place for {self.server_id}", properties)
        for _ in range(_LOOKS):
            self.making = being_made(self.listing)
            answer = self._judge(project_id)
            if answer is not None:
                return answer
            self.sleep(random.uniform(0, _PAUSE))
        return False

    def leave(self, project_id: str) -> None:
        """Give the place back: no snapshot has begun."""
        self._withdraw()

    def may_be_crowded(self, project_id: str) -> bool:
        """Whether others may take the place meanwhile: nobody can."""
        return False

    def is_crowded(self, project_id: str, making: Iterable[ServerImage]) -> bool:
        """Whether others have taken the place since: nobody can."""
        return False

    def keep(self) -> None:
        """Leave the empty image: it is not known whether a snapshot has begun."""
        self._id = None

    def _judge(self, project_id: str) -> bool | None:
        """Whether there is a place; None if that depends on who withdraws."""
        own = [image for image in self.making if image.id == self._id]
        if not own:
            return False
        undecided = False
        for limit, project in (
            (self.limits.region, None),
            (self.limits.project, project_id),
        ):
            owners = [o for o in under_way(self.making) if project in (None, o)]
            free = limit - len(owners)
            rivals = [r for r in self._rivals() if project in (None, r.owner)]
            before = [r for r in rivals if _order(r) < _order(own[0])]
            if len(before) >= free:
                return False
            undecided = undecided or len(rivals) >= free
        return None if undecided else True

    def _rivals(self) -> list[ServerImage]:
        """Return the empty images of others that want a place."""
        return [
            image
            for image in self.making
            if image.metadata.get(CLAIM_KEY) == PLACE
            and image.id != self._id
            and image.created is not None
            and self.now - image.created < _STALE
        ]

    def _withdraw(self) -> None:
        # What cannot be deleted counts for some minutes, and is swept later.
        with suppress(ScheduledImagesError, ClientException):
            if self._id is not None:
                self.images.delete(self._id)
        self._id = None


def _order(image: ServerImage) -> tuple[str, str]:
    return (str(write_time(image.created)), image.id)
