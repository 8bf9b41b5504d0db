"""One project in one region as one user sees it, and what is known about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from cachetools import TTLCache

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.identity import Scope
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.gone import Trace
from rax_scheduled_images_ext.model.rights import Rights, likely_rights
from rax_scheduled_images_ext.model.task_states import (
    UPLOADING,
    SnapshotProgress,
    task_state,
)
from rax_scheduled_images_ext.operations.gone import GoneServers, find_gone, read_gone
from rax_scheduled_images_ext.operations.policy_file import PolicyFile
from rax_scheduled_images_ext.operations.server import (
    ServerDetails,
    read_server_details,
)
from rax_scheduled_images_ext.operations.snapshot.begin import disk_safe_from
from rax_scheduled_images_ext.panel.fleet import Fleet
from rax_scheduled_images_ext.panel.histories import Histories
from rax_scheduled_images_ext.panel.labels import labels_of
from rax_scheduled_images_ext.panel.readings import Patience, Shelf, View
from rax_scheduled_images_ext.panel.snapshot_end import (
    SnapshotEnd,
    SnapshotImage,
    end_of_snapshot,
    image_in_the_making,
)
from rax_scheduled_images_ext.panel.trouble import Trouble, trouble_of
from rax_scheduled_images_ext.panel.words import signed_out

Value = TypeVar("Value")

# A reading is fresh for this share of the time between two updates of a page.
_SHARE = 0.8
# Seconds between two readings while a snapshot is in progress.
_SNAPSHOT = 2.0
# Servers that are gone take two requests each.
_GONE = 60.0
# Seconds after which readings that nobody uses are forgotten.
_FORGET = 3600.0


@dataclass(frozen=True)
class Followed:
    """A server's details, and the progress of its snapshot as far as was seen.

    ``image`` is the image of that snapshot, None if unknown, ``started`` that of
    the latest one started in the panel. ``end`` is how the snapshot ended, None if none
    was seen or it is in progress. ``trouble`` is why a late server lacks an image.
    ``was_here`` is whether a server that is not here is known to have been.
    """

    details: ServerDetails
    progress: SnapshotProgress
    image: SnapshotImage | None = None
    started: SnapshotImage | None = None
    end: SnapshotEnd | None = None
    trouble: Trouble | None = None
    was_here: bool = False


@dataclass
class Readings:
    """What is known about all projects, shared by all users.

    ``refresh`` is the seconds between two updates of an open page. The exceptions of
    ``policies`` count.
    """

    refresh: float
    patience: Patience
    policies: PolicyFile | None = None
    fleets: Shelf[Fleet] = field(default_factory=lambda: Shelf(500, _FORGET))
    servers: Shelf[Followed] = field(default_factory=lambda: Shelf(5000, _FORGET))
    gone: Shelf[GoneServers] = field(default_factory=lambda: Shelf(500, _FORGET))
    histories: Shelf[Histories] = field(default_factory=lambda: Shelf(500, _FORGET))
    safe_from: Shelf[str] = field(default_factory=lambda: Shelf(500, _FORGET))
    #: The images of snapshots started in the panel, by project, region and server.
    started: TTLCache[object, SnapshotImage] = field(
        default_factory=lambda: TTLCache(5000, _FORGET)
    )

    def forget(self) -> None:
        """Discard all that is known of servers; the next users wait."""
        self.fleets.changed()
        self.servers.changed()
        self.gone.changed()


@dataclass(frozen=True)
class Place:
    """A project and region as a user with certain roles sees them.

    ``expired`` is set once the cloud no longer accepts the user's token.
    """

    scope: Scope
    region: str
    cloud: Cloud
    readings: Readings
    expired: threading.Event

    @property
    def rights(self) -> Rights:
        """What the user may do here."""
        tags = self.cloud.schedules.kept_as_tags
        return likely_rights(self.scope.roles, kept_as_tags=tags)

    @property
    def _key(self) -> tuple[object, ...]:
        # Users with other roles may see other things.
        return (self.scope.project.id, self.region, self.scope.roles)

    def fleet(self) -> View[Fleet]:
        """Return what is known about all servers."""
        known, policies = self.readings.fleets.of(self._key), self.readings.policies
        return known.view(
            lambda before: self._read(
                partial(Fleet.read, self.cloud, before, policies)
            ),
            self._fleet_is_good,
            self.readings.patience,
        )

    def server(self, server_id: str) -> View[Followed]:
        """Return what is known about one server."""
        known = self.readings.servers.of((*self._key, server_id))
        read = partial(self._follow, server_id)
        return known.view(
            lambda before: self._read(partial(read, before)),
            self._server_is_good,
            self.readings.patience,
        )

    def gone(self) -> View[GoneServers]:
        """Return what is known about the servers that are gone."""
        return self.readings.gone.of(self._key).view(
            lambda _: self._read(partial(find_gone, self.cloud)),
            lambda _: _GONE,
            self.readings.patience,
        )

    def histories(self, server_ids: Sequence[str]) -> View[Histories]:
        """Return what the records of these servers tell of their snapshots."""
        return self.readings.histories.of(self._key).view(
            lambda _: self._read(partial(Histories.read, self.cloud, server_ids)),
            lambda found: found.good_for(server_ids),
            self.readings.patience,
        )

    def labels(self) -> dict[str, str]:
        """Return the labels of the known servers, by ID."""
        found = self.readings.fleets.of(self._key).peek()
        return labels_of(each.server for each in found.servers) if found else {}

    def label(self, server_id: str) -> str:
        """Return the label of a server."""
        known = self.labels().get(server_id)
        if known is not None:
            return known
        seen = self.readings.servers.of((*self._key, server_id)).peek()
        if seen is not None and seen.details.server.name:
            return seen.details.server.name
        gone = self.readings.gone.of(self._key).peek()
        left = (each for each in gone.servers if each.id == server_id) if gone else ()
        return next((each.label for each in left), server_id)

    @contextmanager
    def changing(self, *server_ids: str) -> Iterator[None]:
        """Discard what was known about servers after a change of them.

        A change that failed may have taken effect all the same.
        """
        try:
            yield
        finally:
            self.readings.fleets.of(self._key).changed()
            self.readings.gone.of(self._key).changed()
            for server_id in server_ids:
                self.readings.servers.of((*self._key, server_id)).changed()

    def note_snapshot(self, server_id: str, image: SnapshotImage) -> None:
        """Record the image of a snapshot that was started here."""
        self.readings.started[self.scope.project.id, self.region, server_id] = image

    def _read(self, read: Callable[[], Value]) -> Value:
        try:
            return read()
        except Exception as error:
            if signed_out(error):
                self.expired.set()
            raise

    def _follow(self, server_id: str, before: Followed | None) -> Followed:
        details = read_server_details(self.cloud, server_id, space=True)
        word = details.server.task_state
        progress = before.progress if before else None
        under_way = progress is not None and progress.started and not progress.over
        begins = task_state(word).snapshot and not under_way
        if progress is None or begins:
            progress = SnapshotProgress(self._safe_from() if begins else UPLOADING)
        progress.see(time.monotonic(), word)
        key = (self.scope.project.id, self.region, server_id)
        started = self.readings.started.get(key)
        new = begins or (
            started is not None and (not before or started != before.started)
        )
        image = before.image if before and not new else started
        end = before.end if before and not new else None
        if task_state(word).snapshot:
            image, end = image_in_the_making(details) or image, None
        elif (progress.started or image) and not (end and end.final):
            end = end_of_snapshot(self.cloud, details, image)
        images = [each.image for each in details.images]
        known = before.trouble if before else None
        trouble = trouble_of(self.cloud, details.status, images, details.now, known)
        was_here = details.gone and (
            (before is not None and before.was_here) or self._was_here(server_id)
        )
        return Followed(details, progress, image, started, end, trouble, was_here)

    def _was_here(self, server_id: str) -> bool:
        """Whether a server that is gone is known to have been in this region."""
        try:
            found = read_gone(self.cloud, server_id)
        except PASSING:
            return False
        return found is not None and found.trace is Trace.GONE

    def _safe_from(self) -> str:
        known = self.readings.safe_from.of(self.region)
        view = known.view(
            lambda _: self._read(partial(disk_safe_from, self.cloud)),
            lambda _: _FORGET,
            self.readings.patience,
        )
        # The later state is the safer one.
        return view.value or UPLOADING

    def _fleet_is_good(self, fleet: Fleet) -> float:
        return self._good_for(*(each.server for each in fleet.servers))

    def _server_is_good(self, followed: Followed) -> float:
        return self._good_for(followed.details.server)

    def _good_for(self, *servers: InventoryServer) -> float:
        """Return how many seconds a reading of servers stays fresh."""
        busy = any(task_state(each.task_state).snapshot for each in servers)
        refresh = self.readings.refresh
        return _SHARE * (min(refresh, _SNAPSHOT) if busy else refresh)
