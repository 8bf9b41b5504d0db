"""The network API: a small Neutron v2.0."""

from __future__ import annotations

from flask import Flask, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.sandbox.backend.models import CloudError
from rax_scheduled_images_ext.sandbox.http.application import (
    add_routes,
    name_requests,
    new_app,
)
from rax_scheduled_images_ext.sandbox.http.common import (
    HttpError,
    Route,
    Services,
    open_call,
    status_of,
    unauthorized_body,
)
from rax_scheduled_images_ext.sandbox.network import (
    extensions,
    floating_ips,
    networks,
    ports,
    security_groups,
)

ROUTES = (
    Route("GET", "/networks", networks.index),
    Route("POST", "/networks", networks.create),
    Route("GET", "/networks/<network_id>", networks.show),
    Route("DELETE", "/networks/<network_id>", networks.delete),
    Route("GET", "/subnets", networks.subnet_index),
    Route("POST", "/subnets", networks.subnet_create),
    Route("GET", "/subnets/<subnet_id>", networks.subnet_show),
    Route("GET", "/ports", ports.index),
    Route("POST", "/ports", ports.create),
    Route("GET", "/ports/<port_id>", ports.show),
    Route("DELETE", "/ports/<port_id>", ports.delete),
    Route("GET", "/security-groups", security_groups.index),
    Route("POST", "/security-groups", security_groups.create),
    Route("GET", "/security-groups/<group_id>", security_groups.show),
    Route("DELETE", "/security-groups/<group_id>", security_groups.delete),
    Route("GET", "/extensions", extensions.index),
    Route("GET", "/floatingips", floating_ips.index),
)

# Neutron's names of errors.
_TYPES = {400: "BadRequest", 403: "PolicyNotAuthorized", 409: "Conflict"}


def make_app(services: Services) -> Flask:
    """Return the application; the dispatcher has removed the first part of the URL."""
    app = new_app("network")
    name_requests(app, "x-openstack-request-id")

    @app.before_request
    def begin() -> None:
        g.call = open_call(services)

    @app.errorhandler(HttpError)
    def refuse(error: HttpError) -> ResponseReturnValue:
        if error.status == 401:
            return jsonify(unauthorized_body(services, error)), 401, error.headers
        return _fault(error.status, error.message)

    @app.errorhandler(CloudError)
    def refused_by_cloud(error: CloudError) -> ResponseReturnValue:
        return _fault(status_of(error), str(error))

    @app.errorhandler(HTTPException)
    def not_routed(_error: HTTPException) -> ResponseReturnValue:
        return _fault(404, "The resource could not be found.")

    add_routes(app, ROUTES, services.cloud)
    return app


def make_root() -> Flask:
    """Return the document at the service's own URL: the list of its only version."""
    app = new_app("network_versions")

    @app.get("/")
    def index() -> ResponseReturnValue:
        link = {"rel": "self", "href": f"{request.root_url.rstrip('/')}/v2.0/"}
        version = {"id": "v2.0", "status": "CURRENT", "links": [link]}
        return {"versions": [version]}

    return app


def _fault(status: int, message: str) -> ResponseReturnValue:
    name = _TYPES.get(status, "HTTPNotFound")
    error = {"type": name, "message": message, "detail": ""}
    return {"NeutronError": error}, status
