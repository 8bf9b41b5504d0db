"""Images through the proxy of compute services, up to microversion 2.35.

The proxy does not show who owns an image. But it can list only private images, and
these belong to the user's project; the owner of any other image is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    Transport,
    path,
    resource_id,
)
from rax_scheduled_images_ext.client.images.base import (
    ImageFilter,
    ImageStore,
    check_key,
    read_id,
    read_metadata,
    read_number,
)
from rax_scheduled_images_ext.errors import NoSuchImage
from rax_scheduled_images_ext.model.image import (
    SERVER_KEY,
    SNAPSHOT,
    ServerImage,
)
from rax_scheduled_images_ext.model.times import read_time

_LAST_VERSION = (2, 35)
_VISIBILITY = "property-visibility"


def proxy_version(version: str | None) -> str | None:
    """Return the microversion for the proxy, given the one of other calls."""
    if version and tuple(map(int, version.split("."))) > _LAST_VERSION:
        return ".".join(map(str, _LAST_VERSION))
    return version


@dataclass(frozen=True)
class ComputeImages(ImageStore):
    """The images of a compute service's proxy."""

    transport: Transport

    def get(self, image: object) -> ServerImage:
        image_id = resource_id(image)
        answer = self._of(image_id, "GET", path("images", image_id))
        return _image(answer, answer.object("image"))

    def set_metadata(self, image: object, metadata: Mapping[str, str]) -> None:
        body = {"metadata": {check_key(key): value for key, value in metadata.items()}}
        if metadata:
            image_id = resource_id(image)
            url = path("images", image_id, "metadata")
            self._of(image_id, "POST", url, body).object("metadata")

    def delete_metadata(self, image: object, keys: Iterable[str]) -> None:
        wanted = [check_key(key) for key in keys]
        known = self._known(image)
        for key in wanted:
            if key not in known.metadata:
                continue
            url = path("images", known.id, "metadata", key)
            answer = self.transport.send("DELETE", url)
            # The image was just found, so only the metadata is gone, as wanted.
            if not answer.not_found:
                answer.empty()

    def delete(self, image: object) -> None:
        image_id = resource_id(image)
        self._of(image_id, "DELETE", path("images", image_id)).empty()

    def _list(self, wanted: ImageFilter) -> Iterator[ServerImage]:
        query: dict[str, Any] = {}
        if wanted.limit is not None:
            query["limit"] = wanted.limit
        # The image service behind it would read such a name as a list.
        if wanted.name is not None and not wanted.name.startswith("in:"):
            query["name"] = wanted.name
        if wanted.server_id is not None:
            query["server"] = wanted.server_id
        if wanted.snapshots:
            query["type"] = SNAPSHOT
        # By status the proxy would find only the queued or only the saving ones.
        # The proxy's filter on the marker does not work.
        many = wanted.is_large
        pages = self.transport.pages("/images/detail", query, _next_page, ahead=many)
        keys = wanted.keys if many else None
        # The owner only matters when images are counted.
        counting = wanted.server_id is not None or many
        counting = counting and not wanted.making and wanted.name is None
        private = self._private(query) if counting else frozenset()
        project_id = self.transport.adapter.get_project_id() if private else None
        for answer in pages:
            for image in answer.objects("images"):
                found = _image(answer, image, keys)
                yield replace(found, owner=project_id if found.id in private else None)

    def _private(self, query: Mapping[str, Any]) -> frozenset[str]:
        """Return the IDs of the private images in a query."""
        if not self._filters_private:
            return frozenset()
        wanted = {**query, _VISIBILITY: "private"}
        pages = self.transport.pages("/images", wanted, _next_page)
        return frozenset(
            read_id(answer, image)
            for answer in pages
            for image in answer.objects("images")
        )

    @cached_property
    def _filters_private(self) -> bool:
        """Whether the proxy has the filter: one that ignores it lists all images."""
        query = {_VISIBILITY: "neither", "limit": 1}
        answer = self.transport.get("/images", query)
        return answer.status == 400 or not answer.objects("images")

    def _of(
        self, image_id: str, method: str, url: str, body: Any = None
    ) -> ApiResponse:
        answer = self.transport.send(method, url, body=body)
        if answer.not_found:
            raise NoSuchImage(image_id)
        return answer


def _next_page(answer: ApiResponse) -> str | None:
    return answer.next_link("images_links")


def _image(
    answer: ApiResponse, image: Mapping[str, Any], keys: Iterable[str] | None = None
) -> ServerImage:
    """Read one image of a response, with all its metadata or only these keys."""
    metadata = read_metadata(answer, image.get("metadata", {}))
    if keys is not None:
        metadata = {key: metadata[key] for key in keys if key in metadata}
    server = image.get("server")
    server_id = server.get("id") if isinstance(server, dict) else None
    return ServerImage(
        id=read_id(answer, image),
        name=str(image.get("name") or ""),
        status=str(image.get("status") or "UNKNOWN").upper(),
        created=read_time(image.get("created")),
        updated=read_time(image.get("updated")),
        size=read_number(image.get("OS-EXT-IMG-SIZE:size")),
        min_disk=read_number(image.get("minDisk")) or 0,
        min_ram=read_number(image.get("minRam")) or 0,
        progress=read_number(image.get("progress")) or 0,
        server_id=server_id or metadata.get(SERVER_KEY),
        metadata=metadata,
    )
