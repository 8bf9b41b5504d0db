"""The compute API: Nova's v2.1 with microversions, or Rackspace's v2 without."""

from __future__ import annotations

from dataclasses import replace

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.model.extension import ALIAS
from rax_scheduled_images_ext.sandbox.compute import (
    about,
    actions,
    images,
    interfaces,
    keypairs,
    queries,
    schedules,
    server_groups,
    servers,
    tags,
    versions,
)
from rax_scheduled_images_ext.sandbox.http.application import (
    FAULTS,
    add_routes,
    name_requests,
    new_app,
    write_faults,
)
from rax_scheduled_images_ext.sandbox.http.common import (
    BROKEN,
    MOUNT,
    Call,
    HttpError,
    Microversion,
    Route,
    Services,
    open_call,
    unauthorized,
)

_SERVER = "/servers/<server_id>"
_SCHEDULE = f"{_SERVER}/{ALIAS}"
_IMAGE = "/images/<image_id>"
# The last versions with the proxy for images, and for their metadata.
_PROXY = (2, 35)
_METADATA = (2, 38)
# The first version with server tags.
_TAGS = (2, 26)
# The first version with shared file systems.
_SHARES = (2, 97)

ROUTES = (
    Route("GET", "/servers", servers.list_brief),
    Route("POST", "/servers", servers.boot),
    Route("GET", "/servers/detail", servers.list_detail),
    Route("GET", _SERVER, servers.show),
    Route("PUT", _SERVER, servers.update),
    Route("DELETE", _SERVER, servers.delete),
    Route("POST", f"{_SERVER}/action", actions.act),
    Route("GET", f"{_SERVER}/metadata", servers.metadata_list),
    Route("POST", f"{_SERVER}/metadata", servers.metadata_add),
    Route("PUT", f"{_SERVER}/metadata", servers.metadata_replace),
    Route("GET", f"{_SERVER}/metadata/<key>", servers.metadata_show),
    Route("PUT", f"{_SERVER}/metadata/<key>", servers.metadata_set),
    Route("DELETE", f"{_SERVER}/metadata/<key>", servers.metadata_delete),
    Route("GET", f"{_SERVER}/tags", tags.index, first=_TAGS),
    Route("PUT", f"{_SERVER}/tags", tags.replace, first=_TAGS),
    Route("DELETE", f"{_SERVER}/tags", tags.delete_all, first=_TAGS),
    Route("GET", f"{_SERVER}/tags/<tag>", tags.show, first=_TAGS),
    Route("PUT", f"{_SERVER}/tags/<tag>", tags.add, first=_TAGS),
    Route("DELETE", f"{_SERVER}/tags/<tag>", tags.delete, first=_TAGS),
    Route("GET", f"{_SERVER}/os-instance-actions", servers.action_list),
    Route("GET", f"{_SERVER}/os-instance-actions/<request_id>", servers.action_show),
    Route("GET", f"{_SERVER}/os-interface", interfaces.index),
    Route("GET", f"{_SERVER}/os-interface/<port_id>", interfaces.show),
    Route("GET", f"{_SERVER}/os-security-groups", interfaces.security_groups),
    Route("GET", f"{_SERVER}/os-volume_attachments", interfaces.volumes),
    Route("GET", f"{_SERVER}/shares", servers.share_list, first=_SHARES),
    Route("GET", f"{_SERVER}/shares/<share_id>", servers.share_show, first=_SHARES),
    Route("GET", _SCHEDULE, schedules.show),
    Route("POST", _SCHEDULE, schedules.enable),
    Route("DELETE", _SCHEDULE, schedules.disable),
    Route("GET", "/extensions", schedules.extension_list),
    Route("GET", "/extensions/<alias>", schedules.extension_show),
    Route("GET", "/flavors", about.flavor_list),
    Route("GET", "/flavors/detail", about.flavor_detail),
    Route("GET", "/flavors/<flavor_id>", about.flavor_show),
    Route("GET", "/flavors/<flavor_id>/os-extra_specs", about.flavor_specs),
    Route("GET", "/os-keypairs", keypairs.index),
    Route("POST", "/os-keypairs", keypairs.create),
    Route("GET", "/os-keypairs/<name>", keypairs.show),
    Route("DELETE", "/os-keypairs/<name>", keypairs.delete),
    Route("GET", "/os-server-groups", server_groups.index),
    Route("POST", "/os-server-groups", server_groups.create),
    Route("GET", "/os-server-groups/<group_id>", server_groups.show),
    Route("DELETE", "/os-server-groups/<group_id>", server_groups.delete),
    Route("GET", "/limits", about.limits),
    Route("GET", "/os-availability-zone", about.zones),
    Route("GET", "/os-services", about.services),
    Route("GET", "/os-simple-tenant-usage/<project_id>", about.usage),
    Route("GET", "/images", images.list_brief, last=_PROXY),
    Route("GET", "/images/detail", images.list_detail, last=_PROXY),
    Route("GET", _IMAGE, images.show, last=_PROXY),
    Route("DELETE", _IMAGE, images.delete, last=_PROXY),
    Route("GET", f"{_IMAGE}/metadata", images.metadata_list, last=_METADATA),
    Route("POST", f"{_IMAGE}/metadata", images.metadata_add, last=_METADATA),
    Route("PUT", f"{_IMAGE}/metadata", images.metadata_replace, last=_METADATA),
    Route("GET", f"{_IMAGE}/metadata/<key>", images.metadata_show, last=_METADATA),
    Route("PUT", f"{_IMAGE}/metadata/<key>", images.metadata_set, last=_METADATA),
    Route("DELETE", f"{_IMAGE}/metadata/<key>", images.metadata_delete, last=_METADATA),
)

