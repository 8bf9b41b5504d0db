"""How many snapshots may be under way at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rax_scheduled_images_ext.client.pool import WORKERS
from rax_scheduled_images_ext.model.image import RUN_KEY, ServerImage


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


class Admission:
    """Lets as many snapshots begin as the limits allow.

    What is under way is counted in the images, whoever has begun it, so the limits hold
    for all runners together; requests that are sent at the same moment may exceed them.
    """

    def __init__(self, limits: Limits, snapshots: Iterable[ServerImage]) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._projects = Counter(_under_way(snapshots))

    def enter(self, project_id: str) -> bool:
        """Take a place for one more snapshot of a project; False if there is none."""
        with self._lock:
            if (
                self._projects.total() >= self._limits.region
                or self._projects[project_id] >= self._limits.project
            ):
                return False
            self._projects[project_id] += 1
            return True

    def leave(self, project_id: str) -> None:
        """Give a place back: no snapshot has begun."""
        with self._lock:
            self._projects[project_id] -= 1

    def is_crowded(self, project_id: str, making: Iterable[ServerImage]) -> bool:
        """Whether others have taken the last place since.

        :param making: the images that are being made now.
        """
        others = Counter(_under_way(making))
        return (
            others.total() >= self._limits.region
            or others[project_id] >= self._limits.project
        )


def _under_way(images: Iterable[ServerImage]) -> Iterable[str]:
    for image in images:
        if image.status == "SAVING" and RUN_KEY in image.metadata and image.owner:
            yield image.owner
