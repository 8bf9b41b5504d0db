"""What all of a region's parts stand on."""

from __future__ import annotations

from collections.abc import Sized

from rax_scheduled_images_ext.sandbox.backend.models import Forbidden
from rax_scheduled_images_ext.sandbox.backend.state import CloudState

# How many metadata keys a server, or the image of one, may have.
MOST_METADATA = 128


class Base:
    """One region of a cloud; to be used inside a transaction."""

    def __init__(self, cloud: CloudState, name: str) -> None:
        self.name = name
        self._cloud = cloud
        self._store = cloud.store

    @staticmethod
    def check_metadata(metadata: Sized) -> None:
        """See that there are not too many keys.

        :raises Forbidden: where there are.
        """
        if len(metadata) > MOST_METADATA:
            raise Forbidden(f"Maximum number of metadata items exceeds {MOST_METADATA}")
