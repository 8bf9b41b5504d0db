"""What all of a region's parts stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cloud import Cloud


class Base:
    """One region of a cloud; to be used inside a transaction."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.name = name
        self._cloud = cloud
        self._store = cloud.store
