"""Rackspace's identity API, v2.0, with passwords and API keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.directory import Token, User
from rax_scheduled_images_ext.sandbox.http.common import HttpError, millitime
from rax_scheduled_images_ext.sandbox.identity.base import (
    Api,
    Json,
    Views,
    body,
    part,
    service_root,
    version_view,
)

_API_KEY = "RAX-KSKEY:apiKeyCredentials"
_FAULTS = {400: "badRequest", 401: "unauthorized", 403: "forbidden"}


class V2(Api):
    """What is under ``/v2.0``."""

    def routes(self) -> Views:
        """Return methods, paths and their handlers."""
        return [
            ("GET", "/", self.version),
            ("POST", "/tokens", self.issue),
            ("GET", "/tokens/<text>", self.validate),
            ("DELETE", "/tokens/<text>", self.revoke),
            ("GET", "/tenants", self.tenants),
        ]

    def fault(self, fault: HttpError) -> ResponseReturnValue:
        """Write an error."""
        error = {"code": fault.status, "message": fault.message}
        whole = {_FAULTS.get(fault.status, "itemNotFound"): error}
        return jsonify(whole), fault.status, fault.headers

    def _refuse(self) -> HttpError:
        return HttpError(401, "Unable to authenticate user with credentials provided.")

    def version(self) -> ResponseReturnValue:
        """GET /"""
        return {"version": version_view("v2.0", request.root_url)}

    def issue(self) -> ResponseReturnValue:
        """POST /tokens"""
        auth = part(body(), "auth")
        user, method = self._identify(auth)
        for key, own in (("tenantId", "id"), ("tenantName", "name")):
            if auth.get(key, getattr(user.project, own)) != getattr(user.project, own):
                raise self._refuse()
        token = self._directory.issue(user, user.project, (method,))
        return {"access": self._view(token)}

    def _identify(self, auth: Mapping[str, Any]) -> tuple[User, str]:
        if _API_KEY in auth:
            given = part(auth, _API_KEY)
            user = self._directory.user(name=given.get("username"))
            if user is None or not self._directory.has_api_key(given.get("apiKey")):
                raise self._refuse()
            return user, "APIKEY"
        if "token" in auth:
            text = part(auth, "token").get("id")
            token = self._directory.read(text if isinstance(text, str) else None)
            if token is None:
                raise self._refuse()
            return token.user, token.methods[0]
        given = part(auth, "passwordCredentials")
        user = self._directory.user(name=given.get("username"))
        return self._with_password(user, given.get("password")), "PASSWORD"

    def validate(self, text: str) -> ResponseReturnValue:
        """GET /tokens/{id}"""
        self._caller()
        access = self._view(self._token(text))
        del access["serviceCatalog"]
        return {"access": access}

    def revoke(self, text: str) -> ResponseReturnValue:
        """DELETE /tokens/{id}"""
        self._caller()
        self._directory.revoke(self._token(text))
        return "", 204

    def tenants(self) -> ResponseReturnValue:
        """GET /tenants"""
        project = self._caller().user.project
        tenant = {"id": project.id, "name": project.name, "enabled": True}
        return {"tenants": [tenant], "tenants_links": []}

    def _view(self, token: Token) -> Json:
        project = token.user.project
        return {
            "token": {
                "id": token.text,
                "expires": millitime(token.expires),
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
        root = service_root()
        services = (
            ("compute", "cloudServersOpenStack", f"/{tenant}"),
            ("image", "cloudImages", ""),
        )
        return [
            {
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "region": region,
                        "tenantId": tenant,
                        "publicURL": f"{root}/{region}/{kind}/v2{path}",
                        "versionId": "2",
                        "versionInfo": f"{root}/{region}/{kind}/v2",
                        "versionList": f"{root}/{region}/{kind}/",
                    }
                    for region in self._services.regions
                ],
            }
            for kind, name, path in services
        ]
