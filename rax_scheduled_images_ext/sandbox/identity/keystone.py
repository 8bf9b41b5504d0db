"""Keystone's identity API, v3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from rax_scheduled_images_ext.sandbox.backend.directory import (
    DOMAIN,
    SYSTEM,
    ApplicationCredential,
    Project,
    Scope,
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

_Named = TypeVar("_Named", User, Project)
_CREDENTIAL = "application_credential"
_METHODS = ("password", "token", _CREDENTIAL)
_DOMAIN = {"id": "default", "name": "Default"}
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}


class _UnsupportedMethod(HttpError):
    """A login by an unknown method; the response names the known ones."""

    def __init__(self) -> None:
        super().__init__(401, "Attempted to authenticate with an unsupported method.")


class V3(Api):
    """What is under ``/v3``.

    No user has a default project: a login without a scope returns an unscoped token.
    Only the operator may list all users and projects, and has roles on the domain and
    the system.
    """

    headers: ClassVar = {"Vary": "X-Auth-Token"}

    def routes(self) -> Views:
        """Return methods, paths and their handlers."""
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
        """Answer a path or method that no route has, as Keystone does."""
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
        token = self._issued(part(auth, "identity", where="auth"), auth.get("scope"))
        return {"token": self._view(token)}, 201, {"X-Subject-Token": token.text}

    def _issued(self, identity: Mapping[str, Any], scope: object) -> Token:
        methods = identity.get("methods")
        if methods == ["password"]:
            given = part(identity, "password", "user", where="identity")
            for key in ("id", "name", "password"):
                _check_text(f"identity/password/user/{key}", given.get(key, ""))
            user = self._with_password(self._named(given), given.get("password"))
            return self._directory.issue(user, self._scope(scope, user), methods)
        if methods == [_CREDENTIAL]:
            found = self._with_credential(identity)
            if scope is not None:
                raise HttpError(401, "Application credentials cannot request a scope.")
            return self._directory.issue(found.user, found.project, methods, found)
        if methods == ["token"]:
            token = self._token(part(identity, "token", where="identity").get("id"))
            wanted = self._scope(scope, token.user)
            if token.credential is not None and wanted not in (None, token.scope):
                raise self._refuse()
            both = tuple(dict.fromkeys((*token.methods, "token")))
            return self._directory.reissue(token, wanted, both)
        if methods:
            raise _UnsupportedMethod
        raise self._refuse()

    def _with_credential(self, identity: Mapping[str, Any]) -> ApplicationCredential:
        """Return the application credential of an ID, or of a user and a name."""
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
        return found

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

    def _scope(self, scope: object, user: User) -> Scope:
        """Return the scope that is asked for, None for none.

        :raises HttpError: 401 if it does not exist, or the user has no role in it.
        """
        asked = scope if isinstance(scope, dict) else {}
        if scope is None or scope == "unscoped" or "unscoped" in asked:
            return None
        wanted: Scope
        if "system" in asked:
            wanted = SYSTEM if asked["system"] == {"all": True} else None
        elif "domain" in asked:
            wanted = DOMAIN if self._in_domain(asked, "scope") else None
        else:
            wanted = self._project(part(asked, "project"))
        if wanted is None or not user.may_enter(wanted):
            raise self._refuse()
        return wanted

    def _project(self, given: Mapping[str, Any]) -> Project | None:
        if "id" in given:
            return self._directory.project(key=given["id"])
        if not self._in_domain(given, "project"):
            return None
        return self._directory.project(name=given.get("name"))

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
        """Return the token that the request is about."""
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
        if token.credential is not None:
            key, name = token.credential
            view[_CREDENTIAL] = {"id": key, "name": name, "restricted": True}
        if token.scope is None:
            return view
        if token.scope == SYSTEM:
            view["system"] = {"all": True}
        elif token.scope == DOMAIN:
            view["domain"] = _DOMAIN
        elif token.project is not None:
            project = {"id": token.project.id, "name": token.project.name}
            view["project"] = {**project, "domain": _DOMAIN}
            view["is_domain"] = False
        view["roles"] = [self._role_view(role) for role in token.roles]
        if "nocatalog" not in request.args:
            view["catalog"] = self._catalog()
        return view

    # -- the catalog

    def catalog(self) -> ResponseReturnValue:
        """GET /auth/catalog"""
        if self._caller().scope is None:
            raise HttpError(
                403, "You are not authorized to perform the requested action."
            )
        return {"catalog": self._catalog(), "links": _links()}

    def _catalog(self) -> list[Json]:
        root = service_root()
        services = (
            ("identity", "keystone", "/identity"),
            ("compute", "nova", "/compute/v2.1"),
            ("image", "glance", "/image"),
            ("block-storage", "cinder", "/volume/v3"),
            ("network", "neutron", "/network"),
        )
        return [
            {
                "id": self._directory.id_of("service", name),
                "type": kind,
                "name": name,
                "endpoints": [
                    self._endpoint(name, region, interface, f"{root}{below}{path}")
                    for region, below in self._roots(kind)
                    for interface in ("public", "internal", "admin")
                ],
            }
            for kind, name, path in services
        ]

    def _roots(self, kind: str) -> list[tuple[str, str]]:
        """Return each region, and what comes before a service's own path there.

        All regions share one Keystone.
        """
        first, *others = self._services.regions
        more = "" if kind == "identity" else "/{}"
        return [(first, ""), *((name, more.format(name)) for name in others)]

    def _endpoint(self, service: str, region: str, interface: str, url: str) -> Json:
        first = region == self._services.regions[0]
        key = f"{service}-{interface}" + ("" if first else f"-{region}")
        return {
            "id": self._directory.id_of("endpoint", key),
            "interface": interface,
            "region": region,
            "region_id": region,
            "url": url,
        }

    # -- users and projects: users see themselves and their own, the operator all

    def all_users(self) -> ResponseReturnValue:
        """GET /users"""
        if not self._caller().is_operators:
            raise _forbidden("list_users")
        users = [_user_view(each) for each in _named(self._directory.users)]
        return {"users": users, "links": _links()}

    def user(self, user_id: str) -> ResponseReturnValue:
        """GET /users/{id}"""
        return {"user": _user_view(self._visible_user(user_id, "get_user"))}

    def projects(self) -> ResponseReturnValue:
        """GET /auth/projects"""
        return _project_list(self._caller().user.projects)

    def projects_of(self, user_id: str) -> ResponseReturnValue:
        """GET /users/{id}/projects"""
        user = self._visible_user(user_id, "list_user_projects")
        return _project_list(user.projects)

    def all_projects(self) -> ResponseReturnValue:
        """GET /projects"""
        if not self._caller().is_operators:
            raise _forbidden("list_projects")
        return _project_list(_named(self._directory.projects))

    def project(self, project_id: str) -> ResponseReturnValue:
        """GET /projects/{id}"""
        token = self._caller()
        found = self._directory.project(key=project_id)
        if found is not None and (token.is_operators or found in token.user.projects):
            return {"project": _project_view(found)}
        if token.is_operators:
            raise HttpError(404, f"Could not find project: {project_id}.")
        raise _forbidden("get_project")

    def _visible_user(self, user_id: str, action: str) -> User:
        """Return a user that the caller may see."""
        token = self._caller()
        found = self._directory.user(key=user_id)
        if found is not None and (token.is_operators or found == token.user):
            return found
        if token.is_operators:
            raise HttpError(404, f"Could not find user: {user_id}.")
        raise _forbidden(action)


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


def _named(all_: Iterable[_Named]) -> list[_Named]:
    """Return those with the name in the request's query, by default all."""
    return [each for each in all_ if request.args.get("name", each.name) == each.name]


def _user_view(user: User) -> Json:
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": _DOMAIN["id"],
        "enabled": True,
        "password_expires_at": None,
        "options": {},
        "links": {"self": f"{service_root()}/identity/v3/users/{user.id}"},
    }


def _project_list(projects: Iterable[Project]) -> ResponseReturnValue:
    return {"projects": [_project_view(each) for each in projects], "links": _links()}


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
