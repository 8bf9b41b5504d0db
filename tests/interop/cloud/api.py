"""The few requests that setting the cloud up takes, with what Python has itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from .layout import CINDER, GLANCE, KEYSTONE, NOVA, CloudError, url

BASES = {
    "identity": url(KEYSTONE, "/v3"),
    "compute": url(NOVA, "/v2.1"),
    "image": url(GLANCE, "/v2"),
    "block-storage": url(CINDER, "/v3"),
}


def answers(address: str) -> bool:
    """Whether a service answers there at all, its refusals included."""
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False
    return True


class Administrator:
    """A logged-in administrator."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Log in as the OS_* variables say."""
        domain = {"id": "default"}
        user = {
            "name": environ["OS_USERNAME"],
            "password": environ["OS_PASSWORD"],
            "domain": domain,
        }
        self._token = ""
        _, headers = self._send(
            "POST",
            f"{BASES['identity']}/auth/tokens",
            {
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {
                        "project": {
                            "name": environ["OS_PROJECT_NAME"],
                            "domain": domain,
                        }
                    },
                }
            },
        )
        self._token = headers["X-Subject-Token"]

    def get(self, service: str, path: str) -> Any:
        return self._send("GET", BASES[service] + path)[0]

    def put(self, service: str, path: str, body: object | bytes | None = None) -> Any:
        return self._send("PUT", BASES[service] + path, body)[0]

    def post(self, service: str, path: str, body: object) -> Any:
        return self._send("POST", BASES[service] + path, body)[0]

    def patch(self, service: str, path: str, body: object) -> Any:
        return self._send("PATCH", BASES[service] + path, body)[0]

    def delete(self, service: str, path: str) -> None:
        self._send("DELETE", BASES[service] + path)

    def _send(
        self, method: str, address: str, body: Any = None
    ) -> tuple[Any, Mapping[str, str]]:
        kind = (
            "application/octet-stream"
            if isinstance(body, bytes)
            else "application/json"
        )
        data = (
            body
            if body is None or isinstance(body, bytes)
            else json.dumps(body).encode()
        )
        request = urllib.request.Request(
            address,
            data,
            {"X-Auth-Token": self._token, "Content-Type": kind},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return (json.loads(text) if text else None), answer.headers
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise CloudError(
                f"{method} {address}: HTTP {error.code}: {said[:500]}"
            ) from None
