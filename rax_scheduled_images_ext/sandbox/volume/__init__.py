"""The block storage API: Cinder's v3 with microversions."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.sandbox.backend.models import CloudError
from rax_scheduled_images_ext.sandbox.http.common import (
    MOUNT,
    HttpError,
    Route,
    Services,
    add_routes,
    name_requests,
    new_app,
    open_call,
    status_of,
    unauthorized_body,
    unmatched,
)
from rax_scheduled_images_ext.sandbox.volume import snapshots, versions, volumes

_VOLUME = "/volumes/<volume_id>"
_SNAPSHOT = "/snapshots/<snapshot_id>"

ROUTES = (
    Route("GET", "/volumes", volumes.list_brief),
    Route("POST", "/volumes", volumes.create),
    Route("GET", "/volumes/detail", volumes.list_detail),
    Route("GET", _VOLUME, volumes.show),
    Route("DELETE", _VOLUME, volumes.delete),
    Route("GET", "/snapshots", snapshots.list_brief),
    Route("POST", "/snapshots", snapshots.create),
    Route("GET", "/snapshots/detail", snapshots.list_detail),
    Route("GET", _SNAPSHOT, snapshots.show),
    Route("DELETE", _SNAPSHOT, snapshots.delete),
)
_FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def make_app(services: Services) -> Flask:
    """Return the application; the dispatcher has removed the first part of the URL."""
    app = new_app("volume")
    name_requests(app, "x-openstack-request-id")

    @app.before_request
    def begin() -> ResponseReturnValue | None:
        g.call = open_call(services)
        at_root = request.path in ("", "/")
        if at_root or request.routing_exception is None:
            g.routed = True
            version = g.version = versions.asked_for(request.headers)
            versions.check(version)
            g.call = replace(g.call, version=version)
            _check_project(g.call.project_id)
        return versions.version_list(_root()) if at_root else None

    @app.after_request
    def tell_version(response: Response) -> Response:
        if "version" in g:
            response.headers.update(versions.answer_headers(g.version))
        if "routed" in g and response.content_length:
            response.headers["x-compute-request-id"] = g.request_id
        return response

    _handle_errors(app, services)
    add_routes(app, ROUTES, services.cloud)
    return app


def _handle_errors(app: Flask, services: Services) -> None:
    @app.errorhandler(HttpError)
    def refuse(fault: HttpError) -> ResponseReturnValue:
        if fault.status == 401:
            return jsonify(unauthorized_body(services, fault)), 401, fault.headers
        return _fault(fault.status, fault.message)

    @app.errorhandler(CloudError)
    def refused_by_cloud(error: CloudError) -> ResponseReturnValue:
        return _fault(status_of(error), str(error))

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        # Cinder knows no "method not allowed" but only paths with their methods.
        if error.code == 405:
            error.code = 404
        return unmatched(error)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        app.logger.error("%s %s", request.method, request.path, exc_info=error)
        return _fault(
            500,
            "The server has either erred or is incapable of performing"
            " the requested operation.",
        )


def make_root() -> Flask:
    """Return what is at the service's own URL: the list of its one version."""
    app = new_app("volume_versions")
    name_requests(app, "x-compute-request-id", "x-openstack-request-id")

    @app.get("/")
    def index() -> ResponseReturnValue:
        answer = versions.version_list(request.root_url.rstrip("/"))
        return answer, 300, versions.answer_headers(versions.MINIMUM)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        return unmatched(error)

    return app


def _root() -> str:
    """Return the service's own URL, given a request below its version."""
    return request.root_url.rpartition("/v3")[0]


def _check_project(project_id: str) -> None:
    tenant = request.environ[MOUNT]["tenant"]
    if tenant not in (None, project_id):
        raise HttpError(
            400,
            f"Malformed request URL: URL's project_id '{tenant}' doesn't match"
            f" Context's project_id '{project_id}'",
        )


def _fault(status: int, message: str) -> ResponseReturnValue:
    name = _FAULTS.get(status, "computeFault")
    return jsonify({name: {"code": status, "message": message}}), status
