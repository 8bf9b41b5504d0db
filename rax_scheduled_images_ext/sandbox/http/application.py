"""What each API of the sandbox is built from: its JSON, its routes, its errors."""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.models import CloudError
from rax_scheduled_images_ext.sandbox.http.common import (
    INJECTED,
    Call,
    Handler,
    HttpError,
    Route,
    Services,
    status_of,
    unauthorized_body,
)

#: How Nova and Cinder call most errors.
FAULTS: Mapping[int, str] = {
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


class _Json(DefaultJSONProvider):
    """JSON as the real services write it, with a space after each comma and colon.

    Scripts look for ``"status": "ACTIVE"``.
    """

    compact = True
    sort_keys = False

    def dumps(self, obj: Any, **options: Any) -> str:
        """Write an object in one line."""
        options.pop("separators", None)
        return super().dumps(obj, **options)


def new_app(name: str) -> Flask:
    """Return an application that writes JSON unsorted, and errors as pages."""
    app = Flask(f"{__package__}.{name}", static_folder=None, template_folder=None)
    app.url_map.merge_slashes = False
    app.json = _Json(app)

    @app.before_request
    def begin() -> None:
        g.request_id = f"req-{uuid.uuid4()}"
        # Before anything else of the request is checked.
        if INJECTED in request.environ:
            raise request.environ[INJECTED]

    @app.errorhandler(HttpError)
    def refuse(fault: HttpError) -> Response:
        return page(fault.status, fault.message, fault.headers, fault.detail)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> Response:
        return _unmatched(error)

    return app


def add_routes(app: Flask, routes: Iterable[Route], cloud: Cloud) -> None:
    """Serve the routes, each request in one transaction of the cloud."""
    views = {f"{route.method} {route.path}": _view(route, cloud) for route in routes}
    app.url_map = _url_map(tuple(views))
    app.view_functions.update(views)


@lru_cache
def _url_map(endpoints: tuple[str, ...]) -> Map:
    """Return the URL map of endpoints, each a method and a path.

    Made once for all sandboxes of a process: compiling it takes longer than the rest
    of the start.
    """
    rules = []
    for endpoint in endpoints:
        method, _, path = endpoint.partition(" ")
        rule = Rule(path, methods=[method], endpoint=endpoint)
        rule.provide_automatic_options = False  # type: ignore[attr-defined]
        rules.append(rule)
    return Map(rules, merge_slashes=False)


def _view(route: Route, cloud: Cloud) -> Handler:
    def view(**arguments: str) -> ResponseReturnValue:
        call: Call = g.call
        if not route.first <= call.version <= route.last:
            raise HttpError(404, "The resource could not be found.")
        # The response is written as JSON after the lock is released.
        with cloud.transaction(g.request_id):
            return route.handler(call, **arguments)

    return view


def name_requests(app: Flask, *headers: str) -> None:
    """Put the request's ID in these headers of every response."""

    @app.after_request
    def _end(response: Response) -> Response:
        for header in headers if "request_id" in g else ():
            response.headers.setdefault(header, g.request_id)
        return response


def write_faults(
    app: Flask,
    services: Services,
    broken: str,
    names: Mapping[int, str] = FAULTS,
    content_type: str = "application/json",
) -> None:
    """Write errors as Nova does, and Cinder, which was once part of it.

    :param broken: the message if the sandbox itself fails; ``{}`` stands for the
        error's class.
    """

    def fault(status: int, message: str) -> ResponseReturnValue:
        name = names.get(status, "computeFault")
        answer = jsonify({name: {"code": status, "message": message}})
        answer.headers["Content-Type"] = content_type
        return answer, status

    @app.errorhandler(HttpError)
    def refuse(error: HttpError) -> ResponseReturnValue:
        if error.status == 401:
            return jsonify(unauthorized_body(services, error)), 401, error.headers
        return fault(error.status, error.message)

    @app.errorhandler(CloudError)
    def refused_by_cloud(error: CloudError) -> ResponseReturnValue:
        return fault(status_of(error), str(error))

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        # They route by path and method together, so a wrong method is a 404.
        if error.code == 405:
            error.code = 404
        return _unmatched(error)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> ResponseReturnValue:
        app.logger.error("%s %s", request.method, request.path, exc_info=error)
        return fault(500, broken.format(type(error)))


# WebOb's page differs slightly for some errors.
_PAGES = {405: "{}<br /><br />\n{}", 415: "{}\n<br /><br />\n{}"}


def page(
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    detail: str = "",
) -> Response:
    """Return an error page as WebOb writes it, on which many services are built."""
    title = HTTPStatus(status).phrase
    body = _PAGES.get(status, "{}<br /><br />\n{}\n\n")
    if request.accept_mimetypes.best == "application/json":
        text = json.dumps(
            {
                "message": body.format(message, detail),
                "code": f"{status} {title}",
                "title": title,
            }
        )
        return Response(text, status, headers, mimetype="application/json")
    written = body.format(html.escape(message), html.escape(detail))
    text = (
        f"<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n"
        f"  <h1>{status} {title}</h1>\n  {written}\n"
        " </body>\n</html>"
    )
    return Response(text, status, headers, mimetype="text/html")


def _unmatched(error: HTTPException) -> Response:
    """Answer a path or method that no route has."""
    if error.code == 405:
        allow = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        message = f"The method {request.method} is not allowed for this resource. "
        return page(405, message, {"Allow": allow})
    return page(error.code or 500, "The resource could not be found.")
