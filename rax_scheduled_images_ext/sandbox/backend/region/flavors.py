"""A region's flavors."""

from __future__ import annotations

from rax_scheduled_images_ext.sandbox.backend.models import Flavor, NotFound
from rax_scheduled_images_ext.sandbox.backend.region.base import Part

_FLAVORS = {
    flavor.id: flavor
    for flavor in (
        Flavor("1", "m1.tiny", 512, 1, 1),
        Flavor("2", "m1.small", 2048, 1, 20),
        Flavor("3", "m1.medium", 4096, 2, 40),
        Flavor("4", "m1.scratch", 2048, 1, 20, ephemeral=10, swap=1024),
        Flavor("5", "m1.diskless", 2048, 1, 0),
    )
}


class Flavors(Part):
    """Listing and deleting flavors; a deleted one stays that of its servers."""

    def list(self, *, deleted: bool = False) -> list[Flavor]:
        """Return those that a new server may have; deleted ones only if asked for."""
        flavors = _FLAVORS.values()
        return [each for each in flavors if deleted or not self._is_gone(each.id)]

    def get(self, flavor_id: str) -> Flavor:
        """Return one that a new server may have.

        :raises NotFound: where there is none.
        """
        if flavor_id not in _FLAVORS or self._is_gone(flavor_id):
            raise NotFound(f"Flavor {flavor_id} could not be found.")
        return _FLAVORS[flavor_id]

    @staticmethod
    def known(flavor_id: str) -> Flavor:
        """Return the flavor of a server that is there, be it deleted or not."""
        return _FLAVORS[flavor_id]

    def delete(self, flavor_id: str) -> None:
        """Let no new server have a flavor.

        :raises NotFound: where there is none.
        """
        self._store.note(self._key(self.get(flavor_id).id), 1)

    def _is_gone(self, flavor_id: str) -> bool:
        return self._store.noted(self._key(flavor_id)) is not None

    def _key(self, flavor_id: str) -> str:
        return f"flavor {flavor_id} of {self.name} is gone"
