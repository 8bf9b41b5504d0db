"""Who may use the sandbox: projects, users, roles and tokens; no HTTP here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

CloudType = Literal["openstack", "rackspace"]

READER, MEMBER, ADMIN = "reader", "member", "admin"

#: The role of the cloud's operators, who may see everything of all projects.
OPERATOR = "operator"

# The roles of each user of the project ``demo``. Keystone's admin is also a member, and
# a member a reader; ``global`` marks roles for all services.
_ADMIN = (ADMIN, MEMBER, READER)
_CREATOR = (MEMBER, READER)
_OBSERVER = (READER,)
_DEMO_USERS = {
    "admin": _ADMIN,
    "creator": _CREATOR,
    "observer": _OBSERVER,
    "global-admin": (*_ADMIN, "global"),
    "global-observer": (*_OBSERVER, "global"),
    "admin2": _ADMIN,
    "creator2": _CREATOR,
    "observer2": _OBSERVER,
}
_OTHER_USERS = {"stranger": _ADMIN}
# The roles that a role implies, as Keystone defines them from the start.
_IMPLIED = {ADMIN: (MEMBER, READER), MEMBER: (READER,)}

# The ID of an account at Rackspace is a number, and so is its name.
_ACCOUNTS = {"demo": "010101", "other": "020202"}


@dataclass(frozen=True)
class Project:
    """A project (Rackspace: tenant or account)."""

    id: str
    name: str


#: The scopes of tokens besides projects: the only domain, and the system.
DOMAIN: Literal["domain"] = "domain"
SYSTEM: Literal["system"] = "system"
Scope = Project | Literal["domain", "system"] | None


@dataclass(frozen=True)
class User:
    """A person or program, with the same roles in each of its scopes.

    ``projects`` are its projects, the default one first. An operator may also use the
    domain and the system as scopes.
    """

    id: str
    name: str
    projects: tuple[Project, ...]
    roles: tuple[str, ...]

    @property
    def project(self) -> Project:
        """The default project."""
        return self.projects[0]

    @property
    def is_operator(self) -> bool:
        """Whether the user is an operator of the cloud."""
        return OPERATOR in self.roles

    def may_enter(self, scope: Scope) -> bool:
        """Whether the user has roles in a scope; an unscoped token requires none."""
        return scope is None or scope in self.projects or self._is_wide(scope)

    def _is_wide(self, scope: Scope) -> bool:
        return self.is_operator and scope in (DOMAIN, SYSTEM)


@dataclass(frozen=True)
class ApplicationCredential:
    """A login that a user has made for a program; ``name`` is unique for the user.

    It is for one project, with some or all of the user's roles.
    """

    id: str
    name: str
    secret: str
    user: User
    project: Project
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """A token. Its times are real, in Unix seconds.

    ``scope`` is its scope, None for an unscoped token, and ``roles`` are its roles
    there. ``credential`` has the ID and the name of the application credential that it
    was issued for.
    """

    text: str
    user: User
    scope: Scope
    roles: tuple[str, ...]
    methods: tuple[str, ...]
    issued: float
    expires: float
    credential: tuple[str, str] | None = None

    @property
    def project(self) -> Project | None:
        """The project of its scope, if that is a project."""
        return self.scope if isinstance(self.scope, Project) else None

    @property
    def is_operators(self) -> bool:
        """Whether it lets its bearer see everything of all projects."""
        return OPERATOR in self.roles


class Directory:
    """The users of one sandbox, and the tokens it gives them.

    Tokens are signed, not stored, so they stay valid after a restart with the same
    seed. Their times follow the wall clock: clients compare them with their own.

    :param like: the kind of cloud, which determines the names of projects.
    :param seed: determines the IDs, the password and the API key.
    :param lifetime: the lifetime of a token, in seconds.
    """

    def __init__(
        self,
        like: CloudType,
        seed: int,
        *,
        lifetime: float = 86400.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._space = uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:{like}:{seed}")
        self._lifetime = lifetime
        self._wall = wall
        self._revoked: set[str] = set()
        self._credentials: dict[str, ApplicationCredential] = {}
        # Tokens of this moment and before are invalid.
        self._void = 0.0
        self._newest = 0.0
        self.password = self._secret("password")[:24]
        self.api_key = self._secret("api-key")[:32]
        self._key = self._secret("scoped token").encode()
        self.projects = tuple(self._project(like, name) for name in _ACCOUNTS)
        demo, other = self.projects
        #: All roles.
        self.roles = (*_ADMIN, "global", OPERATOR)
        self.users = tuple(
            User(self.id_of("user", name), name, projects, roles)
            for projects, users in (
                ((demo,), _DEMO_USERS),
                ((other,), _OTHER_USERS),
                # Nobody is an operator of Rackspace's cloud.
                (
                    (demo, other),
                    {OPERATOR: (*_ADMIN, OPERATOR)} if like == "openstack" else {},
                ),
            )
            for name, roles in users.items()
        )

    def user(self, *, name: str | None = None, key: str | None = None) -> User | None:
        """Return the user with this ID, else with this name, else None."""
        return next((u for u in self.users if key == u.id or name == u.name), None)

    def project(
        self, *, name: str | None = None, key: str | None = None
    ) -> Project | None:
        """Return the project with this ID, else with this name, else None."""
        return next((p for p in self.projects if key == p.id or name == p.name), None)

    def has_password(self, password: object) -> bool:
        """Whether this is the password of every user."""
        return _same(password, self.password)

    def has_api_key(self, api_key: object) -> bool:
        """Whether this is the API key of every user."""
        return _same(api_key, self.api_key)

    def application_credentials(self, user: User) -> list[ApplicationCredential]:
        """Return the application credentials of a user."""
        return [each for each in self._credentials.values() if each.user == user]

    def with_application_credential(
        self, key: object, secret: object
    ) -> ApplicationCredential | None:
        """Return the application credential with this ID, if its secret is right."""
        found = self._credentials.get(key) if isinstance(key, str) else None
        return found if found and _same(secret, found.secret) else None

    def add_application_credential(
        self,
        user: User,
        project: Project,
        name: str,
        roles: Sequence[str],
        secret: str | None = None,
    ) -> ApplicationCredential | None:
        """Make an application credential; None if the user has one with this name."""
        if any(each.name == name for each in self.application_credentials(user)):
            return None
        made = ApplicationCredential(
            uuid.uuid4().hex,
            name,
            secret or secrets.token_urlsafe(32),
            user,
            project,
            tuple(roles),
        )
        self._credentials[made.id] = made
        return made

    def remove_application_credential(self, credential: ApplicationCredential) -> None:
        """Forget an application credential."""
        self._credentials.pop(credential.id, None)

    def issue(
        self,
        user: User,
        scope: Scope,
        methods: Sequence[str],
        credential: ApplicationCredential | None = None,
    ) -> Token:
        """Make a token that is valid from now on.

        :param credential: whose roles replace the user's.
        """
        if credential is None:
            return self._signed(user, scope, user.roles if scope else (), methods)
        made_by, roles = (credential.id, credential.name), credential.roles
        return self._signed(user, scope, _with_implied(roles), methods, made_by)

    def reissue(self, token: Token, scope: Scope, methods: Sequence[str]) -> Token:
        """Make a token for the bearer of another one.

        A token from an application credential keeps its project and roles.
        """
        if token.credential is None:
            return self.issue(token.user, scope, methods)
        return self._signed(
            token.user, token.scope, token.roles, methods, token.credential
        )

    def _signed(
        self,
        user: User,
        scope: Scope,
        roles: Sequence[str],
        methods: Sequence[str],
        credential: tuple[str, str] | None = None,
    ) -> Token:
        now = max(self._wall(), math.nextafter(self._void, math.inf))
        self._newest = max(self._newest, now)
        where = scope.id if isinstance(scope, Project) else scope
        claims = [user.id, where, list(roles), list(methods), now, credential]
        packed = _pack(json.dumps([*claims, secrets.token_hex(8)]).encode())
        text = f"{packed}.{self._sign(packed)}"
        expires = now + self._lifetime
        return Token(
            text, user, scope, tuple(roles), tuple(methods), now, expires, credential
        )

    def read(self, text: str | None) -> Token | None:
        """Return the token with this text; None for an invalid or expired one."""
        packed, _, signature = (text or "").partition(".")
        if not hmac.compare_digest(_utf8(signature), _utf8(self._sign(packed))):
            return None
        user_id, where, roles, methods, issued, made_by, _ = json.loads(_unpack(packed))
        user = self.user(key=user_id)
        expires = issued + self._lifetime
        if user is None or text in self._revoked or expires <= self._wall():
            return None
        if issued <= self._void:
            return None
        scope: Scope = (
            where if where in (None, DOMAIN, SYSTEM) else self.project(key=where)
        )
        credential = None if made_by is None else (made_by[0], made_by[1])
        return Token(
            str(text),
            user,
            scope,
            tuple(roles),
            tuple(methods),
            issued,
            expires,
            credential,
        )

    def revoke(self, token: Token) -> None:
        """Make a token invalid."""
        self._revoked.add(token.text)

    def expire(self) -> None:
        """Make all tokens issued so far invalid."""
        self._void = max(self._wall(), self._newest)

    def _project(self, like: CloudType, name: str) -> Project:
        if like == "rackspace":
            return Project(_ACCOUNTS[name], _ACCOUNTS[name])
        return Project(self.id_of("project", name), name)

    def id_of(self, kind: str, name: str) -> str:
        """Return the ID of a thing of this kind and name."""
        return uuid.uuid5(self._space, f"{kind}:{name}").hex

    def _secret(self, use: str) -> str:
        return hashlib.sha256(f"{self._space}:{use}".encode()).hexdigest()

    def _sign(self, packed: str) -> str:
        return hmac.new(self._key, _utf8(packed), hashlib.sha256).hexdigest()


def _with_implied(roles: Sequence[str]) -> tuple[str, ...]:
    implied = (each for role in roles for each in _IMPLIED.get(role, ()))
    return tuple(dict.fromkeys([*roles, *implied]))


def _same(given: object, wanted: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(_utf8(given), wanted.encode())


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpack(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):  # pragma: no cover - the signature held
        return b"[]"
