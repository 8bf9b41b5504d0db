"""Keystone's application credentials: logins for programs, created by their users."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import (
    ApplicationCredential,
    Token,
)
from rax_scheduled_images_ext.sandbox.http.common import HttpError, bare
from rax_scheduled_images_ext.sandbox.identity.base import Api, Json, Views, body, part


class ApplicationCredentials(Api):
    """What is under ``/v3/users/{id}/application_credentials``.

    They never expire, are lost when the sandbox stops, and are all restricted: none can
    create or delete another.
    """

    def routes(self) -> Views:
        """Return methods, paths and their handlers."""
        path = "/users/<user_id>/application_credentials"
        return [
            ("GET", path, self.index),
            ("POST", path, self.create),
            ("GET", f"{path}/<credential_id>", self.show),
            ("DELETE", f"{path}/<credential_id>", self.delete),
        ]

    def index(self, user_id: str) -> ResponseReturnValue:
        """GET /users/{id}/application_credentials"""
        own = self._own(user_id, "list_application_credentials")
        found = self._directory.application_credentials(own.user)
        name = request.args.get("name")
        views = [self._view(each) for each in found if name in (None, each.name)]
        links = {"self": request.base_url, "previous": None, "next": None}
        return {"application_credentials": views, "links": links}

    def create(self, user_id: str) -> ResponseReturnValue:
        """POST /users/{id}/application_credentials"""
        own = self._own(user_id, "create_application_credential")
        given = part(body(), "application_credential")
        name, secret = given.get("name"), given.get("secret")
        if not isinstance(name, str) or not 0 < len(name) <= 255:
            raise HttpError(400, "Invalid input for field 'name'")
        if secret is not None and not isinstance(secret, str):
            raise HttpError(400, "Invalid input for field 'secret'")
        if own.project is None or own.credential is not None:
            raise _forbidden("create_application_credential")
        roles = self._roles(given.get("roles"), own)
        made = self._directory.add_application_credential(
            own.user, own.project, name, roles, secret
        )
        if made is None:
            raise HttpError(
                409,
                "Conflict occurred attempting to store application_credential -"
                " Duplicate entry found with name " + name + ".",
            )
        view = {**self._view(made), "secret": made.secret}
        return {"application_credential": view}, 201

    def show(self, user_id: str, credential_id: str) -> ResponseReturnValue:
        """GET /users/{id}/application_credentials/{id}"""
        own = self._own(user_id, "get_application_credential")
        return {"application_credential": self._view(self._found(own, credential_id))}

    def delete(self, user_id: str, credential_id: str) -> ResponseReturnValue:
        """DELETE /users/{id}/application_credentials/{id}"""
        own = self._own(user_id, "delete_application_credential")
        if own.credential is not None:
            raise _forbidden("delete_application_credential")
        self._directory.remove_application_credential(self._found(own, credential_id))
        return bare(204)

    def _roles(self, wanted: object, own: Token) -> list[str]:
        """Return the requested roles, by default all of the caller's."""
        if wanted is None or wanted == []:
            return list(own.roles)
        if not isinstance(wanted, list) or not all(isinstance(r, dict) for r in wanted):
            raise HttpError(400, "Invalid input for field 'roles'")
        return [self._role(each.get("id"), each.get("name"), own) for each in wanted]

    def _role(self, key: object, name: object, own: Token) -> str:
        for role in self._directory.roles:
            if name == role or key == self._directory.id_of("role", role):
                if role in own.roles:
                    return role
                assert own.project is not None
                raise HttpError(
                    400,
                    "Invalid application credential: Could not find role assignment"
                    f" with role: {self._directory.id_of('role', role)}, user or group:"
                    f" {own.user.id}, project, domain, or system: {own.project.id}.",
                )
        raise HttpError(404, f"Could not find role: {name or key}.")

    def _own(self, user_id: str, action: str) -> Token:
        """Return the caller's token, if the user is the caller."""
        token = self._caller()
        if token.user.id != user_id:
            raise _forbidden(action)
        return token

    def _found(self, own: Token, credential_id: str) -> ApplicationCredential:
        for each in self._directory.application_credentials(own.user):
            if each.id == credential_id:
                return each
        raise HttpError(404, f"Could not find Application Credential: {credential_id}.")

    def _view(self, credential: ApplicationCredential) -> Json:
        """Return an application credential; its secret is shown only at creation."""
        return {
            "id": credential.id,
            "name": credential.name,
            "description": None,
            "project_id": credential.project.id,
            "system": None,
            "expires_at": None,
            "unrestricted": False,
            "roles": [self._role_view(role) for role in credential.roles],
            "links": {"self": request.base_url},
        }


def _forbidden(action: str) -> HttpError:
    return HttpError(
        403,
        f"You are not authorized to perform the requested action: identity:{action}.",
    )
