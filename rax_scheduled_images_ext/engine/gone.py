"""Deletes the images of servers that were deleted long enough ago.

Only where that was asked for, and never by a 404 alone: see :mod:`.model.gone`. All
that a deletion depends on is read again right before it. The newest image goes last, so
an error leaves the best that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import ALL_PROJECTS
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.errors import (
    ImageProtected,
    NoSuchImage,
    ScheduledImagesError,
)
from rax_scheduled_images_ext.model.gone import (
    GoneServer,
    gone_metadata,
    names_region,
    noted_deletion,
)
from rax_scheduled_images_ext.model.image import GONE_KEY, ServerImage
from rax_scheduled_images_ext.model.retention import Decision, reason
from rax_scheduled_images_ext.operations.delete import NamingImages
from rax_scheduled_images_ext.operations.gone import (
    base_marked,
    images_left,
    present,
    read_gone,
    trace,
)
from rax_scheduled_images_ext.operations.prune import PrunedImage, delete_decided
from rax_scheduled_images_ext.operations.work_queue import run

# What may be refused for one image or one server, and says nothing of the others.
_FAILURES = (*PASSING, ScheduledImagesError)


@dataclass
class GoneImages:
    """The images of servers that are gone, and what has become of them.

    :param after: how long after the deletion of a server its images stay.
    :param clock: tells the time that this is based on.
    :param stopping: returns whether to delete nothing more.
    :param report: called with each deletion as it happens.
    """

    projects: Projects
    after: timedelta
    clock: Clock
    stopping: Callable[[], bool] = lambda: False
    report: Callable[[PrunedImage], object] = lambda pruned: None
    workers: int = 8
    _naming: NamingImages = field(init=False)
    _now: datetime = field(init=False)

    def delete(self) -> list[Exception]:
        """Delete what is old enough; return the errors of servers left as they are.

        That lists all servers and all images, so it is for once a day.

        :raises ApiError: if they cannot be listed, or another error of ``PASSING``.
        """
        listing = self.projects.listing
        self._naming = NamingImages(listing.images)
        here, now = present(listing, self._whose)
        self._now = self.clock.time(now)
        own = listing.compute.adapter.get_project_id()
        everybody = self.projects.all_projects
        left = images_left(listing, here, None if everybody else own)
        # Anybody can publish an image that names a server of another project.
        owned = [
            (server_id, owner, [each for each in images if each.owner == owner])
            for server_id, images in left.items()
            for owner in {str(each.owner) for each in images}
        ]
        done = run(owned, lambda each: self._look(*each), workers=self.workers)
        return [each.error for each in done if each.error is not None]

    @property
    def _whose(self) -> Mapping[str, Any]:
        """The query for the servers of everybody that this works for."""
        return ALL_PROJECTS if self.projects.all_projects else {}

    def _look(self, server_id: str, owner: str, images: list[ServerImage]) -> None:
        if self.stopping():
            return
        cloud = self.projects.of(owner)
        server = trace(cloud, server_id, owner, images)
        if server is None:
            _take_notes_away(cloud, images)
            return
        self._note(cloud, server)
        for decision in server.expired(self.after, self._now):
            if self.stopping() or not self._delete(cloud, decision):
                return

    def _note(self, cloud: Cloud, server: GoneServer) -> None:
        """Write when the server was deleted, as its history is kept for a while only.

        The newest image carries it, since that goes last.
        """
        own = (e.image for e in server.counted if names_region(e.image, server.region))
        newest = next(own, None)
        if newest is None or server.deleted is None:
            return
        if noted_deletion(newest) != server.deleted:
            cloud.images.set_metadata(newest, gone_metadata(newest, server.deleted))

    def _delete(self, cloud: Cloud, decision: Decision) -> bool:
        """Delete an image if that is still right; return whether to go on."""
        image, server_id = decision.image, str(decision.image.server_id)
        try:
            again = self._again(cloud, image)
            if again is None:
                return False
            if again.is_base:
                pruned = PrunedImage(server_id, image, "skipped", reason(again))
            else:
                pruned = delete_decided(cloud, again, self._naming)
        except NoSuchImage:
            return True
        except ImageProtected as error:
            pruned = PrunedImage(server_id, image, "skipped", str(error))
        except _FAILURES as error:
            pruned = PrunedImage(server_id, image, "failed", str(error), error)
        self.report(pruned)
        return pruned.error is None

    def _again(self, cloud: Cloud, image: ServerImage) -> Decision | None:
        """Read everything again; return the decision, None if the image stays."""
        server = read_gone(cloud, str(image.server_id))
        if server is None:
            return None
        expired = server.expired(self.after, self._now)
        found = next((each for each in expired if each.image.id == image.id), None)
        if found is None:
            return None
        marked = base_marked(cloud, found)
        if marked.is_base or not self._whose:
            return marked
        return base_marked(self.projects.listing, found, self._whose)


def _take_notes_away(cloud: Cloud, images: Iterable[ServerImage]) -> None:
    """Forget the deletion of a server that is back."""
    noted: Iterator[ServerImage] = (i for i in images if GONE_KEY in i.metadata)
    for image in noted:
        cloud.images.delete_metadata(image, [GONE_KEY])
