"""Images of the image service (Glance, API version 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    Transport,
    path,
    resource_id,
    shared_text,
)
from rax_scheduled_images_ext.client.images.base import (
    ATTRIBUTES,
    ImageFilter,
    ImageStore,
    check_key,
    read_id,
    read_metadata,
    read_number,
)
from rax_scheduled_images_ext.errors import ApiError, NoSuchImage, UnexpectedAnswer
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    PENDING,
    PENDING_KEY,
    SERVER_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.quota import ImageQuota, Limit
from rax_scheduled_images_ext.model.times import read_time, write_time

# The compute API's words for the image service's statuses.
_STATUS = {
    "queued": "SAVING",
    "saving": "SAVING",
    "uploading": "SAVING",
    "importing": "SAVING",
    "active": "ACTIVE",
    "killed": "ERROR",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
    "deactivated": "DEACTIVATED",
}
_MAKING = tuple(word for word, status in _STATUS.items() if status == "SAVING")
_PROGRESS = {
    "queued": 25,
    "saving": 50,
    "uploading": 50,
    "importing": 50,
    "active": 100,
}
_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
# Its errors have no form of their own; this is what it says of an image.
_NOT_FOUND = ("No image found with ID {}", "Failed to find image {} to delete")
# Of a resource that the service does not have.
_NO_RESOURCE = "The resource could not be found."
_PAGE = 1000
_MIB = 2**20
_RACES = 5


def versioned(endpoint: str) -> str:
    """Return the URL of version 2, given the catalog's, with ``/v2`` or without."""
    url = endpoint.rstrip("/")
    if not re.search(r"/v2(\.\d+)?(/|$)", urlsplit(url).path):
        url = re.sub(r"/v\d+(\.\d+)?$", "", url) + "/v2"
    return url


@dataclass(frozen=True)
class GlanceImages(ImageStore):
    """The images of an image service."""

    transport: Transport

    def get(self, image: object) -> ServerImage:
        image_id = resource_id(image)
        answer = self._of(image_id, "GET")
        return _image(answer, answer.document())

    def set_metadata(self, image: object, metadata: Mapping[str, str]) -> None:
        changes = _additions(metadata)
        if changes:
            self._patch(resource_id(image), changes).document()

    def delete_metadata(self, image: object, keys: Iterable[str]) -> None:
        self.change_metadata(image, {}, keys)

    def change_metadata(
        self, image: object, additions: Mapping[str, str], removals: Iterable[str]
    ) -> None:
        added = _additions(additions)
        # All changes of a request fail if one key does not exist.
        pointers = {key: _pointer(key) for key in removals}
        known = self._known(image)
        for _ in range(_RACES):
            removed = [
                {"op": "remove", "path": pointer}
                for key, pointer in pointers.items()
                if key in known.metadata
            ]
            # Removals first, for an image that has as many as it may.
            changes = removed + added
            if not changes:
                return
            answer = self._patch(known.id, changes)
            if answer.status != 409:
                answer.document()
                return
            known = self.get(known.id)
        raise answer.error()

    def delete(self, image: object) -> None:
        image_id = resource_id(image)
        answer = self._of(image_id, "DELETE")
        # If two delete an image at once, the service tells one that it cannot be
        # deleted; for a moment it still shows the image, as deleted.
        if answer.status == 400 and self.get(image_id).status == "DELETED":
            raise NoSuchImage(image_id)
        answer.empty()

    def reserve(
        self,
        image_id: str,
        name: str,
        properties: Mapping[str, str],
        *,
        hidden: bool = False,
    ) -> bool:
        """Create an empty image with this ID.

        :param hidden: whether lists omit it.
        :returns: False if the ID was used before.
        :raises ApiError: if the service refuses the image; the ID is still free then.
        """
        body: dict[str, Any] = {"id": image_id, "name": name, **properties}
        if hidden:
            body["os_hidden"] = True
        answer = self.transport.send("POST", "/images", body=body)
        if answer.status == 409:
            return False
        answer.document()
        return True

    def quota(self) -> ImageQuota | None:
        answer = self.transport.get("/info/usage")
        # Older services have no such resource, and others no such limits. What anybody
        # else says, such as a proxy, is no reason to believe that there are none.
        if answer.status == 404 and _NO_RESOURCE in answer.response.text:
            return None
        try:
            usage = answer.object("usage")
        except (ApiError, UnexpectedAnswer) as error:
            return ImageQuota(None, None, str(error))
        number = _limit(usage.get("image_count_total"))
        size = _limit(usage.get("image_size_total"), _MIB)
        return ImageQuota(number, size) if number or size else None

    def _list(self, wanted: ImageFilter) -> Iterator[ServerImage]:
        keys = wanted.keys if wanted.is_large else None
        changes = keys is None or wanted.changed_since is not None
        pages = self.transport.pages(
            "/images", _query(wanted), _next_page, ahead=wanted.is_large
        )
        for answer in pages:
            yield from (
                _image(answer, image, keys, changes=changes)
                for image in answer.objects("images")
            )
            # Before the next page is parsed: a page takes megabytes.
            del answer

    def _patch(self, image_id: str, changes: list[dict[str, str]]) -> ApiResponse:
        return self._of(image_id, "PATCH", body=changes, headers=_PATCH)

    def _of(self, image_id: str, method: str, **options: Any) -> ApiResponse:
        answer = self.transport.send(method, path("images", image_id), **options)
        said = answer.response.text if answer.status == 404 else ""
        if any(text.format(image_id) in said for text in _NOT_FOUND):
            raise NoSuchImage(image_id)
        return answer


