"""Requests to Keystone v3."""

from __future__ import annotations

from typing import Any

from .case import Case


def _login(**changes: Any) -> dict[str, Any]:
    user: dict[str, Any] = {
        "name": "{username}",
        "domain": {"name": "{user_domain}"},
        "password": "{password}",
    }
    user.update({key: value for key, value in changes.items() if key in user})
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {
        "project": {"name": "{project_name}", "domain": {"name": "{project_domain}"}}
    }
    auth: dict[str, Any] = {"identity": identity, "scope": changes.get("scope", scope)}
    if changes.get("scope", scope) is None:
        del auth["scope"]
    return {"auth": auth}


def _tokens(note: str, body: Any, **more: Any) -> Case:
    return Case(
        "identity", "POST", "/auth/tokens", note, who="nobody", body=body, **more
    )


_SUBJECT = {"X-Subject-Token": "{token}"}
_BY_TOKEN = {"methods": ["token"], "token": {"id": "{token}"}}

CASES = (
    Case("identity root", "GET", "/", "versions", who="nobody"),
    Case("identity", "GET", "/", "version", who="nobody", show=("version.id",)),
    Case("identity", "GET", "/nothing", who="user"),
    _tokens("password, scoped", _login(), show=("token.methods", "token.project.name")),
    _tokens("password, unscoped", _login(scope=None)),
    _tokens("unscoped by word", _login(scope="unscoped")),
    _tokens("wrong password", _login(password="wrong")),
    _tokens("unknown user", _login(name="no-such-user")),
    _tokens("unknown domain", _login(domain={"name": "no-such-domain"})),
    _tokens("domain by id", _login(domain={"id": "no-such-domain"})),
    _tokens("unknown project", _login(scope={"project": {"id": "{nothing_hex}"}})),
    _tokens("scope without domain", _login(scope={"project": {"name": "demo"}})),
    _tokens("password is a number", _login(password=1)),
    _tokens("no auth", {}),
    _tokens("no identity", {"auth": {}}),
    _tokens("no methods", {"auth": {"identity": {"methods": []}}}),
    _tokens(
        "unknown method", {"auth": {"identity": {"methods": ["magic"], "magic": {}}}}
    ),
    _tokens("method without data", {"auth": {"identity": {"methods": ["password"]}}}),
    _tokens("not JSON", b"{", headers={"Content-Type": "application/json"}),
    _tokens("a list", []),
    _tokens("no body", b"", headers={"Content-Type": "application/json"}),
    _tokens(
        "form", b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}
    ),
    _tokens(
        "by token",
        {"auth": {"identity": _BY_TOKEN, "scope": {"project": {"id": "{project}"}}}},
    ),
    _tokens(
        "by a wrong token",
        {"auth": {"identity": {"methods": ["token"], "token": {"id": "wrong"}}}},
    ),
    Case("identity", "POST", "/auth/tokens?nocatalog", who="nobody", body=_login()),
    Case("identity", "GET", "/auth/tokens", headers=_SUBJECT),
    Case("identity", "GET", "/auth/tokens?nocatalog", headers=_SUBJECT),
    Case("identity", "HEAD", "/auth/tokens", headers=_SUBJECT),
    Case("identity", "GET", "/auth/tokens", "no subject"),
    Case(
        "identity",
        "GET",
        "/auth/tokens",
        "bad subject",
        headers={"X-Subject-Token": "x"},
    ),
    Case("identity", "GET", "/auth/tokens", who="nobody", headers=_SUBJECT),
    Case("identity", "GET", "/auth/tokens", who="liar", headers=_SUBJECT),
    Case("identity", "GET", "/auth/projects", deep=False),
    Case("identity", "GET", "/auth/projects", who="nobody"),
    Case("identity", "GET", "/auth/catalog", deep=False),
    Case("identity", "GET", "/projects/{project}"),
    Case("identity", "GET", "/projects/{nothing_hex}"),
    Case("identity", "GET", "/users/{user}"),
    Case("identity", "GET", "/users/{user}/projects", deep=False),
    Case("identity", "GET", "/users", "not an admin"),
    Case("identity", "GET", "/projects", "not an admin"),
    Case("identity", "GET", "/projects", who="liar"),
    Case("identity", "PUT", "/auth/tokens", "unknown method"),
    Case("identity", "DELETE", "/auth/tokens", "no subject"),
    Case(
        "identity",
        "DELETE",
        "/auth/tokens",
        "wrong subject",
        headers={"X-Subject-Token": "x"},
    ),
    _tokens("a token to revoke", _login(), keep={"revoked": "header.X-Subject-Token"}),
    Case(
        "identity",
        "DELETE",
        "/auth/tokens",
        headers={"X-Subject-Token": "{revoked}"},
    ),
    Case(
        "identity",
        "GET",
        "/auth/tokens",
        "revoked",
        headers={"X-Subject-Token": "{revoked}"},
    ),
)
