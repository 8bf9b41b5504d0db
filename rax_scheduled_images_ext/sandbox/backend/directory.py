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

# What each user of the project ``demo`` is. Keystone's admin is also a member,
# and a member a reader; ``global`` marks those whose role holds for all services.
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

# An account of Rackspace's is a number, and its name is that number too.
_ACCOUNTS = {"demo": "010101", "other": "020202"}


@dataclass(frozen=True)
class Project:
    """A project (Rackspace: tenant or account)."""

    id: str
    name: str


@dataclass(frozen=True)
class User:
    """A person or program with the same roles wherever it may go."""

    id: str
    name: str
    project: Project
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ApplicationCredential:
    """A login that a user has made for a program; ``name`` is unique for the user."""

    id: str
    name: str
    secret: str
    user: User


@dataclass(frozen=True)
class Token:
    """Proof of who is asking. Times are of the real clock, in unix seconds.

    ``project`` is None for an unscoped token.
    """

    text: str
    user: User
    project: Project | None
    methods: tuple[str, ...]
    issued: float
    expires: float

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles the token gives; none without a project."""
        return self.user.roles if self.project else ()


class Directory:
    """The users of one sandbox, and the tokens it gives them.

    Tokens are signed, not stored, so they outlive a restart on the same seed.
    Their time follows the wall clock: clients compare it with their own.

    :param like: names the projects the way that cloud does.
    :param seed: makes ids, the password and the API key; the same seed makes
        the same ones.
    :param lifetime: of a token, in seconds.
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
        # Tokens of this moment and before are good for nothing.
        self._void = 0.0
        self._newest = 0.0
        self.password = self._secret("password")[:24]
        self.api_key = self._secret("api-key")[:32]
        self._key = self._secret("token").encode()
        self.projects = tuple(self._project(like, name) for name in _ACCOUNTS)
        demo, other = self.projects
        self.users = tuple(
            User(self.id_of("user", name), name, project, roles)
            for project, users in ((demo, _DEMO_USERS), (other, _OTHER_USERS))
            for name, roles in users.items()
        )

    def user(self, *, name: str | None = None, key: str | None = None) -> User | None:
        """Return the user with this id, else name, or None."""
        return next((u for u in self.users if key == u.id or name == u.name), None)

    def project(
        self, *, name: str | None = None, key: str | None = None
    ) -> Project | None:
        """Return the project with this id, else name, or None."""
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
        """Return the application credential of this id, if that is its secret."""
        found = self._credentials.get(key) if isinstance(key, str) else None
        return found if found and _same(secret, found.secret) else None

    def add_application_credential(
        self, user: User, name: str, secret: str | None = None
    ) -> ApplicationCredential | None:
        """Make an application credential; None where the user has one of this name."""
        if any(each.name == name for each in self.application_credentials(user)):
            return None
        made = ApplicationCredential(
            uuid.uuid4().hex, name, secret or secrets.token_urlsafe(32), user
        )
        self._credentials[made.id] = made
        return made

    def remove_application_credential(self, credential: ApplicationCredential) -> None:
        """Forget an application credential."""
        self._credentials.pop(credential.id, None)

    def issue(
        self, user: User, project: Project | None, methods: Sequence[str]
    ) -> Token:
        """Make a token that holds from now on."""
        now = max(self._wall(), math.nextafter(self._void, math.inf))
        self._newest = max(self._newest, now)
        claims = [user.id, project and project.id, list(methods), now]
        packed = _pack(json.dumps([*claims, secrets.token_hex(8)]).encode())
        text = f"{packed}.{self._sign(packed)}"
        return Token(text, user, project, tuple(methods), now, now + self._lifetime)

    def read(self, text: str | None) -> Token | None:
        """Return the token this text stands for; None for a bad or expired one."""
        packed, _, signature = (text or "").partition(".")
        if not hmac.compare_digest(_utf8(signature), _utf8(self._sign(packed))):
            return None
        user_id, project_id, methods, issued, _ = json.loads(_unpack(packed))
        user = self.user(key=user_id)
        expires = issued + self._lifetime
        if user is None or text in self._revoked or expires <= self._wall():
            return None
        if issued <= self._void:
            return None
        project = self.project(key=project_id) if project_id else None
        return Token(str(text), user, project, tuple(methods), issued, expires)

    def revoke(self, token: Token) -> None:
        """Let the token be good for nothing."""
        self._revoked.add(token.text)

    def expire(self) -> None:
        """Let all tokens that were given so far be good for nothing."""
        self._void = max(self._wall(), self._newest)

    def _project(self, like: CloudType, name: str) -> Project:
        if like == "rackspace":
            return Project(_ACCOUNTS[name], _ACCOUNTS[name])
        return Project(self.id_of("project", name), name)

    def id_of(self, kind: str, name: str) -> str:
        """Return the id that this kind of thing has under this name."""
        return uuid.uuid5(self._space, f"{kind}:{name}").hex

    def _secret(self, use: str) -> str:
        return hashlib.sha256(f"{self._space}:{use}".encode()).hexdigest()

    def _sign(self, packed: str) -> str:
        return hmac.new(self._key, _utf8(packed), hashlib.sha256).hexdigest()


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
