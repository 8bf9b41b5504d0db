"""Server images: one shape, whatever API it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

# The service finds "its" images by this one piece of metadata; whoever removes
# it keeps the image for good.
MARKER_KEY = "org.openstack__1__created_by"
MARKER_VALUE = "scheduled_images_service"
SERVER_KEY = "instance_uuid"


@dataclass(frozen=True)
class ServerImage:
    """An image as the compute API describes it.

    ``status`` is the compute API's word in capitals (ACTIVE, SAVING, ERROR,
    DELETED, UNKNOWN), ``created`` and ``updated`` are aware UTC times,
    ``size`` is in bytes, ``min_disk`` in GiB, ``min_ram`` in MiB, ``progress``
    in per cent; ``protected`` is None where the API does not tell.
    """

    id: str
    name: str
    status: str
    created: datetime | None = None
    updated: datetime | None = None
    size: int | None = None
    min_disk: int = 0
    min_ram: int = 0
    progress: int = 0
    server_id: str | None = None
    protected: bool | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheduled(self) -> bool:
        """Whether the scheduled images service takes the image for its own."""
        return self.metadata.get(MARKER_KEY) == MARKER_VALUE
