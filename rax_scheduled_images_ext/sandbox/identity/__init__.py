"""The identity API: Keystone's v3, or v2.0 with Rackspace's API keys."""

from __future__ import annotations

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.sandbox.http.application import name_requests, new_app
from rax_scheduled_images_ext.sandbox.http.common import HttpError, Services
from rax_scheduled_images_ext.sandbox.identity.base import Api, version_view
from rax_scheduled_images_ext.sandbox.identity.keystone import V3
from rax_scheduled_images_ext.sandbox.identity.rackspace import V2


def make_app(services: Services, version: str) -> Flask:
    """Return the application for ``/v3`` or ``/v2.0``."""
    api = _api(services, version)
    app = _new_app(f"identity_{version}", api)
    for method, path, view in api.routes():
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
    return app


def make_root(services: Services, version: str) -> Flask:
    """Return the application for the service's own URL, which lists its one version."""
    app = _new_app(f"identity_versions_{version}", _api(services, version))

    @app.get("/")
    def index() -> ResponseReturnValue:
        root = f"{request.root_url.rstrip('/')}/{version}/"
        versions = {"versions": {"values": [version_view(version, root)]}}
        return versions, 300, {"Location": root}

    return app


def _api(services: Services, version: str) -> Api:
    return V2(services) if version == "v2.0" else V3(services)


def _new_app(name: str, api: Api) -> Flask:
    app = new_app(name)
    name_requests(app, "x-openstack-request-id")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(api.headers)
        return response

    @app.errorhandler(HttpError)
    def refuse(fault: HttpError) -> ResponseReturnValue:
        return api.fault(fault)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        return api.unrouted(error)

    return app
