"""Volume snapshots as the block storage service (Cinder, API version 3) has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rax_scheduled_images_ext.client.errors import NoSuchVolumeSnapshot
from rax_scheduled_images_ext.client.http import ApiResponse, Transport, path
from rax_scheduled_images_ext.model.volume_snapshots import VolumeSnapshot

_PROJECT = "os-extended-snapshot-attributes:project_id"


@dataclass(frozen=True)
class Volumes:
    """The volume snapshots of a block storage service.

    Every call raises :class:`.ApiError` for a refusal, :class:`.UnexpectedAnswer` for
    an answer that makes no sense, and keystoneauth's errors if none came.
    """

    transport: Transport

    def snapshot(self, snapshot_id: str) -> VolumeSnapshot:
        """Return a snapshot as it is now.

        :raises NoSuchVolumeSnapshot: if the service itself answers that there is none.
        """
        answer = self._of(snapshot_id, "GET")
        return _snapshot(answer, answer.object("snapshot"))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Have a snapshot deleted: the service does it afterwards.

        :raises NoSuchVolumeSnapshot: if the service itself answers that there is none.
        """
        self._of(snapshot_id, "DELETE").empty()

    def _of(self, snapshot_id: str, method: str) -> ApiResponse:
        answer = self.transport.send(method, path("snapshots", snapshot_id))
        # Whoever else answers 404, a proxy in between, knows nothing of snapshots.
        if answer.status == 404 and answer.error_message("itemNotFound"):
            raise NoSuchVolumeSnapshot(snapshot_id)
        return answer.checked()


def _snapshot(answer: ApiResponse, snapshot: Mapping[str, Any]) -> VolumeSnapshot:
    snapshot_id, status = snapshot.get("id"), snapshot.get("status")
    name, project_id = snapshot.get("name"), snapshot.get(_PROJECT)
    if not isinstance(snapshot_id, str) or not isinstance(status, str):
        raise answer.unexpected("with a volume snapshot that has no ID or no status")
    return VolumeSnapshot(
        id=snapshot_id,
        name=name if isinstance(name, str) else None,
        status=status,
        project_id=project_id if isinstance(project_id, str) else None,
    )
