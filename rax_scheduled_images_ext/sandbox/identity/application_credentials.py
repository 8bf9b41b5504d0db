"""Keystone's application credentials: logins for programs, made by their users."""

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

    They are forgotten when the sandbox stops, never expire, and are all restricted:
    with one nobody makes or deletes another.
    """

    def routes(self) -> Views:
        """Return methods, paths, and what answers them."""
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
        views = [_view(each) for each in found if name in (None, each.name)]
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
        if own.project is None or "application_credential" in own.methods:
            raise _forbidden("create_application_credential")
        made = self._directory.add_application_credential(own.user, name, secret)
        if made is None:
            raise HttpError(
                409,
                "Conflict occurred attempting to store application_credential -"
                " Duplicate entry found with name " + name + ".",
            )
        view = {**_view(made), "secret": made.secret}
        return {"application_credential": view}, 201

    def show(self, user_id: str, credential_id: str) -> ResponseReturnValue:
        """GET /users/{id}/application_credentials/{id}"""
        own = self._own(user_id, "get_application_credential")
        return {"application_credential": _view(self._found(own, credential_id))}

    def delete(self, user_id: str, credential_id: str) -> ResponseReturnValue:
        """DELETE /users/{id}/application_credentials/{id}"""
        own = self._own(user_id, "delete_application_credential")
        if "application_credential" in own.methods:
            raise _forbidden("delete_application_credential")
        self._directory.remove_application_credential(self._found(own, credential_id))
        return bare(204)

    def _own(self, user_id: str, action: str) -> Token:
        """Return the caller's token, if it is about the caller."""
        token = self._caller()
        if token.user.id != user_id:
            raise _forbidden(action)
        return token

    def _found(self, own: Token, credential_id: str) -> ApplicationCredential:
        for each in self._directory.application_credentials(own.user):
            if each.id == credential_id:
                return each
        raise HttpError(404, f"Could not find Application Credential: {credential_id}.")


def _forbidden(action: str) -> HttpError:
    return HttpError(
        403,
        f"You are not authorized to perform the requested action: identity:{action}.",
    )


def _view(credential: ApplicationCredential) -> Json:
    """Return an application credential without its secret, which is shown once."""
    return {
        "id": credential.id,
        "name": credential.name,
        "description": None,
        "project_id": credential.user.project.id,
        "system": None,
        "expires_at": None,
        "unrestricted": False,
        "roles": [{"name": role} for role in credential.user.roles],
        "links": {"self": request.base_url},
    }
