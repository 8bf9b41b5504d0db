"""The identity API: Keystone's v3, and v2.0 with Rackspace's API keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from .directory import Project, Token, User
from .wire import Fault, Services, isotime, microtime, name_requests, new_app

Json = dict[str, Any]

_DOMAIN = {"id": "default", "name": "Default"}
_API_KEY = "RAX-KSKEY:apiKeyCredentials"


def make_app(services: Services, version: str) -> Flask:
    """Return the application for ``/v3`` or ``/v2.0``."""
    app = new_app(f"identity_{version}")
    name_requests(app, "x-openstack-request-id")
    api = _V2(services) if version == "v2.0" else _V3(services)
    for method, path, view in api.routes():
        app.add_url_rule(path, f"{method} {path}", view, methods=[method])
    _handle_errors(app, api.fault)
    return app


def make_root(services: Services, version: str) -> Flask:
    """Return what is at the service's own URL: the list of its one version."""
    app = new_app(f"identity_versions_{version}")
    name_requests(app, "x-openstack-request-id")

    @app.get("/")
    def index() -> ResponseReturnValue:
        root = f"{request.root_url.rstrip('/')}/{version}/"
        return {"versions": {"values": [_version(version, root)]}}, 300

    _handle_errors(app, _V3(services).fault)
    return app


def _handle_errors(app: Flask, write: Callable[[Fault], ResponseReturnValue]) -> None:
    @app.errorhandler(Fault)
    def refuse(fault: Fault) -> ResponseReturnValue:
        return write(fault)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> ResponseReturnValue:
        return write(Fault(error.code or 500, error.description or error.name))


def _version(version: str, root: str) -> Json:
    media = {
        "base": "application/json",
        "type": f"application/vnd.openstack.identity-{version}+json",
    }
    return {
        "id": "v3.14" if version == "v3" else version,
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": root}],
        "media-types": [media],
    }


def _service_root() -> str:
    """Return the URL under which all services are."""
    return request.host_url.rstrip("/")


def _body() -> Mapping[str, Any]:
    content = request.get_json(force=True, silent=True)
    if not isinstance(content, dict):
        raise Fault(400, "The request body is not a JSON object.")
    return content


