"""The block storage API: Cinder's v3 with microversions."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.http.application import (
    add_routes,
    name_requests,
    new_app,
    write_faults,
)
from rax_scheduled_images_ext.sandbox.http.common import (
    MOUNT,
    HttpError,
    Route,
    Services,
    open_call,
)
from rax_scheduled_images_ext.sandbox.volume import about, snapshots, versions, volumes

_VOLUME = "/volumes/<volume_id>"
_SNAPSHOT = "/snapshots/<snapshot_id>"
_METADATA = f"{_SNAPSHOT}/metadata"
_ITEM = f"{_METADATA}/<key>"

ROUTES = (
    Route("GET", "/limits", about.limits),
    Route("GET", "/os-volume-transfer", about.transfers),
    Route("GET", "/os-volume-transfer/detail", about.transfers),
    Route("GET", "/types", about.types),
    Route("GET", "/types/default", about.default_type),
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
    Route("GET", _METADATA, snapshots.metadata),
    Route("POST", _METADATA, snapshots.add_metadata),
    Route("PUT", _METADATA, snapshots.replace_metadata),
    Route("GET", _ITEM, snapshots.show_item),
    Route("PUT", _ITEM, snapshots.set_item),
    Route("DELETE", _ITEM, snapshots.delete_item),
)


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

    write_faults(
        app,
        services,
        "The server has either erred or is incapable of performing"
        " the requested operation.",
    )
    add_routes(app, ROUTES, services.cloud)
    return app


def make_root() -> Flask:
    """Return the document at the service's own URL: the list of its only version."""
    app = new_app("volume_versions")
    name_requests(app, "x-compute-request-id", "x-openstack-request-id")

    @app.get("/")
    def index() -> ResponseReturnValue:
        answer = versions.version_list(request.root_url.rstrip("/"))
        return answer, 300, versions.answer_headers(versions.MINIMUM)

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