_REQUEST_IDS = ("X-Compute-Request-Id", "x-openstack-request-id")
_CONTENT = (
    None,
    "",
    "text/plain",
    "application/json",
    "application/vnd.openstack.compute+json",
)


def make_app(services: Services, *, legacy: bool = False) -> Flask:
    """Return the application; the dispatcher has removed the first part of the URL.

    :param legacy: whether this is the API from before microversions, as Rackspace's
        always is.
    """
    app = new_app("compute")
    name_requests(app, *_REQUEST_IDS)
    write_faults(
        app,
        services,
        BROKEN,
        {**FAULTS, 429: "overLimit"},
        "application/json; charset=utf-8",
    )
    microversions = not (legacy or services.rackspace)

    @app.before_request
    def begin() -> ResponseReturnValue | None:
        if _at_root(services):
            if microversions:
                _choose_version()
            return _version_root(services, legacy=legacy)
        g.call = open_call(services)
        # A path without a route is not checked any further.
        if request.routing_exception is None:
            if microversions:
                g.call = replace(g.call, version=_choose_version())
            _check_request(g.call)
        return None

    @app.after_request
    def tell_version(response: Response) -> Response:
        if "version" in g:
            response.headers.update(versions.answer_headers(g.version))
        return response

    offered = (
        route for route in ROUTES if services.cloud.extension or route.path != _SCHEDULE
    )
    add_routes(app, map(_checked, offered), services.cloud)
    return app


def _at_root(services: Services) -> bool:
    tenant = request.environ[MOUNT].get("tenant")
    return request.path in ("", "/") and (services.rackspace or tenant is None)


def _choose_version() -> Microversion:
    """Find the requested version; the response names it even if it is not supported."""
    version = g.version = versions.asked_for(request.headers)
    versions.check(version)
    return version


def _check_request(call: Call) -> None:
    tenant = request.environ[MOUNT].get("tenant")
    if tenant not in (None, call.project_id):
        raise HttpError(
            400,
            f"Malformed request URL: URL's project_id '{tenant}' doesn't match"
            f" Context's project_id '{call.project_id}'",
        )
    if request.mimetype not in _CONTENT:
        raise HttpError(415, "Unsupported Content-Type")


def _checked(route: Route) -> Route:
    """Let the route check its query first."""
    if route.method != "GET":
        return route

    def handler(call: Call, **arguments: str) -> ResponseReturnValue:
        queries.check(call, route.path)
        return route.handler(call, **arguments)

    return replace(route, handler=handler)


def make_root(services: Services) -> Flask:
    """Return the document at the service's own URL: the list of its versions."""
    app = new_app("compute_versions")

    @app.get("/")
    def index() -> ResponseReturnValue:
        return versions.version_list(request.root_url.rstrip("/"))

    return app


def _version_root(services: Services, *, legacy: bool) -> ResponseReturnValue:
    # Rackspace does not offer this document, from which its clients conclude that the
    # cloud has no microversions.
    if services.rackspace:
        raise unauthorized(services)
    return versions.version_document(request.root_url.rstrip("/"), legacy=legacy)
