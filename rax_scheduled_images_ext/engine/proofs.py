"""Proves the images of scheduled servers in turn, project by project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rax_scheduled_images_ext.client.boot import Servers
from rax_scheduled_images_ext.client.servers import date_of
from rax_scheduled_images_ext.client.verify import find_tests
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.errors import NoAccess, ScheduledImagesError
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.verify import (
    Verification,
    due_proofs,
    is_due,
    is_under_way,
    last_verification,
)
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher
from rax_scheduled_images_ext.operations.verify import (
    VerifyListener,
    VerifyOptions,
    verify_named,
)
from rax_scheduled_images_ext.operations.work_queue import Outcome

# The most servers that are read to find those that are due.
_LOOKED_AT = 200
#: The project and the ID of a server.
ServerKey = tuple[str, str]


def key_of(server: InventoryServer) -> ServerKey:
    """Return the project and the ID of a server."""
    return str(server.project_id), server.id


def _counts(image: ServerImage, project_id: str | None) -> bool:
    """Whether an image may be proven: those of others only seem to be its."""
    return image.owner == project_id and image.status == "ACTIVE"


@dataclass
class Proofs:
    """The proofs of a region's servers, as recorded on their images.

    ``known`` is the last proof of each server, as of the last scan.

    :param every: the interval between two proofs of each server.
    """

    projects: Projects
    every: timedelta
    options: VerifyOptions = field(default_factory=VerifyOptions)
    known: dict[str, Verification | None] = field(default_factory=dict)

    def find(
        self, servers: Iterable[InventoryServer], now: datetime
    ) -> list[ServerKey]:
        """Return the servers whose turn it is, as one listing of snapshots shows.

        A server without an image is left out.
        """
        images: dict[str, list[ServerImage]] = defaultdict(list)
        by_id = {server.id: server for server in servers if server.schedule}
        for image in self.projects.listing.images.list(snapshots=True):
            server = by_id.get(str(image.server_id))
            if server is not None and _counts(image, server.project_id):
                images[server.id].append(image)
        self.known = {
            key: last_verification(images[key], by_id[key].project_id) for key in images
        }
        due = due_proofs(self.known, self.every, now)
        return [key_of(by_id[each]) for each in due]

    def has_room(self) -> bool:
        """Whether fewer test servers are under way in the region than may be."""
        tests = find_tests(
            Servers.of(self.projects.listing).transport,
            all_projects=self.projects.all_projects,
        )
        now = sum(is_under_way(each, date_of(answer)) for each, answer in tests)
        return now < self.options.at_once

    def next_due(
        self, servers: Sequence[ServerKey], now: datetime
    ) -> tuple[list[ServerKey], Sequence[ServerKey]]:
        """Return the first servers that are due, and those that come after them.

        They are of one project, and as many as may be proven at once. Each costs a
        request for its images.
        """
        due: list[ServerKey] = []
        for number, key in enumerate(servers):
            full = len(due) == self.options.at_once or number == _LOOKED_AT
            if full or (due and due[0][0] != key[0]):
                return due, servers[number:]
            if self._is_due(key, now):
                due.append(key)
        return due, ()

    def _is_due(self, key: ServerKey, now: datetime) -> bool:
        """Whether a server has images, and none was proven since its turn began.

        True if that is unknown: the attempt to prove it then reports why.
        """
        project_id, server_id = key
        try:
            found = self.projects.of(project_id).images.list(server_id=server_id)
            own = [image for image in found if _counts(image, project_id)]
        except ScheduledImagesError:
            return True
        known = last_verification(own, project_id)
        return bool(own) and is_due(known, server_id, self.every, now)

    def prove(
        self,
        servers: Iterable[ServerKey],
        listener: VerifyListener,
        signals: SignalCatcher,
    ) -> None:
        """Prove the newest complete image of each server.

        :raises Interrupted: by a signal, once all test servers are deleted.
        """
        projects: dict[str, list[str]] = defaultdict(list)
        for project_id, server_id in servers:
            projects[project_id].append(server_id)
        for project_id, ids in projects.items():
            try:
                cloud = self.projects.of(project_id)
            except NoAccess as error:
                for each in ids:
                    listener.planned(Outcome(each, error=error))
                continue
            verify_named(cloud, ids, self.options, listener, signals)
