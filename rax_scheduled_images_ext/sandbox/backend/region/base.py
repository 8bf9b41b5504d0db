"""What all of a region's parts stand on."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.sandbox.backend.models import Forbidden

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox.backend.region import Region

# How many metadata keys a server, or the image of one, may have.
MOST_METADATA = 128


class Part:
    """One part of a region, which knows the others."""

    def __init__(self, region: Region) -> None:
        self.name = region.name
        self._region = region
        self._cloud = region.cloud
        self._store = region.cloud.store


class OfImages(Part):
    """A part that regions with one image service share."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self.name = region.cloud.images_of or region.name


def check_metadata(metadata: Sized) -> None:
    """See that there are not too many keys.

    :raises Forbidden: where there are.
    """
    if len(metadata) > MOST_METADATA:
        raise Forbidden(f"Maximum number of metadata items exceeds {MOST_METADATA}")
