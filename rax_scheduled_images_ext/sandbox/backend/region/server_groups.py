"""The server groups of a region's projects."""

from __future__ import annotations

from rax_scheduled_images_ext.sandbox.backend.models import NotFound, ServerGroup
from rax_scheduled_images_ext.sandbox.backend.region.base import Part
from rax_scheduled_images_ext.sandbox.backend.store import Row


class ServerGroups(Part):
    """Listing, making and deleting groups; a server is in one from its boot on."""

    def list(self, project_id: str) -> list[ServerGroup]:
        """Return those of a project, the oldest first."""
        rows = self._store.all(
            "SELECT id, name, policy, project_id, user_id FROM server_groups"
            " WHERE region = ? AND project_id = ? ORDER BY created, id",
            *(self.name, project_id),
        )
        return [self._group(row) for row in rows]

    def get(self, group_id: str, project_id: str) -> ServerGroup:
        """Return one.

        :raises NotFound: where the project has no such.
        """
        for group in self.list(project_id):
            if group.id == group_id:
                return group
        raise NotFound(f"Instance group {group_id} could not be found.")

    def add(
        self, name: str, policy: str, *, project_id: str, user_id: str
    ) -> ServerGroup:
        """Make one without members."""
        row: dict[str, object] = {
            "region": self.name,
            "id": self._cloud.new_id(),
            "name": name,
            "policy": policy,
            "project_id": project_id,
            "user_id": user_id,
            "created": self._cloud.now,
        }
        self._store.insert("server_groups", [row])
        return self.get(str(row["id"]), project_id)

    def delete(self, group: ServerGroup) -> None:
        """Delete one; its servers stay."""
        self._store.run(
            "DELETE FROM server_groups WHERE region = ? AND id = ?",
            *(self.name, group.id),
        )

    def _group(self, row: Row) -> ServerGroup:
        members = self._store.all(
            "SELECT id FROM servers WHERE region = ? AND group_id = ?"
            " AND deleted_at IS NULL ORDER BY created, id",
            *(self.name, row["id"]),
        )
        ids = tuple(member["id"] for member in members)
        return ServerGroup(**dict(row), members=ids)
