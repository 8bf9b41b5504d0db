"""The image API: Glance's v2."""

from __future__ import annotations

from flask import Flask, g, jsonify, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import CloudError
from rax_scheduled_images_ext.sandbox.http.application import (
    add_routes,
    name_requests,
    new_app,
    page,
)
from rax_scheduled_images_ext.sandbox.http.common import (
    HttpError,
    Route,
    Services,
    open_call,
    status_of,
    unauthorized_body,
)
from rax_scheduled_images_ext.sandbox.image import about, images, metadefs

_IMAGE = "/images/<image_id>"

ROUTES = (
    Route("GET", "/images", images.list_images),
    Route("POST", "/images", images.create),
    Route("GET", _IMAGE, images.show),
    Route("PATCH", _IMAGE, images.update),
    Route("DELETE", _IMAGE, images.delete),
    Route("PUT", f"{_IMAGE}/file", images.upload),
    Route("GET", f"{_IMAGE}/file", images.download),
    Route("PUT", f"{_IMAGE}/tags/<tag>", images.add_tag),
    Route("DELETE", f"{_IMAGE}/tags/<tag>", images.delete_tag),
    Route("POST", f"{_IMAGE}/actions/deactivate", images.deactivate),
    Route("POST", f"{_IMAGE}/actions/reactivate", images.reactivate),
    Route("GET", f"{_IMAGE}/members", images.member_list),
    Route("GET", "/info/import", about.import_methods),
    Route("GET", "/info/usage", about.usage),
    Route("GET", "/metadefs/namespaces", metadefs.index),
    Route("GET", "/metadefs/namespaces/<name>", metadefs.show),
    Route("GET", "/schemas/image", about.image_schema),
    Route("GET", "/schemas/images", about.images_schema),
    Route("GET", "/schemas/metadefs/namespace", metadefs.schema),
)


def make_app(services: Services) -> Flask:
    """Return the application; the dispatcher has removed the first part of the URL."""
    app = new_app("image")
    name_requests(app, "x-openstack-request-id")

    @app.before_request
    def begin() -> None:
        g.call = open_call(services)

    @app.errorhandler(HttpError)
    def refuse(fault: HttpError) -> ResponseReturnValue:
        if fault.status == 401 and services.rackspace:
            return jsonify(unauthorized_body(services, fault)), 401, fault.headers
        if fault.status == 401:
            # Refused before Glance itself, which assigns the IDs of requests.
            del g.request_id
        return page(fault.status, fault.message, fault.headers, fault.detail)

    @app.errorhandler(CloudError)
    def refused_by_cloud(error: CloudError) -> ResponseReturnValue:
        return page(status_of(error), str(error))

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
    """Return the document at the service's own URL: the list of its versions."""
    app = new_app("image_versions")

    @app.get("/")
    def index() -> ResponseReturnValue:
        return about.version_list(request.root_url), 300

    @app.get("/versions")
    def versions() -> ResponseReturnValue:
        return about.version_list(request.root_url)

    return app
