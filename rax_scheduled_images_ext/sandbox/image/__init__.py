"""The image API: Glance's v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from ..directory import MEMBER
from ..models import CloudError, Image, Invalid, NotFound
from ..wire import (
    Call,
    Fault,
    Route,
    Services,
    add_routes,
    isotime,
    name_requests,
    new_app,
    open_call,
    page,
    status_of,
    unauthorized_body,
    unmatched,
)
from . import changes, queries, schemas

Json = dict[str, Any]

_VERSIONS = ("v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


def list_images(call: Call) -> ResponseReturnValue:
    """GET /images"""
    query = queries.parse(request.args, call.project_id, call.services.max_limit)
    try:
        images = call.region.images(query) if query and query.limit else []
    except Invalid as error:
        raise Fault(400, str(error)) from None
    given = [(k, v) for k, v in request.args.items(multi=True) if k != "marker"]
    answer: Json = {
        "images": [image_view(image) for image in images],
        "first": _list_url(given),
        "schema": "/v2/schemas/images",
    }
    if query and images and len(images) == query.limit:
        answer["next"] = _list_url([*given, ("marker", images[-1].id)])
    return answer


def _list_url(query: list[tuple[str, str]]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


def image_view(image: Image) -> Json:
    """Return an image as this API writes it."""
    path = f"/v2/images/{image.id}"
    return {
        **image.properties,
        "name": image.name or None,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "visibility": image.visibility,
        "size": image.size,
        "virtual_size": None,
        "status": image.status,
        "checksum": image.checksum,
        "protected": image.protected,
        "min_ram": image.min_ram,
        "min_disk": image.min_disk,
        "owner": image.owner,
        "os_hidden": False,
        "os_hash_algo": None,
        "os_hash_value": None,
        "id": image.id,
        "created_at": isotime(image.created),
        "updated_at": isotime(image.updated),
        "tags": list(image.tags),
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }


def show(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}"""
    return image_view(_find(call, image_id))


