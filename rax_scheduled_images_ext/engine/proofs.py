"""Proves the images of scheduled servers in turn, project by project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.verify import (
    Verification,
    due_proofs,
    last_verification,
)
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher
from rax_scheduled_images_ext.operations.verify import (
    VerifyListener,
    VerifyOptions,
    verify_named,
)


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
    ) -> list[InventoryServer]:
        """Return the servers whose turn it is, with their images: one listing of
        snapshots.

        A server without an image is left out.
        """
        images: dict[str, list[ServerImage]] = defaultdict(list)
        by_id = {server.id: server for server in servers if server.schedule}
        for image in self.projects.listing.images.list(snapshots=True):
            server = by_id.get(str(image.server_id))
            # Other projects can publish images that seem to be the server's.
            if server is not None and image.owner == server.project_id:
                images[server.id].append(image)
        self.known = {key: last_verification(images[key]) for key in images}
        return [by_id[each] for each in due_proofs(self.known, self.every, now)]

    def prove(
        self,
        servers: Iterable[InventoryServer],
        listener: VerifyListener,
        signals: SignalCatcher,
    ) -> None:
        """Prove the newest complete image of each server.

        :raises Interrupted: by a signal, once all test servers are deleted.
        """
        projects: dict[str, list[str]] = defaultdict(list)
        for server in servers:
            projects[str(server.project_id)].append(server.id)
        for project_id, ids in projects.items():
            cloud = self.projects.of(project_id)
            verify_named(cloud, ids, self.options, listener, signals)
