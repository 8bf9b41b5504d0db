"""The servers of a place, with what is known of their images and their troubles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.space import Sizes, Space
from rax_scheduled_images_ext.model.times import LONG_AGO
from rax_scheduled_images_ext.operations.inventory import Inventory, read_inventory
from rax_scheduled_images_ext.operations.policy_file import PolicyFile
from rax_scheduled_images_ext.operations.unprotected import unprotected
from rax_scheduled_images_ext.operations.work_queue import run
from rax_scheduled_images_ext.panel.trouble import (
    Trouble,
    lacks_image,
    trouble_of,
)

# The causes of so many late servers are looked for at each reading, two requests each.
_MOST_CAUSES = 50
# A shorter part of an ID is one of too many.
_LEAST_OF_ID = 4

#: The filters of servers beside their states, as the tiles count them.
LATE, FAILING, TODAY = State.LATE.value, "failing", "made today"
UNPROTECTED = State.UNPROTECTED.value
FILTERS = (LATE, FAILING, UNPROTECTED, TODAY)


@dataclass(frozen=True)
class Fleet:
    """All servers of a place at a moment; ``troubles`` are known of late ones, by ID.

    ``images`` are the snapshots by server, also those of servers that are gone, and
    ``sizes`` those of the volume snapshots that they name.
    ``policies`` is a sentence about the exceptions of policies.
    """

    now: datetime
    servers: list[ScheduleStatus]
    images: Mapping[str, list[ServerImage]] = field(repr=False)
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    policies: str = ""
    sizes: Sizes = field(default=Sizes(None), repr=False)

    @classmethod
    def read(
        cls, cloud: Cloud, before: Fleet | None, file: PolicyFile | None = None
    ) -> Fleet:
        """Read all servers, and why the late ones lack an image.

        :param before: what was known; a cause that was found a moment ago is kept.
        :param file: the policies whose exceptions count.
        """
        shared = cloud.shared()
        policies, problem = file.read() if file else (None, None)
        found = read_inventory(shared, space=True, policies=policies)
        causes = _causes(shared, found, before)
        # The outlooks take a lot of memory, and no page of all servers shows them.
        servers = [replace(each, outlook=None) for each in found.servers]
        about = _about(file, problem)
        return cls(found.now, servers, found.images, causes, about, found.sizes)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many servers each filter finds."""
        names = (*FILTERS, *(state.value for state in State))
        return {name: len(self.matching("", name)) for name in names}

    @cached_property
    def unprotected(self) -> list[ScheduleStatus]:
        """The servers that no schedule covers although nobody has excepted them."""
        return unprotected(self.servers)

    @property
    def space(self) -> Space:
        """What the images of all servers take."""
        return sum((each.space for each in self.servers if each.space), Space())

    @property
    def question(self) -> str:
        """What to ask about servers of which no snapshot was requested, if any."""
        return next((e.question for e in self.troubles.values() if e.question), "")

    def _fits(self, status: ScheduleStatus, name: str) -> bool:
        """Whether a filter finds a server, of those among which it searches."""
        if name == UNPROTECTED:
            return True
        if name == LATE:
            return status.stale
        if name == FAILING:
            trouble = self.troubles.get(status.server.id)
            return status.failed_proof or (trouble is not None and trouble.failed)
        if name == TODAY:
            made = status.newest.created if status.newest else None
            return made is not None and made.date() == self.now.date()
        return name in ("", status.state.value)

    def matching(self, text: str, name: str) -> list[ScheduleStatus]:
        """Return the servers that a search and a filter find.

        :param text: part of the name of a server or of one of its images, in any
            letter case, or of an ID; empty for all.
        :param name: a filter, or a state; empty for all.
        """
        part = text.lower()
        return [
            each
            for each in (self.unprotected if name == UNPROTECTED else self.servers)
            if self._fits(each, name)
            and (
                _has(part, each.server.name, each.server.id)
                or any(self._found(part, each.server.id))
            )
        ]

    def images_found(self, text: str) -> list[ServerImage]:
        """Return the images that a search finds by themselves, newest first."""
        part = text.lower()
        if not part:
            return []
        found = [
            image for server_id in self.images for image in self._found(part, server_id)
        ]
        return sorted(found, key=lambda each: each.created or LONG_AGO, reverse=True)

    def _found(self, part: str, server_id: str) -> Iterable[ServerImage]:
        images = self.images.get(server_id, ())
        return (image for image in images if _has(part, image.name, image.id))


def _about(file: PolicyFile | None, problem: str | None) -> str:
    """Return a sentence about the exceptions of policies."""
    if file is None:
        return "The panel was started without --policies: it knows no exceptions."
    if problem is not None:
        return f"The exceptions are those from before a mistake: {problem}."
    return f"The exceptions in {file.path.name} count."


def _has(part: str, name: str, long_id: str) -> bool:
    of_id = len(part) >= _LEAST_OF_ID and part in long_id
    return part in name.lower() or of_id


def _causes(cloud: Cloud, found: Inventory, before: Fleet | None) -> dict[str, Trouble]:
    """Return why servers lack an image; of many only of some at a time."""
    known = dict(before.troubles) if before else {}
    late = [each for each in found.servers if lacks_image(each)]
    # Those that are known longest come last, and take no request for a while.
    late.sort(key=lambda each: each.server.id in known)
    some = late[:_MOST_CAUSES]

    def cause(status: ScheduleStatus) -> Trouble | None:
        server_id = status.server.id
        images = found.images.get(server_id, [])
        return trouble_of(cloud, status, images, found.now, known.get(server_id))

    seen = {each.item.server.id: each.value for each in run(some, cause)}
    causes = {
        each.server.id: seen.get(each.server.id) or known.get(each.server.id)
        for each in late
    }
    return {server_id: why for server_id, why in causes.items() if why}
