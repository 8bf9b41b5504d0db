"""Volume snapshots of the block storage service (Cinder, API version 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rax_scheduled_images_ext.client.http import ApiResponse, Transport, path
from rax_scheduled_images_ext.errors import NoSuchVolumeSnapshot
from rax_scheduled_images_ext.model.times import read_time
from rax_scheduled_images_ext.model.volume_snapshots import Volume, VolumeSnapshot

#: The first version that lists snapshots by their metadata; older ones list all.
FILTER_VERSION = "3.22"
_PROJECT = "os-extended-snapshot-attributes:project_id"
_OWNER = "os-vol-tenant-attr:tenant_id"
_PAGE = 1000


@dataclass(frozen=True)
class Volumes:
    """The volume snapshots of a block storage service.

    Every call raises :class:`.ApiError` for a refusal, :class:`.UnexpectedAnswer` for a
    malformed response, and keystoneauth's errors without a response.
    """

    transport: Transport
    #: The same service at :data:`FILTER_VERSION`.
    lists: Transport

    @property
    def project_id(self) -> str | None:
        """The ID of the project of the calls."""
        return self.transport.adapter.get_project_id()

    def snapshot(self, snapshot_id: str) -> VolumeSnapshot:
        """Return a snapshot as it is now.

        :raises NoSuchVolumeSnapshot: if the service itself answers that there is none.
        """
        answer = self._of(snapshot_id, "GET")
        return _snapshot(answer, answer.object("snapshot"))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Request the deletion of a snapshot, which the service does later.

        :raises NoSuchVolumeSnapshot: if the service itself answers that there is none.
        """
        self._of(snapshot_id, "DELETE").empty()

    def set_metadata(self, snapshot_id: str, metadata: Mapping[str, str]) -> None:
        """Add this metadata, or change it if it exists.

        :raises NoSuchVolumeSnapshot: if the service itself answers that there is none.
        """
        body = {"metadata": dict(metadata)}
        answer = self._of(snapshot_id, "POST", "metadata", body=body)
        if not metadata.items() <= answer.object("metadata").items():
            raise answer.unexpected("without the metadata that was set")

    def with_metadata(
        self, key: str, value: str, *, all_projects: bool = False
    ) -> Iterator[VolumeSnapshot]:
        """Yield the snapshots with a metadata item, page after page.

        :param all_projects: of all projects, which requires an administrator.
        """
        # The service parses this as a Python literal.
        query = {"metadata": str({key: value})}
        for snapshot in self.snapshots(query, all_projects=all_projects):
            if snapshot.metadata.get(key) == value:
                yield snapshot

    def snapshots(
        self, query: Mapping[str, Any] | None = None, *, all_projects: bool = False
    ) -> Iterator[VolumeSnapshot]:
        """Yield all snapshots, page after page.

        :param all_projects: of all projects, which requires an administrator.
        """
        query = {**(query or {}), "limit": _PAGE}
        if all_projects:
            query["all_tenants"] = 1
        for answer in self.lists.pages("/snapshots/detail", query, _next_page):
            for item in answer.objects("snapshots"):
                yield _snapshot(answer, item)

    def volumes(self, *, all_projects: bool = False) -> Iterator[Volume]:
        """Yield all volumes, page after page.

        :param all_projects: of all projects, which requires an administrator.
        """
        query: dict[str, Any] = {"limit": _PAGE}
        if all_projects:
            query["all_tenants"] = 1
        pages = self.lists.pages(
            "/volumes/detail", query, lambda answer: answer.next_link("volumes_links")
        )
        for answer in pages:
            for item in answer.objects("volumes"):
                yield _volume(answer, item)

    def _of(
        self, snapshot_id: str, method: str, *more: str, body: Any = None
    ) -> ApiResponse:
        url = path("snapshots", snapshot_id, *more)
        answer = self.transport.send(method, url, body=body)
        if answer.not_found:
            raise NoSuchVolumeSnapshot(snapshot_id)
        return answer.checked()


def _next_page(answer: ApiResponse) -> str | None:
    return answer.next_link("snapshots_links")


def _volume(answer: ApiResponse, item: Mapping[str, Any]) -> Volume:
    volume_id, status = item.get("id"), item.get("status")
    if not isinstance(volume_id, str) or not isinstance(status, str):
        raise answer.unexpected("with a volume that has no ID or no status")
    source, project_id = item.get("snapshot_id"), item.get(_OWNER)
    return Volume(
        volume_id,
        str(item.get("name") or ""),
        status,
        project_id=project_id if isinstance(project_id, str) else None,
        created=read_time(item.get("created_at")),
        size=item.get("size"),
        snapshot_id=source if isinstance(source, str) else None,
    )


def _snapshot(answer: ApiResponse, snapshot: Mapping[str, Any]) -> VolumeSnapshot:
    snapshot_id, status = snapshot.get("id"), snapshot.get("status")
    name, project_id = snapshot.get("name"), snapshot.get(_PROJECT)
    metadata, size = snapshot.get("metadata"), snapshot.get("size")
    changed = snapshot.get("updated_at") or snapshot.get("created_at")
    if not isinstance(snapshot_id, str) or not isinstance(status, str):
        raise answer.unexpected("with a volume snapshot that has no ID or no status")
    return VolumeSnapshot(
        id=snapshot_id,
        name=name if isinstance(name, str) else None,
        status=status,
        project_id=project_id if isinstance(project_id, str) else None,
        changed=read_time(changed),
        metadata=metadata if isinstance(metadata, dict) else {},
        size=size if isinstance(size, int) else None,
    )