def _part(whole: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the object found by going down these keys."""
    at = whole
    for key in path:
        inner = at.get(key)
        if not isinstance(inner, dict):
            raise Fault(
                400,
                f"Expecting to find {key} in the request body. The server could not"
                " comply with the request since it is either malformed or otherwise"
                " incorrect. The client is assumed to be in error.",
            )
        at = inner
    return at


class _Api:
    """What both versions do; each says it in its own way."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.directory

    def _refuse(self) -> Fault:
        return Fault(401, "The request you have made requires authentication.")

    def _caller(self) -> Token:
        """Return the token of whoever asks."""
        token = self._directory.read(request.headers.get("X-Auth-Token"))
        if token is None:
            raise self._refuse()
        return token

    def _subject(self, text: str | None) -> Token:
        """Return the token that is asked about."""
        self._caller()
        token = self._directory.read(text)
        if token is None:
            raise Fault(404, "Could not find token.")
        return token

    def _with_password(self, user: User | None, password: object) -> User:
        if user is None or not self._directory.has_password(password):
            raise self._refuse()
        return user


class _V3(_Api):
    """Keystone's v3."""

    def routes(self) -> list[tuple[str, str, Callable[..., ResponseReturnValue]]]:
        return [
            ("GET", "/", self.version),
            ("POST", "/auth/tokens", self.issue),
            ("GET", "/auth/tokens", self.validate),
            ("DELETE", "/auth/tokens", self.revoke),
            ("GET", "/auth/catalog", self.catalog),
            ("GET", "/auth/projects", self.projects),
            ("GET", "/users/<user_id>/projects", self.projects_of),
            ("GET", "/users/<user_id>", self.user),
            ("GET", "/projects/<project_id>", self.project),
        ]

    def fault(self, fault: Fault) -> ResponseReturnValue:
        headers = dict(fault.headers)
        if fault.status == 401:
            headers["WWW-Authenticate"] = (
                f'Keystone uri="{_service_root()}/identity/v3"'
            )
        title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
        error = {
            "code": fault.status,
            "message": fault.message,
            "title": title.get(fault.status, "Not Found"),
        }
        return jsonify({"error": error}), fault.status, headers

    def version(self) -> ResponseReturnValue:
        return {"version": _version("v3", request.root_url)}

    def issue(self) -> ResponseReturnValue:
        auth = _part(_body(), "auth")
        user, methods = self._identify(_part(auth, "identity"))
        project = self._scope(auth.get("scope"), user)
        token = self._directory.issue(user, project, methods)
        return {"token": self._view(token)}, 201, {"X-Subject-Token": token.text}

    def _identify(self, identity: Mapping[str, Any]) -> tuple[User, tuple[str, ...]]:
        methods = identity.get("methods")
        if methods == ["password"]:
            given = _part(identity, "password", "user")
            return self._with_password(self._named(given), given.get("password")), (
                "password",
            )
        if methods == ["token"]:
            text = _part(identity, "token").get("id")
            token = self._directory.read(text if isinstance(text, str) else None)
            if token is None:
                raise self._refuse()
            return token.user, tuple(dict.fromkeys((*token.methods, "token")))
        raise self._refuse()

    def _named(self, given: Mapping[str, Any]) -> User | None:
        if "id" in given:
            return self._directory.user(key=given["id"])
        if not self._in_domain(given):
            return None
        return self._directory.user(name=given.get("name"))

    @staticmethod
    def _in_domain(given: Mapping[str, Any]) -> bool:
        domain = _part(given, "domain")
        return (
            domain.get("id") == _DOMAIN["id"] or domain.get("name") == _DOMAIN["name"]
        )

    def _scope(self, scope: object, user: User) -> Project | None:
        """Return the project asked for; without a word, the user's own."""
        if scope is None:
            return user.project
        if scope == "unscoped" or (isinstance(scope, dict) and "unscoped" in scope):
            return None
        wanted = _part(scope if isinstance(scope, dict) else {}, "project")
        if "id" in wanted:
            project = self._directory.project(key=wanted["id"])
        elif self._in_domain(wanted):
            project = self._directory.project(name=wanted.get("name"))
        else:
            project = None
        if project is None or project != user.project:
            raise self._refuse()
        return project

    def validate(self) -> ResponseReturnValue:
        token = self._subject(request.headers.get("X-Subject-Token"))
        headers = {"X-Subject-Token": token.text}
        return {"token": self._view(token)}, 200, headers

    def revoke(self) -> ResponseReturnValue:
        token = self._subject(request.headers.get("X-Subject-Token"))
        self._directory.revoke(token)
        return "", 204

    def catalog(self) -> ResponseReturnValue:
        if self._caller().project is None:
            raise Fault(403, "You are not authorized to perform the requested action.")
        links = {"self": request.base_url, "previous": None, "next": None}
        return {"catalog": self._catalog(), "links": links}

    def projects(self) -> ResponseReturnValue:
        return self._project_list(self._caller().user)

    def projects_of(self, user_id: str) -> ResponseReturnValue:
        user = self._caller().user
        self._only_own(user_id, user.id, "identity:list_user_projects")
        return self._project_list(user)

    def user(self, user_id: str) -> ResponseReturnValue:
        user = self._caller().user
        self._only_own(user_id, user.id, "identity:get_user")
        view = {
            "id": user.id,
            "name": user.name,
            "domain_id": _DOMAIN["id"],
            "default_project_id": user.project.id,
            "enabled": True,
            "links": {"self": request.base_url},
        }
        return {"user": view}

    def project(self, project_id: str) -> ResponseReturnValue:
        project = self._caller().user.project
        self._only_own(project_id, project.id, "identity:get_project")
        return {"project": self._project_view(project)}

    @staticmethod
    def _only_own(asked: str, own: str, action: str) -> None:
        if asked != own:
            raise Fault(
                403,
                f"You are not authorized to perform the requested action: {action}.",
            )

    def _project_list(self, user: User) -> ResponseReturnValue:
        links = {"self": request.base_url, "previous": None, "next": None}
        return {"projects": [self._project_view(user.project)], "links": links}

    @staticmethod
    def _project_view(project: Project) -> Json:
        return {
            "id": project.id,
            "name": project.name,
            "domain_id": _DOMAIN["id"],
            "parent_id": _DOMAIN["id"],
            "description": "",
            "enabled": True,
            "is_domain": False,
            "tags": [],
            "options": {},
            "links": {"self": f"{_service_root()}/identity/v3/projects/{project.id}"},
        }

    def _view(self, token: Token) -> Json:
        user = {
            "id": token.user.id,
            "name": token.user.name,
            "domain": _DOMAIN,
            "password_expires_at": None,
        }
        view: Json = {
            "methods": list(token.methods),
            "user": user,
            "audit_ids": [token.text[-22:]],
            "issued_at": f"{microtime(token.issued)}Z",
            "expires_at": f"{microtime(token.expires)}Z",
        }
        if token.project is not None:
            project = {"id": token.project.id, "name": token.project.name}
            view["project"] = {**project, "domain": _DOMAIN}
            view["is_domain"] = False
            view["roles"] = [{"id": role, "name": role} for role in token.roles]
            view["catalog"] = self._catalog()
        return view

    def _catalog(self) -> list[Json]:
        root = _service_root()
        region = self._services.regions[0]
        services = (
            ("identity", "keystone", f"{root}/identity"),
            ("compute", "nova", f"{root}/compute/v2.1"),
            ("image", "glance", f"{root}/image"),
        )
        return [
            {
                "id": name,
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": f"{name}-{interface}",
                        "interface": interface,
                        "region": region,
                        "region_id": region,
                        "url": url,
                    }
                    for interface in ("public", "internal", "admin")
                ],
            }
            for kind, name, url in services
        ]


