"""Servers that are gone, and which of their images may be deleted.

That the compute service does not know a server proves little: an image service may
serve several regions, and the server may live in another one. So it also takes a sign
that the server was here: its deletion in the history that this region shows, or an
image that names this region. What an image has inherited from another one says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from rax_scheduled_images_ext.model.image import (
    GONE_KEY,
    ServerImage,
    name_in_service_name,
)
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.retention import Decision, Reason, apply_policy
from rax_scheduled_images_ext.model.server import facts_of
from rax_scheduled_images_ext.model.times import read_time, write_time


class Trace(Enum):
    """What is known of a server that the compute service does not have."""

    #: It was in this region, and was deleted.
    GONE = "gone"
    #: Nothing shows that it was in this region.
    REGION_UNKNOWN = "region unknown"


@dataclass(frozen=True)
class GoneServer:
    """A server that this region's compute service does not have.

    ``name`` is its last known one, ``region`` this region's, ``deleted`` when it was
    deleted, None if unknown. ``decisions`` are those on its images, newest first.
    """

    id: str
    name: str
    region: str | None
    deleted: datetime | None
    decisions: Sequence[Decision]

    @classmethod
    def of(
        cls,
        server_id: str,
        project_id: str | None,
        images: Iterable[ServerImage],
        region: str | None,
        deleted: datetime | None,
    ) -> GoneServer:
        """Return a server as known from its images.

        :param deleted: when it was deleted by its history, None if that is not shown.
        """
        decisions = apply_policy(images, server_id, None, project_id)
        names = (last_name(decision.image) for decision in _own(decisions))
        if deleted is None:
            deleted = _noted(decisions, region)
        return cls(server_id, next(filter(None, names), ""), region, deleted, decisions)

    @property
    def label(self) -> str:
        """Its name, or its ID if no name is known."""
        return self.name or self.id

    @property
    def images(self) -> list[ServerImage]:
        """All its images, newest first."""
        return [decision.image for decision in _own(self.decisions)]

    @property
    def counted(self) -> list[Decision]:
        """The decisions on its scheduled images, newest first."""
        return [decision for decision in self.decisions if decision.counted]

    @property
    def trace(self) -> Trace:
        """Whether the server is known to have been here."""
        known = any(names_region(each.image, self.region) for each in self.counted)
        return Trace.GONE if known or self.deleted else Trace.REGION_UNKNOWN

    def going(self, keep: Keep | int | None = None) -> list[Decision]:
        """Return the images to delete if somebody wants that, oldest first.

        An image that names another region is not among them.

        :param keep: what stays, by rules or as a number of the newest, None for none.
        """
        counted, rules = self.counted, Keep.of(keep) if keep else None
        made = [each.image.created for each in counted if each.image.created]
        kept = rules.decide(made) if rules else [()] * len(counted)
        return [
            replace(each, reason=Reason.GONE, keep=rules)
            for each, by in reversed(list(zip(counted, kept, strict=True)))
            if not by and self._is_local(each.image)
        ]

    def expired(self, after: timedelta, now: datetime) -> list[Decision]:
        """Return the images to delete as time has passed, oldest first.

        All of them must name this region.

        :param after: how long after the deletion of the server its images stay.
        """
        if self.deleted is None or now - self.deleted < after:
            return []
        return [e for e in self.going() if names_region(e.image, self.region)]

    def _is_local(self, image: ServerImage) -> bool:
        """Whether an image is one of a server of this region."""
        facts = facts_of(image)
        if facts is None or facts.region is None:
            return self.deleted is not None
        return facts.region == self.region


def last_name(image: ServerImage) -> str | None:
    """Return the name of its server when an image was made, None if it is not known."""
    facts = facts_of(image)
    return (facts and facts.name) or name_in_service_name(image)


def names_region(image: ServerImage, region: str | None) -> bool:
    """Whether an image itself says that its server is in a region."""
    facts = facts_of(image)
    return region is not None and facts is not None and facts.region == region


def gone_metadata(image: ServerImage, deleted: datetime) -> dict[str, str]:
    """Return what an image carries of the deletion of its server.

    The history of a deleted server is kept for some time only. On any other image, to
    which the property may be handed on, it says nothing.
    """
    return {GONE_KEY: f"{image.id}:{image.server_id}:{write_time(deleted)}"}


def noted_deletion(image: ServerImage) -> datetime | None:
    """Return when its server was deleted, as an image carries it."""
    image_id, _, rest = image.metadata.get(GONE_KEY, "").partition(":")
    server_id, _, time = rest.partition(":")
    own = image_id == image.id and server_id == image.server_id
    return read_time(time) if own else None


def _noted(decisions: Iterable[Decision], region: str | None) -> datetime | None:
    """Return when a server was deleted, by its images.

    With an image made later, the server was there again.
    """
    own = _own(decisions)
    notes = [
        noted_deletion(each.image)
        for each in own
        if each.counted and names_region(each.image, region)
    ]
    noted = max(filter(None, notes), default=None)
    again = any(
        each.image.created is not None and noted and each.image.created > noted
        for each in own
    )
    return None if again else noted


def _own(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions on images that belong to the server, as far as known."""
    foreign = (Reason.FOREIGN, Reason.OTHER_OWNER, Reason.INHERITED)
    return [each for each in decisions if each.reason not in foreign]
