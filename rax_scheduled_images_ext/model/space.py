"""How much space the images of servers take, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rax_scheduled_images_ext.errors import SnapshotsInDoubt
from rax_scheduled_images_ext.model.image import MAPPING_KEY, ServerImage
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.model.volume_snapshots import named_snapshots

GIB = 2**30


@dataclass(frozen=True)
class Space:
    """What some images take: their number, and their bytes as far as known.

    ``unknown`` is how many of them are of unknown size.
    """

    number: int = 0
    known: int = 0
    unknown: int = 0

    def __add__(self, other: Space) -> Space:
        return Space(
            self.number + other.number,
            self.known + other.known,
            self.unknown + other.unknown,
        )

    @property
    def size(self) -> int | None:
        """The bytes of all the images, None if any of them is of unknown size."""
        return None if self.unknown else self.known

    @property
    def gib(self) -> float | None:
        """The size in GiB, to three places."""
        return None if self.size is None else round(self.size / GIB, 3)

    def cost(self, price: float) -> float | None:
        """Return what the images cost a month at a price for each GiB."""
        return None if self.size is None else round(self.size / GIB * price, 2)


@dataclass(frozen=True)
class Sizes:
    """The sizes of volume snapshots in GiB by ID; None if they are not known."""

    gib: Mapping[str, int] | None

    def of(self, image: ServerImage) -> int | None:
        """Return the bytes that an image takes, None if unknown.

        What is not complete has no size yet.
        """
        return None if image.size is None else self.space([image]).size

    def space(self, images: Iterable[ServerImage]) -> Space:
        """Return what images take.

        The image of a volume-backed server is empty: its volume snapshots take the
        space, each counted once even if several images name it.
        """
        number = known = unknown = 0
        seen: set[str] = set()
        for image in images:
            if image.status == "DELETED":
                continue
            number += 1
            named: list[str] = []
            try:
                if MAPPING_KEY in image.metadata:
                    named = named_snapshots(image)
            except SnapshotsInDoubt:
                unknown += 1
                continue
            new = [each for each in named if each not in seen]
            seen.update(new)
            sizes = [None if self.gib is None else self.gib.get(each) for each in new]
            own = 0 if image.size is None and image.status == "SAVING" else image.size
            if own is None or None in sizes:
                unknown += 1
            else:
                known += own + GIB * sum(each or 0 for each in sizes)
        return Space(number, known, unknown)


@dataclass(frozen=True)
class Spaces:
    """What images take by the ID of their server, and full quotas by project."""

    servers: Mapping[str, Space]
    quotas: Mapping[str, FullQuota]
