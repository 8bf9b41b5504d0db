"""The proxy of the compute API for the image service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import MEMBER
from rax_scheduled_images_ext.sandbox.backend.models import (
    Forbidden,
    Image,
    ImageQuery,
    Invalid,
    NotFound,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import check_metadata
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas
from rax_scheduled_images_ext.sandbox.compute.views import image_view
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError
from rax_scheduled_images_ext.sandbox.image.schemas import VISIBILITIES

_ATTRIBUTES = {
    "name": "name",
    "status": "status",
    "minRam": "min_ram",
    "minDisk": "min_disk",
}
_PROPERTIES = {"server": "instance_uuid", "type": "image_type"}


def list_brief(call: Call) -> ResponseReturnValue:
    """GET /images"""
    return _page(call, "images", full=False)


def list_detail(call: Call) -> ResponseReturnValue:
    """GET /images/detail"""
    return _page(call, "images/detail", full=True)


def _page(call: Call, path: str, *, full: bool) -> ResponseReturnValue:
    size = inputs.page_size(call) or call.services.max_limit
    try:
        images = call.region.images.select(_query(call, _limit(call, size)))
    except Invalid:
        marker = inputs.given("marker")
        text = f"HTTP 400 Bad Request: No image found with ID {marker}"
        raise HttpError(400, text) from None
    ids = (image.id for image in images)
    views = [image_view(call, image, full=full) for image in images]
    return {"images": views, **inputs.next_link(call, path, ids, size)}


def _limit(call: Call, size: int) -> int | None:
    """Return the maximum number of images to list.

    Nova requests as many as the client wants from the image service (0 means all of
    them), and applies its own limit only to the link.
    """
    if call.services.rackspace:
        return size
    return int(inputs.given("limit") or 0) or None


def _query(call: Call, limit: int | None) -> ImageQuery:
    given = request.args
    equals: dict[str, str | bool | int] = {"hidden": False}
    properties: dict[str, str] = {}
    for name, text in given.items():
        if name in _ATTRIBUTES:
            equals[_ATTRIBUTES[name]] = text.lower() if name == "status" else text
        elif name in _PROPERTIES or name.startswith("property-"):
            key = _property(call, name)
            text = text.rsplit("/", 1)[-1] if name == "server" else text
            # The rest of the name may be an attribute in the image service.
            if key == "visibility" and text not in VISIBILITIES:
                text = f"HTTP 400 Bad Request: Invalid visibility value: {text}"
                raise HttpError(400, text)
            (equals if key == "visibility" else properties)[key] = text
    changed = inputs.since("changes-since")
    return ImageQuery(
        project_id=call.only_project,
        equals=equals,
        compares=() if changed is None else (("updated", ("gte", changed)),),
        properties=properties,
        marker=given.get("marker"),
        limit=limit,
    )


def _property(call: Call, name: str) -> str:
    if name in _PROPERTIES:
        return _PROPERTIES[name]
    if call.services.rackspace:
        return name.removeprefix("property-")
    # Nova strips these letters, not this prefix, so that some keys (such as
    # org.openstack...) are mutilated and never match.
    return name.lstrip("property-")  # noqa: B005


def show(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}"""
    # This shows clients of Rackspace that retention deleted an image.
    image = _find(call, image_id, deleted=call.services.rackspace)
    return {"image": image_view(call, image, full=True)}


def delete(call: Call, image_id: str) -> ResponseReturnValue:
    """DELETE /images/{id}"""
    refusal = "You are not allowed to delete the image."
    _changeable(call, image_id, refusal)
    try:
        call.region.images.delete(image_id)
    except Forbidden:
        raise HttpError(403, refusal) from None
    return inputs.nothing(204)


def metadata_list(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}/metadata"""
    return {"metadata": dict(_find(call, image_id).properties)}


def metadata_add(call: Call, image_id: str) -> ResponseReturnValue:
    """POST /images/{id}/metadata"""
    added = inputs.body(schemas.SET_METADATA)["metadata"]
    image = _changeable(call, image_id)
    return {"metadata": _replace(call, image, {**image.properties, **added})}


def metadata_replace(call: Call, image_id: str) -> ResponseReturnValue:
    """PUT /images/{id}/metadata"""
    whole = inputs.body(schemas.SET_METADATA)["metadata"]
    return {"metadata": _replace(call, _changeable(call, image_id), whole)}


def metadata_show(call: Call, image_id: str, key: str) -> ResponseReturnValue:
    """GET /images/{id}/metadata/{key}"""
    properties = _find(call, image_id).properties
    if key not in properties:
        raise HttpError(404, "The resource could not be found.")
    return {"meta": {key: properties[key]}}


def metadata_set(call: Call, image_id: str, key: str) -> ResponseReturnValue:
    """PUT /images/{id}/metadata/{key}"""
    item = inputs.checked_item(key)
    image = _changeable(call, image_id)
    _replace(call, image, {**image.properties, **item})
    return {"meta": item}


def metadata_delete(call: Call, image_id: str, key: str) -> ResponseReturnValue:
    """DELETE /images/{id}/metadata/{key}"""
    image = _changeable(call, image_id)
    if key not in image.properties:
        raise HttpError(404, "Invalid metadata key")
    kept = {name: text for name, text in image.properties.items() if name != key}
    _replace(call, image, kept)
    return inputs.nothing(204)


def _replace(call: Call, image: Image, whole: Mapping[str, str]) -> dict[str, Any]:
    check_metadata(whole)
    return dict(call.region.images.update(image.id, properties=whole).properties)


def _find(call: Call, image_id: str, *, deleted: bool = False) -> Image:
    """Return an image that the caller may see.

    :raises HttpError: 404 for any other.
    """
    try:
        image = call.region.images.get(image_id, deleted=deleted)
    except NotFound:
        image = None
    if image is None or not call.sees(image):
        raise HttpError(404, "Image not found.")
    return image


def _changeable(call: Call, image_id: str, refusal: str | None = None) -> Image:
    """Return an image that the caller may change.

    :raises HttpError: 403 with the refusal for one that the caller may only see.
    """
    image = _find(call, image_id)
    if MEMBER not in call.token.roles or not call.reaches(image.owner):
        raise HttpError(403, refusal or f"Not authorized for image {image_id}.")
    return image