def create(call: Call) -> ResponseReturnValue:
    """POST /images"""
    wanted = _body(dict)
    for key in schemas.NOT_IN_NEW:
        if key in wanted:
            raise Fault(403, f"Attribute '{key}' is read-only.")
    for key, value in wanted.items():
        schemas.check(key, value)
    properties = {k: v for k, v in wanted.items() if k not in schemas.PROPERTIES}
    for key in properties:
        if len(key) > 255:
            raise Fault(
                400, "Custom property should not be greater than 255 characters."
            )
        schemas.check_key(key)
    for key in ("status", "checksum", "size", "created_at", "updated_at"):
        if key in wanted:
            raise Fault(403, f"Attribute '{key}' is read-only.")
    _allow(call, "add_image")
    _check_visibility(wanted.get("visibility"))
    owner = wanted.get("owner") or call.project_id
    if owner != call.project_id:
        raise Fault(403, f"You are not permitted to create images owned by '{owner}'.")
    image = call.region.add_image(
        owner=owner,
        name=wanted.get("name") or "",
        properties=properties,
        visibility=wanted.get("visibility", "shared"),
        protected=wanted.get("protected", False),
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
        image = call.region.update_image(
            image_id, attributes=changed.attributes, properties=changed.properties
        )
    return image_view(image)


def delete(call: Call, image_id: str) -> ResponseReturnValue:
    """DELETE /images/{id}"""
    try:
        _changeable(call, image_id, "delete_image")
    except NotFound:
        raise Fault(404, f"Failed to find image {image_id} to delete") from None
    call.region.delete_image(image_id)
    return "", 204


def upload(call: Call, image_id: str) -> ResponseReturnValue:
    """PUT /images/{id}/file"""
    if request.mimetype != "application/octet-stream":
        raise Fault(415, f"The Content-Type {request.mimetype} is not supported.")
    image = _changeable(call, image_id, "upload_image")
    if image.disk_format is None or image.container_format is None:
        raise Fault(
            400,
            "Properties disk_format, container_format must be set prior to saving"
            " data.",
        )
    call.region.upload(image_id, request.get_data())
    return "", 204


def download(call: Call, image_id: str) -> ResponseReturnValue:
    """GET /images/{id}/file"""
    image = _find(call, image_id)
    data = call.region.image_data(image_id)
    # A snapshot's data is nowhere, as if its store had lost it.
    if data is None:
        return "", 204
    if image.status == "deactivated":
        raise Fault(
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
    call.region.update_image(image_id, attributes={"tags": tags})
    return "", 204


def delete_tag(call: Call, image_id: str, tag: str) -> ResponseReturnValue:
    """DELETE /images/{id}/tags/{tag}"""
    image = _changeable(call, image_id, "modify_image")
    if tag not in image.tags:
        raise Fault(404, "The resource could not be found.")
    tags = tuple(each for each in image.tags if each != tag)
    call.region.update_image(image_id, attributes={"tags": tags})
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
        raise Fault(
            400,
            f"Image status transition from {image.status} to {new} is not allowed",
        )
    if image.status == old:
        call.region.update_image(image_id, attributes={"status": new})
    return "", 204


def image_schema(_call: Call) -> ResponseReturnValue:
    """GET /schemas/image"""
    return schemas.image_schema()


def images_schema(_call: Call) -> ResponseReturnValue:
    """GET /schemas/images"""
    return schemas.images_schema()


def _find(call: Call, image_id: str) -> Image:
    """Return an image that the caller may see.

    :raises NotFound: where there is no such.
    """
    try:
        image = call.region.image(image_id)
    except NotFound:
        image = None
    if image and (image.owner == call.project_id or image.visibility in _OPEN):
        return image
    raise NotFound(f"No image found with ID {image_id}")


_OPEN = ("public", "community")


def _changeable(call: Call, image_id: str, action: str) -> Image:
    image = _find(call, image_id)
    _allow(call, action)
    if image.owner != call.project_id:
        raise Fault(403, "You do not own this image")
    return image


def _allow(call: Call, action: str) -> None:
    if MEMBER not in call.token.roles:
        raise Fault(403, f"You are not authorized to complete {action} action.")


def _check_visibility(visibility: object) -> None:
    # For the operator alone, who is not among the users.
    if visibility == "public":
        raise Fault(403, "You are not authorized to complete publicize_image action.")


def _body(kind: type) -> Any:
    content = request.get_json(force=True, silent=True)
    if content is None:
        raise Fault(400, "Malformed JSON in request body.")
    if not isinstance(content, kind) and kind is dict:
        raise Fault(400, f"Provided object does not match schema 'image': {content!r}")
    return content


_IMAGE = "/images/<image_id>"

ROUTES = (
    Route("GET", "/images", list_images),
    Route("POST", "/images", create),
    Route("GET", _IMAGE, show),
    Route("PATCH", _IMAGE, update),
    Route("DELETE", _IMAGE, delete),
    Route("PUT", f"{_IMAGE}/file", upload),
    Route("GET", f"{_IMAGE}/file", download),
    Route("PUT", f"{_IMAGE}/tags/<tag>", add_tag),
    Route("DELETE", f"{_IMAGE}/tags/<tag>", delete_tag),
    Route("POST", f"{_IMAGE}/actions/deactivate", deactivate),
    Route("POST", f"{_IMAGE}/actions/reactivate", reactivate),
    Route("GET", "/schemas/image", image_schema),
    Route("GET", "/schemas/images", images_schema),
)


def make_app(services: Services) -> Flask:
    """Return the application; its front has taken the URL's first part away."""
    app = new_app("image")
    name_requests(app, "x-openstack-request-id")

    @app.before_request
    def begin() -> None:
        g.call = open_call(services)

    @app.errorhandler(Fault)
    def refuse(fault: Fault) -> ResponseReturnValue:
        if fault.status == 401:
            return jsonify(unauthorized_body(services, fault)), 401, fault.headers
        return page(fault.status, fault.message, fault.headers)

    @app.errorhandler(CloudError)
    def refused_by_cloud(error: CloudError) -> ResponseReturnValue:
        return page(status_of(error), str(error))

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        return unmatched(error)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        app.logger.error("%s %s", request.method, request.path, exc_info=error)
        return page(
            500,
            "The server has either erred or is incapable of performing"
            " the requested operation.",
        )

    add_routes(app, ROUTES, services.cloud)
    return app


def make_root() -> Flask:
    """Return what is at the service's own URL: the list of its versions."""
    app = new_app("image_versions")
    name_requests(app, "x-openstack-request-id")

    @app.get("/")
    def index() -> ResponseReturnValue:
        return _version_list(request.root_url), 300

    @app.get("/versions")
    def versions() -> ResponseReturnValue:
        return _version_list(request.root_url)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        return unmatched(error)

    return app


def _version_list(root: str) -> Mapping[str, Any]:
    link = {"rel": "self", "href": f"{root.rstrip('/')}/v2/"}
    return {
        "versions": [
            {
                "id": version,
                "status": "SUPPORTED" if number else "CURRENT",
                "links": [link],
            }
            for number, version in enumerate(_VERSIONS)
        ]
    }
