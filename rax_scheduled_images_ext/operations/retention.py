"""Which images of a server stay: told, changed, and carried out.

The rules are :mod:`.retention`'s and the words :mod:`.fates`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from rax_scheduled_images_ext.client.errors import (
    ImageProtected,
    NeverScheduled,
    NoRetention,
    NoSchedule,
    NoSuchImage,
    NoSuchServer,
    NotASnapshot,
    NotOffered,
)
from rax_scheduled_images_ext.client.http import Transport, path
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.schedules.extension import ExtensionSchedules
from rax_scheduled_images_ext.client.servers import read_project
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
from rax_scheduled_images_ext.model.retention import Decision, apply_policy
from rax_scheduled_images_ext.model.retention_status import expires_in_runs, reason
from rax_scheduled_images_ext.model.schedule import ImageSchedule

# Nova's words for what it makes of a server; `nova backup` makes the second.
_SNAPSHOTS = (SNAPSHOT, "backup")


@dataclass(frozen=True)
class Outcome:
    """What was done with an image that was to go, and why.

    ``action`` is ``deleted``, or ``skipped`` if it need not go any more.
    """

    image: ServerImage
    action: str
    reason: str


@dataclass(frozen=True)
class ImageRetention:
    """Keeps and prunes the images of servers.

    Every call raises what the calls of :class:`.schedules.ScheduledImagesManager`
    and :class:`.images.ImageStore` raise, besides the errors named below.
    """

    compute: Transport
    images: ImageStore

    def schedule(self, server_id: str) -> ImageSchedule | None:
        """Return the schedule of a server, None where there is none.

        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images.
        """
        try:
            return ExtensionSchedules(self.compute).get(server_id)
        except NoSchedule:
            return None

    def retention(self, server_id: str) -> int | None:
        """Return how many images of a server stay, None where nothing says so.

        :raises NoSuchServer: if there is no such server.
        """
        try:
            schedule = self.schedule(server_id)
        except NotOffered:
            # The server itself has not been asked for.
            self.project(server_id)
            return None
        return schedule.retention if schedule else None

    def project(self, server_id: str) -> str | None:
        """Return the ID of a server's project, None where the cloud does not tell.

        :raises NoSuchServer: if there is no such server.
        """
        answer = self.compute.get(path("servers", server_id))
        if answer.status == 404:
            raise NoSuchServer(server_id)
        return read_project(answer.object("server"))

    def judged(self, server_id: str) -> list[Decision]:
        """Say of each image of a server what becomes of it, newest first.

        The images of a server that is gone are still there, without a schedule; they
        are told as those of a server of the user's own project.

        :raises NoSuchServer: if there is neither such a server nor an image of it.
        """
        images = partial(self.images.list, server_id=server_id)
        try:
            retention = self.retention(server_id)
            project_id = self.project(server_id)
        except NoSuchServer:
            own = self.compute.adapter.get_project_id()
            left = apply_policy(images(), server_id, None, own)
            if not left:
                raise
            return left
        return apply_policy(images(), server_id, retention, project_id)

    def counted(self, server_id: str, retention: int) -> list[Decision]:
        """Judge the marked images of a server alone, newest first, by a retention.

        :raises NoSuchServer: if there is no such server.
        """
        project_id = self.project(server_id)
        marked = self.images.list(server_id=server_id, scheduled=True)
        return apply_policy(marked, server_id, retention, project_id)

    def forecast(self, server_id: str, retention: int) -> list[Decision]:
        """Return what the next scheduled image would make go, oldest first."""
        going = [
            v for v in self.counted(server_id, retention) if expires_in_runs(v) == 1
        ]
        return going[::-1]

    def plan(self, server_id: str, keep: int | None = None) -> list[Decision]:
        """Return what goes when the retention is applied now, oldest first.

        :param keep: how many images stay; None for the server's own retention.
        :raises NoRetention: if nothing says how many stay.
        :raises NoSuchServer: if there is no such server.
        :raises NotOffered: if the cloud has no scheduled images to say so.
        """
        if keep is None:
            schedule = self.schedule(server_id)
            if schedule is None:
                raise NoRetention(server_id)
            keep = schedule.retention
        return [v for v in reversed(self.counted(server_id, keep)) if v.goes]

    def delete(self, decision: Decision) -> Outcome:
        """Delete an image of a plan of :meth:`plan`, if that is still right.

        The server's images are read and counted again right before, and the image
        stays if the retention leaves a place for it by now. Whoever stops between
        two images of a plan, or in the midst of one, has deleted only what the same
        plan made afresh would delete: the oldest.

        :raises ImageProtected: for an image that the image service keeps.
        """
        try:
            return self._delete(decision)
        except NoSuchImage:
            return Outcome(decision.image, "skipped", "already gone")

    def protect(self, image: ServerImage) -> None:
        """Keep an image for good, remembering on it how it was marked.

        :raises NotASnapshot: for an image that was not made of a server.
        """
        _check_snapshot(image)
        if image.scheduled:
            remembered = f"{image.id}:{MARKER_VALUE}"
            self.images.change_metadata(
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
        self.images.change_metadata(image, marker, forgotten)

    def _delete(self, decision: Decision) -> Outcome:
        now = self._again(decision)
        if not now.goes:
            return Outcome(now.image, "skipped", reason(now))
        if now.image.protected:
            raise ImageProtected(now.image.id)
        self.images.delete(now.image)
        return Outcome(now.image, "deleted", reason(decision))

    def _again(self, decision: Decision) -> Decision:
        """Judge an image among all of its server's as they are now.

        :raises NoSuchImage: if it is gone.
        """
        server_id, project_id = str(decision.image.server_id), decision.image.owner
        images = {i.id: i for i in self.images.list(server_id=server_id)}
        if decision.image.id not in images:
            # Gone, or no longer an image of this server: alone it is never surplus.
            image = self.images.get(decision.image)
            images = {image.id: replace(image, owner=project_id)}
        decisions = apply_policy(
            images.values(), server_id, decision.retention, project_id
        )
        return next(each for each in decisions if each.image.id == decision.image.id)


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
