"""The roles of a caller, from Keystone."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import HTTPError

from rax_scheduled_images_ext.client.time_limits import limited_pools
from rax_scheduled_images_ext.service.api.answers import Refused, fault
from rax_scheduled_images_ext.service.events import log

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_TIMEOUT = urllib3.Timeout(connect=10, read=30)


class TokenRoles:
    """Asks Keystone for the roles of the caller's token, with that token itself.

    :param auth_url: Keystone's address, with ``/v3`` or without.
    :param cacert: a file with the certificates to trust; None for the system's.
    """

    def __init__(self, auth_url: str, cacert: str | None = None) -> None:
        root = auth_url.rstrip("/").removesuffix("/v3")
        self._url = f"{root}/v3/auth/tokens?nocatalog"
        options: dict[str, Any] = {"ca_certs": cacert} if cacert else {}
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False, **options)
        self._pool.pool_classes_by_scheme = limited_pools()

    def __call__(self, environ: WSGIEnvironment) -> list[str]:
        """Return the roles, none for an invalid token, which Nova refuses.

        :raises Refused: with 503 if they cannot be determined.
        """
        token = environ.get("HTTP_X_AUTH_TOKEN", "")
        headers = {"X-Auth-Token": token, "X-Subject-Token": token}
        try:
            answer = self._pool.request("GET", self._url, headers=headers)
            if answer.status in (400, 401, 404):
                return []
            if answer.status != 200:
                raise ValueError(f"Keystone answered {answer.status}")
            roles = json.loads(answer.data)["token"].get("roles", [])
            return [str(role["name"]) for role in roles]
        except (HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            log(logging.ERROR, "roles unknown", {"reason": str(error)})
            message = "The roles of the token cannot be determined at the moment."
            raise Refused(fault(503, message)) from error
