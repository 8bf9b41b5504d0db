"""How many snapshots may be under way at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import ApiError
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.pool import WORKERS
from rax_scheduled_images_ext.model.image import RUN_KEY, ServerImage

# Seconds that all requests wait at most, whatever time the cloud names.
_LONGEST_PAUSE = 600.0


@dataclass(frozen=True)
class Limits:
    """Snapshots under way in a region and in a project of it, and requests.

    ``pause`` is for how many seconds all requests wait after a 429 or 503 that names no
    time.
    """

    region: int = 20
    project: int = 5
    requests: int = WORKERS
    pause: float = 10.0

    def heed(self, cloud: Cloud, error: ApiError) -> None:
        """Let all requests to a cloud wait, if the error is that it is busy."""
        busy = error.status in (codes.too_many_requests, codes.service_unavailable)
        if busy and cloud.throttle is not None:
            named = (error.retry_after or "").strip()
            seconds = float(named) if named.isdecimal() else self.pause
            cloud.throttle.slow_down(min(seconds, _LONGEST_PAUSE))


class Admission:
    """Lets as many snapshots begin as the limits allow.

    What is under way is counted in the images, whoever has begun it, so the limits hold
    for all runners together; requests that are sent at the same moment may exceed them.
    """

    def __init__(
        self, limits: Limits, snapshots: Iterable[ServerImage], due: Iterable[str] = ()
    ) -> None:
        """Take note of all snapshots, and of the projects of the servers due."""
        self._limits = limits
        self._lock = threading.Lock()
        self._projects = Counter(under_way(snapshots))
        self._in_the_end = self._projects + Counter(due)

    def enter(self, project_id: str) -> bool:
        """Take a place for one more snapshot of a project; False if there is none."""
        with self._lock:
            if self._exceeds(self._projects, project_id):
                return False
            self._projects[project_id] += 1
            return True

    def leave(self, project_id: str) -> None:
        """Give a place back: no snapshot has begun."""
        with self._lock:
            self._projects[project_id] -= 1

    def may_be_crowded(self, project_id: str) -> bool:
        """Whether others may take the last place meanwhile.

        They work on the same servers: where all find a place, nobody has to count anew.
        """
        return self._exceeds(self._in_the_end, project_id, by=1)

    def is_crowded(self, project_id: str, making: Iterable[ServerImage]) -> bool:
        """Whether others have taken the last place since.

        :param making: the images that are being made now.
        """
        return self._exceeds(Counter(under_way(making)), project_id)

    def _exceeds(self, numbers: Counter[str], project_id: str, by: int = 0) -> bool:
        """Whether the limits are reached, or exceeded by so many."""
        return (
            numbers.total() >= self._limits.region + by
            or numbers[project_id] >= self._limits.project + by
        )


def being_made(images: ImageStore) -> list[ServerImage]:
    """Return the images of schedules that are being made, or were left behind."""
    return list(images.list(scheduled=True, making=True))


def under_way(images: Iterable[ServerImage]) -> Iterator[str]:
    """Yield the project of each image that a run has begun and that is being made."""
    for image in images:
        if image.status == "SAVING" and RUN_KEY in image.metadata and image.owner:
            yield image.owner
