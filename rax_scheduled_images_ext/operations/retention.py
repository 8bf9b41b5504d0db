"""The images of a server: which stay, which expire, and keeping one for good.

The rules are those of :mod:`.model.retention`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import Transport, path
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.schedules.cloud import CloudSchedules
from rax_scheduled_images_ext.client.servers import read_server, with_server
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NeverScheduled,
    NoRetention,
    NoSchedule,
    NoSuchImage,
    NoSuchServer,
    NotASnapshot,
    NotOffered,
)
from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    PROTECTED_KEY,
    SERVER_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    named_by_service,
    removed_marker,
)
from rax_scheduled_images_ext.model.retention import (
    Decision,
    apply_policy,
    expires_in_runs,
    next_to_expire,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.operations.schedules import (
    current_schedule,
    wanted_schedule,
)
from rax_scheduled_images_ext.operations.targets import Servers, Target, for_each
from rax_scheduled_images_ext.operations.volume_snapshots import NamingImages
from rax_scheduled_images_ext.operations.work_queue import Outcome, Progress, Report

if TYPE_CHECKING:
    from rax_scheduled_images_ext.operations.volume_snapshots import OpenVolumes

# Nova's words for what it makes of a server; `nova backup` makes the second.
_SNAPSHOTS = (SNAPSHOT, "backup")


@dataclass(frozen=True)
class Forecast:
    """What a new schedule changes of a server.

    ``current`` is its schedule now, None without one; ``expiring`` are the images that
    the next scheduled image would delete, oldest first.
    """

    current: ImageSchedule | None
    new: ImageSchedule
    expiring: list[Decision]


def list_images(cloud: Cloud, server: str) -> list[Decision]:
    """Return the images of a server, newest first, and what becomes of each and why.

    The images of a server that is gone are still there, without a schedule; they
    are judged as those of a server of the user's own project.

    :param server: a name or an ID.
    :raises NoMatch: if there is neither such a server nor an image of it.
    :raises SeveralMatches: if several servers have the name.
    """
    return with_server(cloud.compute, server, ImageRetention.of(cloud).decisions)


def forecast(
    cloud: Cloud,
    servers: Servers,
    schedule: ImageSchedule | ScheduleSettings,
    report: Report[Target, Forecast] | None = None,
    progress: Progress | None = None,
) -> list[Outcome[Target, Forecast]]:
    """Return what a new schedule would change of servers; it changes nothing.

    Errors: those of :func:`.schedules.change`.

    :param schedule: what replaces the schedules, or what is to be changed of them.
    :raises InvalidValue: for a schedule that cannot be; nothing has been sent.
    """
    if isinstance(schedule, ImageSchedule):
        schedule = ScheduleSettings.of(schedule)
    wanted = schedule.checked()

    def action(cloud: Cloud, server_id: str) -> Forecast:
        kept = ImageRetention.of(cloud)
        current = current_schedule(kept.schedules, server_id, wanted)
        new = wanted_schedule(server_id, current, wanted)
        return Forecast(current, new, kept.forecast(server_id, new.retention))

    return for_each(cloud, servers, action, report, progress, skip=NoRetention)


def protect(cloud: Cloud, image: str) -> ServerImage:
    """Keep an image for good: it is neither counted nor deleted any more.

    :param image: a name or an ID.
    :returns: the image as it was before.
    :raises NotASnapshot: for an image that was not made of a server.
    """
    found = cloud.images.find(image)
    ImageRetention.of(cloud).protect(found)
    return found


def unprotect(cloud: Cloud, image: str) -> ServerImage:
    """Hand an image back to its schedule.

    :param image: a name or an ID.
    :returns: the image as it was before.
    :raises NotASnapshot: for an image that was not made of a server.
    :raises NeverScheduled: for an image that likely never had the marker.
    """
    found = cloud.images.find(image)
    ImageRetention.of(cloud).unprotect(found)
    return found


def next_expiry(cloud: Cloud, server_id: str) -> list[Decision] | None:
    """Return the images of a server that expire before all others, oldest first.

    :returns: None if the server has no schedule, so that none expires.
    :raises NoSuchServer: if there is no such server.
    """
    kept = ImageRetention.of(cloud)
    retention = kept.retention(server_id)
    if retention is None:
        return None
    return next_to_expire(reversed(kept.judged(server_id, retention)))


@dataclass(frozen=True)
class ImageRetention:
    """The retention of servers' images over one cloud.

    Every call raises what the calls of :class:`.ScheduleStore` and
    :class:`.ImageStore` raise, besides the errors named below.
    """

    compute: Transport
    images: ImageStore
    schedules: CloudSchedules
    open_volumes: OpenVolumes = lambda: None
    #: The images that may name volume snapshots, None to list them at each deletion.
    naming: NamingImages | None = None

    @classmethod
    def of(cls, cloud: Cloud, naming: NamingImages | None = None) -> ImageRetention:
        """Return the retention of a cloud."""
        return cls(
            cloud.compute,
            cloud.images,
            cloud.schedules,
            lambda: cloud.volumes,
            naming or NamingImages(cloud.images),
        )

    def schedule(self, server_id: str) -> ImageSchedule | None:
        """Return the schedule of a server, None where there is none.

        :raises InvalidSchedule: if its tags are no schedule.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        try:
            return self.schedules.get(server_id)
        except NoSchedule:
            return None

    def retention(self, server_id: str) -> int | None:
        """Return how many images of a server stay, None without a valid schedule.

        :raises NoSuchServer: if there is no such server.
        """
        try:
            schedule = self.schedule(server_id)
        except InvalidSchedule:
            return None
        except NotOffered:
            # The server itself has not been asked for.
            self.server(server_id)
            return None
        return schedule.retention if schedule else None

    def server(self, server_id: str) -> InventoryServer:
        """Return a server, with the rules of what makes its images.

        :raises NoSuchServer: if there is no such server.
        """
        answer = self.compute.get(path("servers", server_id))
        if answer.status == 404:
            raise NoSuchServer(server_id)
        item = answer.object("server")
        rules = self.schedules.rules(answer, shown=ATTRIBUTE in item)
        return replace(read_server(answer, item), rules=rules)

    def images_of(self, server_id: str) -> list[ServerImage]:
        """Return all images of a server.

        Those that do not count are needed as well: copies are told by them.
        """
        return list(self.images.list(server_id=server_id))

    def decisions(self, server_id: str) -> list[Decision]:
        """Return what becomes of each image of a server, newest first.

        :raises NoSuchServer: if there is neither such a server nor an image of it.
        """
        try:
            retention = self.retention(server_id)
            return self.judged(server_id, retention)
        except NoSuchServer:
            own = self.compute.adapter.get_project_id()
            left = apply_policy(self.images_of(server_id), server_id, None, own)
            if not left:
                raise
            return left

    def judged(self, server_id: str, retention: int | None) -> list[Decision]:
        """Return what a retention decides on the images of a server, newest first.

        :raises NoSuchServer: if there is no such server.
        """
        server = self.server(server_id)
        return apply_policy(
            self.images_of(server_id),
            server_id,
            retention,
            server.project_id,
            rules=server.rules,
            base_image=server.image_id,
        )

    def forecast(self, server_id: str, retention: int) -> list[Decision]:
        """Return what the next scheduled image would delete, oldest first."""
        going = [
            v for v in self.judged(server_id, retention) if expires_in_runs(v) == 1
        ]
        return going[::-1]

    def protect(self, image: ServerImage) -> None:
        """Keep an image for good, remembering on it how it was marked.

        :raises ChangeUndone: if something else puts the marker back.
        :raises NotASnapshot: for an image that was not made of a server.
        """
        _check_snapshot(image)
        if image.scheduled:
            remembered = f"{image.id}:{MARKER_VALUE}"
            self.images.ensure_metadata(
                image, {PROTECTED_KEY: remembered}, [MARKER_KEY]
            )

    def unprotect(self, image: ServerImage) -> None:
        """Mark an image as it was before it was protected.

        Who has taken the marker away by other means is understood by the
        image's name, if the service gave it.

        :raises NotASnapshot: for an image that was not made of a server.
        :raises NeverScheduled: for an image that likely never had the marker.
        """
        _check_snapshot(image)
        remembered = removed_marker(image)
        marker = {}
        if not image.scheduled:
            marker[MARKER_KEY] = remembered or _first_marker(image)
        forgotten = [PROTECTED_KEY] if remembered else []
        if marker or forgotten:
            self.images.ensure_metadata(image, marker, forgotten)