def _limit(shown: object, unit: int = 1) -> Limit | None:
    """Return a limit as the service shows it, None for none."""
    found = shown if isinstance(shown, dict) else {}
    most, used = read_number(found.get("limit")), read_number(found.get("usage"))
    if most is None or used is None or most < 0:
        return None
    return Limit(most * unit, used * unit)


def _query(wanted: ImageFilter) -> dict[str, Any]:
    """Return the query for a filter, as far as the service understands it."""
    name, server_id, since = wanted.name, wanted.server_id, wanted.changed_since
    asked = (
        (True, "limit", wanted.limit or _PAGE),
        # Such a name would be read as a list of names.
        (name is not None and not name.startswith("in:"), "name", name),
        (server_id is not None, SERVER_KEY, server_id),
        (wanted.scheduled, MARKER_KEY, MARKER_VALUE),
        (wanted.snapshots, TYPE_KEY, SNAPSHOT),
        (wanted.owner is not None, "owner", wanted.owner),
        (wanted.pending and wanted.ids is None, PENDING_KEY, PENDING),
        (since is not None, "updated_at", f"gte:{write_time(since)}"),
        # One server has few images, and old services do not have such lists.
        (wanted.making and server_id is None, "status", f"in:{','.join(_MAKING)}"),
        (wanted.hidden, "os_hidden", "true"),
        (wanted.ids is not None, "id", f"in:{','.join(sorted(wanted.ids or ()))}"),
    )
    return {key: value for wished, key, value in asked if wished}


def _additions(metadata: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the changes that set metadata."""
    # `add` also replaces existing values, in RFC 6902 and in the service.
    return [
        {"op": "add", "path": _pointer(key), "value": value}
        for key, value in metadata.items()
    ]


def _pointer(key: str) -> str:
    """Return the JSON pointer to a metadata key."""
    return "/" + check_key(key).replace("~", "~0").replace("/", "~1")


def _next_page(answer: ApiResponse) -> str | None:
    following = answer.document().get("next")
    return None if following is None else str(following)


def _image(
    answer: ApiResponse,
    image: Mapping[str, Any],
    keys: Iterable[str] | None = None,
    *,
    changes: bool = True,
) -> ServerImage:
    """Read one image of a response, with all its metadata or only these keys.

    :param changes: whether to read when it was changed.
    """
    if keys is None:
        keys = (key for key in image if key not in ATTRIBUTES)
    metadata = read_metadata(answer, {key: image[key] for key in keys if key in image})
    status = str(image.get("status"))
    protected = image.get("protected")
    return ServerImage(
        id=read_id(answer, image),
        name=str(image.get("name") or ""),
        status=_STATUS.get(status, "UNKNOWN"),
        created=read_time(image.get("created_at")),
        updated=read_time(image.get("updated_at")) if changes else None,
        size=read_number(image.get("size")),
        min_disk=read_number(image.get("min_disk")) or 0,
        min_ram=read_number(image.get("min_ram")) or 0,
        progress=_PROGRESS.get(status, 0),
        server_id=metadata.get(SERVER_KEY),
        owner=shared_text(image.get("owner")) or None,
        protected=protected if isinstance(protected, bool) else None,
        metadata=metadata,
        is_queued=status == "queued",
        hidden=image.get("os_hidden") is True,
    )
