"""Keystone's identity API, v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.sandbox.backend.directory import (
    Project,
    Token,
    User,
)
from rax_scheduled_images_ext.sandbox.http.common import HttpError, bare, microtime
from rax_scheduled_images_ext.sandbox.identity.application_credentials import (
    ApplicationCredentials,
)
from rax_scheduled_images_ext.sandbox.identity.base import (
    Api,
    Json,
    Views,
    body,
    part,
    service_root,
    version_view,
)

_CREDENTIAL = "application_credential"
_METHODS = ("password", "token", _CREDENTIAL)
_DOMAIN = {"id": "default", "name": "Default"}
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}


class _UnsupportedMethod(HttpError):
    """A login by an unknown method; the message names the known ones."""

    def __init__(self) -> None:
        super().__init__(401, "Attempted to authenticate with an unsupported method.")


class V3(Api):
    """What is under ``/v3``.

    No user has a project to fall back on: a login without a scope gives a token
    for none. Nobody is the operator, who alone may list all users and projects.
    """

    headers: ClassVar = {"Vary": "X-Auth-Token"}

    def routes(self) -> Views:
        """Return methods, paths, and what answers them."""
        return [
            ("GET", "/", self.version),
            ("POST", "/auth/tokens", self.issue),
            ("GET", "/auth/tokens", self.validate),
            ("DELETE", "/auth/tokens", self.revoke),
            ("GET", "/auth/catalog", self.catalog),
            ("GET", "/auth/projects", self.projects),
            ("GET", "/users", self.all_users),
            ("GET", "/users/<user_id>/projects", self.projects_of),
            ("GET", "/users/<user_id>", self.user),
            ("GET", "/projects", self.all_projects),
            ("GET", "/projects/<project_id>", self.project),
            *ApplicationCredentials(self._services).routes(),
        ]

    def fault(self, fault: HttpError) -> ResponseReturnValue:
        """Write an error."""
        headers = dict(fault.headers)
        if fault.status == 401:
            headers["WWW-Authenticate"] = f'Keystone uri="{service_root()}/identity/v3"'
        error: Json = {
            "code": fault.status,
            "message": fault.message,
            "title": _TITLES.get(fault.status, "Not Found"),
        }
        if isinstance(fault, _UnsupportedMethod):
            error["identity"] = {"methods": list(_METHODS)}
        return jsonify({"error": error}), fault.status, headers

    def unrouted(self, error: HTTPException) -> ResponseReturnValue:
        """Answer a path or method that no route has, as Keystone's own parts do."""
        answer = error.get_response()
        if error.code != 405:
            return answer
        allow = {"Allow": answer.headers.get("Allow", "")}
        return jsonify({"message": error.description}), 405, allow

    def version(self) -> ResponseReturnValue:
        """GET /"""
        return {"version": version_view("v3", request.root_url)}

    # -- tokens

    def issue(self) -> ResponseReturnValue:
        """POST /auth/tokens"""
        auth = part(body(), "auth")
        user, methods = self._identify(part(auth, "identity", where="auth"))
        if methods == (_CREDENTIAL,):
            if auth.get("scope") is not None:
                raise HttpError(401, "Application credentials cannot request a scope.")
            project: Project | None = user.project
        else:
            project = self._scope(auth.get("scope"), user)
        token = self._directory.issue(user, project, methods)
        return {"token": self._view(token)}, 201, {"X-Subject-Token": token.text}

    def _identify(self, identity: Mapping[str, Any]) -> tuple[User, tuple[str, ...]]:
        methods = identity.get("methods")
        if methods == ["password"]:
            given = part(identity, "password", "user", where="identity")
            for key in ("id", "name", "password"):
                _check_text(f"identity/password/user/{key}", given.get(key, ""))
            user = self._with_password(self._named(given), given.get("password"))
            return user, ("password",)
        if methods == [_CREDENTIAL]:
            return self._with_credential(identity), (_CREDENTIAL,)
        if methods == ["token"]:
            token = self._token(part(identity, "token", where="identity").get("id"))
            return token.user, tuple(dict.fromkeys((*token.methods, "token")))
        if methods:
            raise _UnsupportedMethod
        raise self._refuse()

    def _with_credential(self, identity: Mapping[str, Any]) -> User:
        """Return the user of an application credential, by its id, or user and name."""
        given = part(identity, _CREDENTIAL, where="identity")
        key, secret = given.get("id"), given.get("secret")
        if key is None:
            user = self._named(part(given, "user", where=_CREDENTIAL))
            own = self._directory.application_credentials(user) if user else []
            ids = (each.id for each in own if each.name == given.get("name"))
            key = next(ids, None)
        found = self._directory.with_application_credential(key, secret)
        if found is None:
            raise self._refuse()
        return found.user

    def _named(self, given: Mapping[str, Any]) -> User | None:
        if "id" in given:
            return self._directory.user(key=given["id"])
        if not self._in_domain(given, "user"):
            return None
        return self._directory.user(name=given.get("name"))

    @staticmethod
    def _in_domain(given: Mapping[str, Any], where: str) -> bool:
        domain = part(given, "domain", where=where)
        return (
            domain.get("id") == _DOMAIN["id"] or domain.get("name") == _DOMAIN["name"]
        )

    def _scope(self, scope: object, user: User) -> Project | None:
        """Return the project asked for, if one is."""
        unscoped = isinstance(scope, dict) and "unscoped" in scope
        if scope is None or scope == "unscoped" or unscoped:
            return None
        wanted = part(scope if isinstance(scope, dict) else {}, "project")
        if "id" in wanted:
            project = self._directory.project(key=wanted["id"])
        elif self._in_domain(wanted, "project"):
            project = self._directory.project(name=wanted.get("name"))
        else:
            project = None
        if project is None or project != user.project:
            raise self._refuse()
        return project

    def validate(self) -> ResponseReturnValue:
        """GET /auth/tokens"""
        token = self._subject("validate_token")
        headers = {"X-Subject-Token": token.text}
        return {"token": self._view(token)}, 200, headers

    def revoke(self) -> ResponseReturnValue:
        """DELETE /auth/tokens"""
        self._directory.revoke(self._subject("revoke_token"))
        return bare(204)

    def _subject(self, action: str) -> Token:
        """Return the token that is asked about."""
        self._caller()
        text = request.headers.get("X-Subject-Token")
        if text is None:
            raise _forbidden(action)
        return self._token(text)

    def _view(self, token: Token) -> Json:
        view: Json = {
            "methods": list(token.methods),
            "user": {
                "id": token.user.id,
                "name": token.user.name,
                "domain": _DOMAIN,
                "password_expires_at": None,
            },
            "audit_ids": [token.text[-22:]],
            "issued_at": f"{microtime(token.issued)}Z",
            "expires_at": f"{microtime(token.expires)}Z",
        }
        if token.project is None:
            return view
        project = {"id": token.project.id, "name": token.project.name}
        view["project"] = {**project, "domain": _DOMAIN}
        view["is_domain"] = False
        view["roles"] = [
            {"id": self._directory.id_of("role", role), "name": role}
            for role in token.roles
        ]
        if "nocatalog" not in request.args:
            view["catalog"] = self._catalog()
        return view

    # -- the catalog

    def catalog(self) -> ResponseReturnValue:
        """GET /auth/catalog"""
        if self._caller().project is None:
            raise HttpError(
                403, "You are not authorized to perform the requested action."
            )
        return {"catalog": self._catalog(), "links": _links()}

    def _catalog(self) -> list[Json]:
        root = service_root()
        services = (
            ("identity", "keystone", f"{root}/identity"),
            ("compute", "nova", f"{root}/compute/v2.1"),
            ("image", "glance", f"{root}/image"),
            ("block-storage", "cinder", f"{root}/volume/v3"),
            ("network", "neutron", f"{root}/network"),
        )
        return [
            {
                "id": self._directory.id_of("service", name),
                "type": kind,
                "name": name,
                "endpoints": [
                    self._endpoint(name, interface, url)
                    for interface in ("public", "internal", "admin")
                ],
            }
            for kind, name, url in services
        ]

    def _endpoint(self, service: str, interface: str, url: str) -> Json:
        region = self._services.regions[0]
        return {
            "id": self._directory.id_of("endpoint", f"{service}-{interface}"),
            "interface": interface,
            "region": region,
            "region_id": region,
            "url": url,
        }

    # -- users and projects: everyone sees himself and what is his

    def all_users(self) -> ResponseReturnValue:
        """GET /users"""
        self._caller()
        raise _forbidden("list_users")

    def user(self, user_id: str) -> ResponseReturnValue:
        """GET /users/{id}"""
        user = self._caller().user
        _only_own(user_id, user.id, "get_user")
        view = {
            "id": user.id,
            "name": user.name,
            "domain_id": _DOMAIN["id"],
            "enabled": True,
            "password_expires_at": None,
            "options": {},
            "links": {"self": request.base_url},
        }
        return {"user": view}

    def projects(self) -> ResponseReturnValue:
        """GET /auth/projects"""
        return self._project_list(self._caller().user)

    def projects_of(self, user_id: str) -> ResponseReturnValue:
        """GET /users/{id}/projects"""
        user = self._caller().user
        _only_own(user_id, user.id, "list_user_projects")
        return self._project_list(user)

    def all_projects(self) -> ResponseReturnValue:
        """GET /projects"""
        self._caller()
        raise _forbidden("list_projects")

    def project(self, project_id: str) -> ResponseReturnValue:
        """GET /projects/{id}"""
        project = self._caller().user.project
        _only_own(project_id, project.id, "get_project")
        return {"project": _project_view(project)}

    @staticmethod
    def _project_list(user: User) -> ResponseReturnValue:
        return {"projects": [_project_view(user.project)], "links": _links()}


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise HttpError(
            400,
            f"Invalid input for field '{field}': {value!r} is not of type 'string'",
        )


def _forbidden(action: str) -> HttpError:
    return HttpError(
        403,
        f"You are not authorized to perform the requested action: identity:{action}.",
    )


def _only_own(asked: str, own: str, action: str) -> None:
    if asked != own:
        raise _forbidden(action)


def _links() -> Json:
    return {"self": request.base_url, "previous": None, "next": None}


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
        "links": {"self": f"{service_root()}/identity/v3/projects/{project.id}"},
    }