def _check_snapshot(image: ServerImage) -> None:
    """Refuse what Nova has not made of a server.

    :raises NotASnapshot: for it.
    :raises NoSuchImage: for what is only the memory of an image.
    """
    if image.status == "DELETED":
        raise NoSuchImage(image.id)
    if image.server_id is None:
        raise NotASnapshot(image.id, f"it has no {SERVER_KEY}")
    kind = image.metadata.get(TYPE_KEY)
    if kind not in _SNAPSHOTS:
        why = f"its {TYPE_KEY} is '{kind}'" if kind else f"it has no {TYPE_KEY}"
        raise NotASnapshot(image.id, why)


def _first_marker(image: ServerImage) -> str:
    """Return the marker that the service gave an image.

    :raises NeverScheduled: if it likely gave none: the user's own images are
        not handed over to be deleted.
    """
    if MARKER_KEY in image.metadata:
        other = image.metadata[MARKER_KEY]
        raise NeverScheduled(image.id, f"its {MARKER_KEY} is '{other}'")
    if not named_by_service(image):
        raise NeverScheduled(
            image.id,
            f"it is called '{image.name}' and has never been protected; if it is to"
            f" be deleted in its turn, set its {MARKER_KEY} to {MARKER_VALUE}",
        )
    return MARKER_VALUE
