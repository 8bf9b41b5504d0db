"""Images of the image API: lists, show, create, change, delete, data, tags."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import MEMBER
from rax_scheduled_images_ext.sandbox.backend.models import (
    Image,
    Invalid,
    NotFound,
)
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError, bare
from rax_scheduled_images_ext.sandbox.image import changes, queries, schemas
from rax_scheduled_images_ext.sandbox.image.views import Json, image_view


def list_images(call: Call) -> ResponseReturnValue:
    """GET /images"""
    query = queries.parse(request.args, call.only_project, call.services.max_limit)
    try:
        images = call.region.images.select(query) if query.limit else []
    except Invalid:
        raise HttpError(400, f"No image found with ID {query.marker}") from None
    given = [(k, v) for k, v in request.args.items(multi=True) if k != "marker"]
    answer: Json = {
        "images": [image_view(image) for image in images],
        "first": _list_url(given),
        "schema": "/v2/schemas/images",
    }
    if images and len(images) == query.limit:
        answer["next"] = _list_url([*given, ("marker", images[-1].id)])
    return answer


def _list_url(query: list[tuple[str, str]]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


def show(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}"""
    return image_view(_find(call, image_id))


def create(call: Call) -> ResponseReturnValue:
    """POST /images"""
    wanted = _body(dict)
    for key in schemas.NOT_IN_NEW:
        if key in wanted:
            raise HttpError(403, f"Attribute '{key}' is read-only.")
    for key, value in wanted.items():
        schemas.check(key, value)
    properties = {k: v for k, v in wanted.items() if k not in schemas.PROPERTIES}
    for key in properties:
        if len(key) > 255:
            raise HttpError(
                400, "Custom property should not be greater than 255 characters."
            )
        schemas.check_key(key)
    for key in ("status", "checksum", "size", "created_at", "updated_at"):
        if key in wanted:
            raise HttpError(403, f"Attribute '{key}' is read-only.")
    _allow(call, "add_image")
    _check_visibility(wanted.get("visibility"))
    owner = wanted.get("owner") or call.project_id
    if owner != call.project_id:
        raise schemas.denied(
            f"You are not permitted to create images owned by '{owner}'"
        )
    image = call.region.images.add(
        owner=owner,
        name=wanted.get("name") or "",
        properties=properties,
        visibility=wanted.get("visibility", "shared"),
        protected=wanted.get("protected", False),
        hidden=wanted.get("os_hidden", False),
        min_disk=wanted.get("min_disk", 0),
        min_ram=wanted.get("min_ram", 0),
        disk_format=wanted.get("disk_format"),
        container_format=wanted.get("container_format"),
        tags=wanted.get("tags", ()),
        image_id=wanted.get("id"),
    )
    return image_view(image), 201, {"Location": f"{call.root}/images/{image.id}"}


def update(call: Call, image_id: str) -> ResponseReturnValue:
    """PATCH /images/{id}"""
    if request.mimetype not in changes.CONTENT_TYPES:
        changes.parse(request.mimetype, None)
    wanted = changes.parse(request.mimetype, _body(list))
    image = _changeable(call, image_id, "modify_image")
    changed = changes.apply(image, wanted)
    _check_visibility(changed.attributes.get("visibility"))
    if wanted:
        image = call.region.images.update(
            image_id, attributes=changed.attributes, properties=changed.properties
        )
    return image_view(image)


def delete(call: Call, image_id: str) -> ResponseReturnValue:
    """DELETE /images/{id}"""
    try:
        _changeable(call, image_id, "delete_image")
    except NotFound:
        raise HttpError(404, f"Failed to find image {image_id} to delete") from None
    call.region.images.delete(image_id)
    return "", 204


def upload(call: Call, image_id: str) -> ResponseReturnValue:
    """PUT /images/{id}/file"""
    if request.mimetype != "application/octet-stream":
        kind = request.mimetype
        raise schemas.unsupported(kind, f"Invalid content type {kind}")
    image = _changeable(call, image_id, "upload_image")
    if image.disk_format is None or image.container_format is None:
        raise HttpError(
            400,
            "Properties disk_format, container_format must be set prior to saving"
            " data.",
        )
    call.region.images.upload(image_id, request.get_data())
    return "", 204


def download(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}/file"""
    image = _find(call, image_id)
    data = call.region.images.data(image_id)
    # Snapshots have no data, as if the store had lost it.
    if data is None:
        return bare(204)
    if image.status == "deactivated":
        raise HttpError(
            403,
            "The requested image has been deactivated. Image data"
            " download is forbidden.",
        )
    headers = {"Content-MD5": image.checksum or ""}
    return Response(data, 200, headers, mimetype="application/octet-stream")


def add_tag(call: Call, image_id: str, tag: str) -> ResponseReturnValue:
    """PUT /images/{id}/tags/{tag}"""
    schemas.check("tags", [tag])
    image = _changeable(call, image_id, "modify_image")
    tags = tuple(dict.fromkeys((*image.tags, tag)))
    call.region.images.update(image_id, attributes={"tags": tags})
    return "", 204


def delete_tag(call: Call, image_id: str, tag: str) -> ResponseReturnValue:
    """DELETE /images/{id}/tags/{tag}"""
    image = _changeable(call, image_id, "modify_image")
    if tag not in image.tags:
        raise HttpError(404, "The resource could not be found.")
    tags = tuple(each for each in image.tags if each != tag)
    call.region.images.update(image_id, attributes={"tags": tags})
    return "", 204


def deactivate(call: Call, image_id: str) -> ResponseReturnValue:
    """POST /images/{id}/actions/deactivate"""
    return _set_status(call, image_id, "active", "deactivated")


def reactivate(call: Call, image_id: str) -> ResponseReturnValue:
    """POST /images/{id}/actions/reactivate"""
    return _set_status(call, image_id, "deactivated", "active")


def _set_status(call: Call, image_id: str, old: str, new: str) -> ResponseReturnValue:
    image = _changeable(call, image_id, "deactivate")
    if image.status not in (old, new):
        raise HttpError(
            400,
            f"Image status transition from {image.status} to {new} is not allowed",
        )
    if image.status == old:
        call.region.images.update(image_id, attributes={"status": new})
    return "", 204


def member_list(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}/members; no members can be added."""
    image = _find(call, image_id)
    if image.visibility != "shared":
        raise HttpError(403, "Only shared images have members.")
    return {"members": [], "schema": "/v2/schemas/members"}


def _find(call: Call, image_id: str) -> Image:
    """Return an image that the caller may see.

    :raises NotFound: if there is none.
    """
    try:
        image = call.region.images.get(image_id)
    except NotFound:
        image = None
    if image and call.sees(image):
        return image
    raise NotFound(f"No image found with ID {image_id}")


def _changeable(call: Call, image_id: str, action: str) -> Image:
    image = _find(call, image_id)
    _allow(call, action)
    if not call.reaches(image.owner):
        raise HttpError(403, "You do not own this image")
    return image


def _allow(call: Call, action: str) -> None:
    if MEMBER not in call.token.roles:
        raise HttpError(403, f"You are not authorized to complete {action} action.")


def _check_visibility(visibility: object) -> None:
    # Only for the operator, who is not one of the users.
    if visibility == "public":
        raise HttpError(
            403, "You are not authorized to complete publicize_image action."
        )


def _body(kind: type) -> Any:
    content = request.get_json(force=True, silent=True)
    if content is None:
        raise HttpError(400, "Malformed JSON in request body.")
    if not isinstance(content, kind) and kind is dict:
        raise HttpError(
            400, f"Provided object does not match schema 'image': {content!r}"
        )
    return content
