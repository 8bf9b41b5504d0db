"""The sandbox's own API under /sandbox: what an operator does, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.model.durations import LONGEST, parse_duration
from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.models import (
    CloudError,
    ImageQuery,
    NotFound,
    Server,
    ServerQuery,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.faults.grammar import parse_fault
from rax_scheduled_images_ext.sandbox.http.application import new_app
from rax_scheduled_images_ext.sandbox.http.common import (
    HttpError,
    Services,
    isotime,
    status_of,
)

Json = dict[str, Any]
Environment = Callable[[str, str | None], Mapping[str, str]]

_STATES = ("active", "error", "held", "released")
_LOOPBACK = ("127.", "::1", "::ffff:127.")


def make_app(services: Services, environment: Environment) -> Flask:
    """Return the application.

    :param environment: returns the variables with which a user reaches a region of
        the sandbox; raises ValueError for an unknown user or region.
    """
    api = _Admin(services.cloud, environment)
    app = new_app("admin")
    app.before_request(_only_this_machine)
    app.add_url_rule("/advance", view_func=api.advance, methods=["POST"])
    app.add_url_rule("/state", view_func=api.state)
    app.add_url_rule("/env", view_func=api.env)
    app.add_url_rule("/faults", view_func=api.faults)
    app.add_url_rule("/faults", view_func=api.add_faults, methods=["POST"])
    app.add_url_rule("/faults", view_func=api.clear_faults, methods=["DELETE"])
    app.add_url_rule(
        "/servers/<server_id>/state", view_func=api.force, methods=["POST"]
    )

    @app.errorhandler(HttpError)
    def refuse(fault: HttpError) -> ResponseReturnValue:
        return {"error": fault.message}, fault.status

    @app.errorhandler(CloudError)
    def refused_by_cloud(error: CloudError) -> ResponseReturnValue:
        return {"error": str(error)}, status_of(error)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        return {"error": error.description}, error.code or 500

    return app


def _only_this_machine() -> None:
    """Refuse requests from elsewhere, as no token is needed.

    A browser runs on this machine too, but what it sends for a web page has an Origin,
    or the page's own Host if a name server resolves it to this machine.
    """
    if not (request.remote_addr or "").startswith(_LOOPBACK):
        raise HttpError(403, "only for this machine")
    host = urlsplit(f"//{request.host}").hostname or ""
    bound = request.environ["SERVER_NAME"]
    if not (host in ("localhost", bound) or _is_loopback(host)):
        raise HttpError(403, f"{host!a} is not a host of this sandbox: use 127.0.0.1")
    if "Origin" in request.headers:
        raise HttpError(403, "not for web pages")
    if request.method == "POST" and request.mimetype != "application/json":
        kind = request.mimetype or "nothing"
        raise HttpError(415, f"the content type is {kind!a}: use application/json")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Admin:
    def __init__(self, cloud: Cloud, environment: Environment) -> None:
        self._cloud = cloud
        self._environment = environment

    def advance(self) -> ResponseReturnValue:
        """Move the clock: {"duration": "10d"} or {"seconds": 864000}."""
        seconds = _seconds(_body())
        try:
            now = self._cloud.advance(seconds)
        except ValueError as error:
            raise HttpError(400, str(error)) from None
        return {"now": isotime(now), "seconds": now}

    def state(self) -> ResponseReturnValue:
        """Return the contents of all projects and regions."""
        cloud = self._cloud
        with cloud.transaction() as now:
            regions = {n: _region_view(cloud.region(n)) for n in cloud.regions}
        return {"now": isotime(now), "regions": regions}

    def env(self) -> ResponseReturnValue:
        """Return the variables with which a client reaches the sandbox."""
        user, region = request.args.get("user", "admin"), request.args.get("region")
        try:
            return dict(self._environment(user, region))
        except ValueError as error:
            raise HttpError(404, str(error)) from None

    def faults(self) -> ResponseReturnValue:
        """Return the faults, and how often each has happened."""
        counts = self._cloud.faults.counts()
        return {"faults": [{"fault": text, "happened": n} for text, n in counts]}

    def add_faults(self) -> ResponseReturnValue:
        """Add faults: {"faults": ["POST /action$ 503 x2"]}."""
        texts = _body().get("faults")
        if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise HttpError(
                400, "give a list of strings: {'faults': ['POST /action$ 503']}"
            )
        try:
            self._cloud.inject([parse_fault(text) for text in texts])
        except ValueError as error:
            raise HttpError(400, str(error)) from None
        return self.faults()

    def clear_faults(self) -> ResponseReturnValue:
        """Remove all faults."""
        self._cloud.clear_faults()
        return self.faults()

    def force(self, server_id: str) -> ResponseReturnValue:
        """Force a server's state: {"state": "active|error|held|released"}."""
        wanted = _body().get("state")
        if wanted not in _STATES:
            raise HttpError(400, f"{wanted!r} is not one of {', '.join(_STATES)}")
        with self._cloud.transaction():
            region = self._region_of(server_id)
            if wanted in ("active", "error"):
                region.servers.reset_state(server_id, wanted)
            else:
                region.servers.hold(server_id, wanted == "held")
            return _server_view(region.servers.get(server_id))

    def _region_of(self, server_id: str) -> Region:
        for name in self._cloud.regions:
            region = self._cloud.region(name)
            if region.servers.select(ServerQuery(server_id=server_id)):
                return region
        raise NotFound(f"Instance {server_id} could not be found.")


def _body() -> Mapping[str, Any]:
    content = request.get_json(silent=True)
    if not isinstance(content, dict):
        raise HttpError(400, "the body is not a JSON object")
    return content


def _seconds(body: Mapping[str, Any]) -> float:
    if isinstance(body.get("duration"), str):
        try:
            return parse_duration(body["duration"])
        except ValueError as error:
            raise HttpError(400, str(error)) from None
    seconds = body.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise HttpError(400, "give a duration such as '10d', or a number of seconds")
    if not 0 <= seconds <= LONGEST:
        raise HttpError(
            400, f"cannot advance by {seconds} seconds: 0 to {LONGEST} are allowed"
        )
    return float(seconds)


def _region_view(region: Region) -> Json:
    images: dict[str | None, list[Json]] = {}
    for image in region.images.select(ImageQuery()):
        view = {
            "id": image.id,
            "name": image.name,
            "status": image.status,
            "created": isotime(image.created),
            "properties": dict(image.properties),
        }
        images.setdefault(image.properties.get("instance_uuid"), []).append(view)
    servers = [
        {**_server_view(server), "images": images.pop(server.id, [])}
        for server in region.servers.select(ServerQuery())
    ]
    # Images of no server, or of one that is gone.
    left = [view for views in images.values() for view in views]
    return {"servers": servers, "images": left}


def _server_view(server: Server) -> Json:
    return {
        "id": server.id,
        "name": server.name,
        "status": server.status,
        "task_state": server.task_state,
        "held": server.held,
        "schedule": server.schedule
        and {
            **asdict(server.schedule),
            "enabled_at": isotime(server.schedule.enabled_at),
            "next_run": isotime(server.schedule.next_run),
        },
    }
