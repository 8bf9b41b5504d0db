"""How many snapshots may be in progress at once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.pool import WORKERS
from rax_scheduled_images_ext.errors import ApiError
from rax_scheduled_images_ext.model.image import CLAIM_KEY, RUN_KEY, ServerImage
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE, hangs
from rax_scheduled_images_ext.model.times import write_time

# The most seconds that all requests wait, even if Retry-After says more.
_LONGEST_PAUSE = 600.0
# How often to check again when many runners compete, and the most seconds in between.
_LOOKS, _PAUSE = 20, 0.3


@dataclass(frozen=True)
class Limits:
    """The limits on snapshots in progress, in a region and in each project, and on
    requests.

    ``pause`` is how many seconds all requests wait after a 429 or 503 without
    Retry-After.
    """

    region: int = 20
    project: int = 5
    requests: int = WORKERS
    pause: float = 10.0

    def slow_down(self, cloud: Cloud, error: ApiError) -> None:
        """Delay all requests to a cloud if the error says that it is busy."""
        busy = error.status in (codes.too_many_requests, codes.service_unavailable)
        if busy and cloud.throttle is not None:
            named = (error.retry_after or "").strip()
            seconds = float(named) if named.isdecimal() else self.pause
            cloud.throttle.slow_down(min(seconds, _LONGEST_PAUSE))

    def free(self, under_way: Counter[str], project_id: str) -> int:
        """Return how many more snapshots of a project may start.

        A project's own limit also restricts its share of the region's places.
        """
        own = self.project - under_way[project_id]
        return min(self.free_in_region(under_way), own)

    def free_in_region(self, under_way: Counter[str]) -> int:
        """Return how many more snapshots in the region may start."""
        taken = sum(min(number, self.project) for number in under_way.values())
        return self.region - taken


def being_made(images: ImageStore) -> list[ServerImage]:
    """Return the scheduled images that are in progress or were left behind."""
    return list(images.list(scheduled=True, making=True))


def under_way(
    images: Iterable[ServerImage],
    now: datetime,
    servers: Collection[tuple[str | None, str | None]] | None = None,
) -> Counter[str]:
    """Count the scheduled images in progress by project.

    An image that hangs does not count, nor does one that names no scheduled server of
    its own project: anyone can create an image that looks like one of ours.

    :param servers: the servers with schedules, each with its project; None if unknown.
    """
    found: Counter[str] = Counter()
    for image in images:
        if image.status != "SAVING" or image.owner is None or hangs(image, now):
            continue
        run_server = image.metadata.get(RUN_KEY, "").partition(":")[0]
        known = servers is None or (run_server, image.owner) in servers
        if run_server and known:
            found[image.owner] += 1
    return found


class Room(Enum):
    """Whether a snapshot may start."""

    NONE = "none"
    #: There is a place for every image that is due.
    FREE = "free"
    #: While the claim exists, no other runner takes the place.
    CLAIMED = "claimed"


class Admission:
    """Lets as many snapshots start as the limits allow, across all runners.

    Snapshots in progress are counted by their images. A runner first makes its claim,
    an empty image, and then counts the images in progress and the claims of others. So
    of any two runners at least one has counted the other. If too many have claims at
    once, the latest give way.

    :param listing: the images of all projects that the limits apply to.
    :param known: the snapshots in progress by project, None to count them each time.
    :param due: how many more all runners of the cloud may start, by project.
    :param servers: as for :func:`under_way`.
    """

    def __init__(
        self,
        limits: Limits,
        listing: ImageStore,
        known: Counter[str] | None = None,
        due: Iterable[str] = (),
        servers: Collection[tuple[str | None, str | None]] | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._limits = limits
        self._listing = listing
        self._servers = servers
        self._sleep = sleep
        self._lock = threading.Lock()
        self._known = None if known is None else known.copy()
        self._in_the_end = None if known is None else known + Counter(due)

    def has_room(self, project_id: str) -> bool:
        """Whether there seems to be a place for another snapshot of a project."""
        with self._lock:
            return self._known is None or self._limits.free(self._known, project_id) > 0

    def enter(self, project_id: str) -> bool:
        """Take a place for another snapshot of a project, if there seems to be one."""
        if self._known is None:
            return True
        with self._lock:
            if self._limits.free(self._known, project_id) < 1:
                return False
            self._known[project_id] += 1
            return True

    def leave(self, project_id: str) -> None:
        """Release the place: no snapshot was started."""
        if self._known is not None:
            with self._lock:
                self._known[project_id] -= 1

    def confirm(
        self, project_id: str, claims: Collection[str], now: Callable[[], datetime]
    ) -> Room:
        """Return whether there is a place for the caller with these claims."""
        in_the_end = self._in_the_end
        if in_the_end is not None and self._limits.free(in_the_end, project_id) >= 0:
            return Room.FREE
        for _ in range(_LOOKS):
            answer = self._judge(project_id, claims, now())
            if answer is not None:
                return Room.CLAIMED if answer else Room.NONE
            self._sleep(random.uniform(0, _PAUSE))
        return Room.NONE

    def _judge(
        self, project_id: str, claims: Collection[str], now: datetime
    ) -> bool | None:
        """Whether there is a place; None if that depends on who gives way."""
        making = being_made(self._listing)
        own = [image for image in making if image.id in claims]
        if not own:
            return False
        counted = under_way(making, now, self._servers)
        first = _in_order(own)
        rivals = _rivals(making, claims, now, self._servers)
        before = [each for each in rivals if _order(each) < _order(first)]
        if self._limits.free(counted + _owners(before), project_id) < 1:
            return False
        # Later ones may not have counted this one.
        crowd = self._limits.free(counted + _owners(rivals), project_id) < 1
        return None if crowd else True


def _rivals(
    making: Collection[ServerImage],
    claims: Collection[str],
    now: datetime,
    servers: Collection[tuple[str | None, str | None]] | None,
) -> list[ServerImage]:
    """Return other runners' claims that want a place: the first of each server.

    :param servers: as for :func:`under_way`.
    """
    started = {image.server_id for image in making if RUN_KEY in image.metadata}
    found: dict[str | None, list[ServerImage]] = {}
    for image in making:
        if (
            image.metadata.get(CLAIM_KEY, NOTE) != NOTE
            and image.owner is not None
            and image.id not in claims
            and image.server_id not in started
            and (servers is None or (image.server_id, image.owner) in servers)
            and image.created is not None
            # Its runner died and no longer needs it.
            and now - image.created < CLOCK_DIFFERENCE
        ):
            found.setdefault(image.server_id, []).append(image)
    return [_in_order(images) for images in found.values()]


def _in_order(images: Iterable[ServerImage]) -> ServerImage:
    """Return the one that was made first."""
    return min(images, key=_order)


def _owners(images: Iterable[ServerImage]) -> Counter[str]:
    return Counter(str(image.owner) for image in images)


def _order(image: ServerImage) -> tuple[str, str]:
    # Another claim for the same server must not change the order.
    return (str(write_time(image.created)), str(image.server_id))