class _V2(_Api):
    """Rackspace's v2.0."""

    def routes(self) -> list[tuple[str, str, Callable[..., ResponseReturnValue]]]:
        return [
            ("GET", "/", self.version),
            ("POST", "/tokens", self.issue),
            ("GET", "/tokens/<text>", self.validate),
            ("DELETE", "/tokens/<text>", self.revoke),
            ("GET", "/tenants", self.tenants),
        ]

    def fault(self, fault: Fault) -> ResponseReturnValue:
        name = {400: "badRequest", 401: "unauthorized", 403: "forbidden"}
        error = {"code": fault.status, "message": fault.message}
        whole = {name.get(fault.status, "itemNotFound"): error}
        return jsonify(whole), fault.status, fault.headers

    def _refuse(self) -> Fault:
        return Fault(401, "Unable to authenticate user with credentials provided.")

    def version(self) -> ResponseReturnValue:
        return {"version": _version("v2.0", request.root_url)}

    def issue(self) -> ResponseReturnValue:
        auth = _part(_body(), "auth")
        user, method = self._identify(auth)
        for key, own in (("tenantId", "id"), ("tenantName", "name")):
            if auth.get(key, getattr(user.project, own)) != getattr(user.project, own):
                raise self._refuse()
        token = self._directory.issue(user, user.project, (method,))
        return {"access": self._view(token)}

    def _identify(self, auth: Mapping[str, Any]) -> tuple[User, str]:
        if _API_KEY in auth:
            given = _part(auth, _API_KEY)
            user = self._directory.user(name=given.get("username"))
            if user is None or not self._directory.has_api_key(given.get("apiKey")):
                raise self._refuse()
            return user, "APIKEY"
        if "token" in auth:
            text = _part(auth, "token").get("id")
            token = self._directory.read(text if isinstance(text, str) else None)
            if token is None:
                raise self._refuse()
            return token.user, token.methods[0]
        given = _part(auth, "passwordCredentials")
        user = self._directory.user(name=given.get("username"))
        return self._with_password(user, given.get("password")), "PASSWORD"

    def validate(self, text: str) -> ResponseReturnValue:
        access = self._view(self._subject(text))
        del access["serviceCatalog"]
        return {"access": access}

    def revoke(self, text: str) -> ResponseReturnValue:
        self._directory.revoke(self._subject(text))
        return "", 204

    def tenants(self) -> ResponseReturnValue:
        project = self._caller().user.project
        tenant = {"id": project.id, "name": project.name, "enabled": True}
        return {"tenants": [tenant], "tenants_links": []}

    def _view(self, token: Token) -> Json:
        project = token.user.project
        return {
            "token": {
                "id": token.text,
                "expires": isotime(token.expires),
                "tenant": {"id": project.id, "name": project.name},
                "RAX-AUTH:authenticatedBy": list(token.methods),
            },
            "user": {
                "id": token.user.id,
                "name": token.user.name,
                "roles": [{"id": role, "name": role} for role in token.user.roles],
                "RAX-AUTH:defaultRegion": self._services.regions[0],
            },
            "serviceCatalog": self._catalog(project.id),
        }

    def _catalog(self, tenant: str) -> list[Json]:
        root = _service_root()
        services = (
            ("compute", "cloudServersOpenStack", f"compute/v2/{tenant}"),
            ("image", "cloudImages", "image/v2"),
        )
        return [
            {
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "region": region,
                        "tenantId": tenant,
                        "publicURL": f"{root}/{region}/{path}",
                    }
                    for region in self._services.regions
                ],
            }
            for kind, name, path in services
        ]
