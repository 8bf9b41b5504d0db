"""The settings of a panel."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Protocol

from keystoneauth1.session import Session
from openstack.config.cloud_region import CloudRegion

from rax_scheduled_images_ext.client.configuration import (
    configuration,
    no_cloud,
    open_session,
)
from rax_scheduled_images_ext.client.pool import widen
from rax_scheduled_images_ext.client.time_limits import limit_time
from rax_scheduled_images_ext.errors import InvalidPolicies
from rax_scheduled_images_ext.operations.policy_file import PolicyFile
from rax_scheduled_images_ext.panel.readings import Patience

# The maximum number of concurrent requests to the cloud, and seconds for a response.
_CONNECTIONS = 32
_TIMEOUT = 30
#: Seconds without action by the user after which a session ends.
IDLE = 1800.0
#: Seconds between two updates of an open page.
REFRESH = 10.0


class EntryTokens:
    """The one-time token with which the user who started the panel opens it.

    Only one is valid at a time.
    """

    def __init__(self, renewed: Callable[[str], object] = lambda token: None) -> None:
        """:param renewed: called with the next token once one is used."""
        self._renewed = renewed
        self._lock = threading.Lock()
        self.token = secrets.token_urlsafe(24)

    def use(self, token: str) -> bool:
        """Return whether a token is valid, which makes it invalid."""
        with self._lock:
            if not secrets.compare_digest(token.encode(), self.token.encode()):
                return False
            self.token = secrets.token_urlsafe(24)
        self._renewed(self.token)
        return True


class Playground(Protocol):
    """A sandbox cloud, as far as the panel plays with it."""

    def advance(self, duration: str) -> object:
        """Let its time pass."""

    def fault(self, *faults: str) -> None:
        """Break something."""

    def clear_faults(self) -> None:
        """Mend everything."""

    def faults(self) -> list[tuple[str, int]]:
        """Return what is broken, and how often each fault has happened."""


@dataclass(frozen=True)
class Settings:
    """A panel for one cloud.

    ``config`` describes the cloud, and ``session`` sends the requests. With ``entry``
    the panel is only for the user who started it, as the user of ``config``; without
    it people log in. ``hosts`` are its host names, ``proxies`` how many reverse proxies
    are in front of it, and ``port`` distinguishes the cookies of several panels on one
    machine. ``refresh`` is the seconds between two updates of an open page,
    ``patience`` how long a page waits for the cloud. The exceptions of ``policies``
    count. ``sandbox`` is the cloud if it is a sandbox that the panel may advance and
    break.
    """

    config: CloudRegion
    session: Session
    entry: EntryTokens | None = None
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    idle: float = IDLE
    refresh: float = REFRESH
    patience: Patience = field(default_factory=Patience)
    proxies: int = 0
    port: int | None = None
    policies: PolicyFile | None = None
    sandbox: Playground | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


def policy_file(path: str | None) -> PolicyFile | None:
    """Return a file of policies, None without a path.

    :raises InvalidPolicies: if there are no policies in it.
    """
    if not path:
        return None
    file = PolicyFile(Path(path))
    _, problem = file.read()
    if problem is not None:
        raise InvalidPolicies([problem])
    return file


def auth_option(config: CloudRegion, name: str) -> str | None:
    """Return a login setting of a configuration, None if it is not set.

    Environment variables are outside ``auth`` until they are validated.
    """
    found = config.config.get("auth", {}).get(name) or config.config.get(name)
    return str(found) if found else None


def cloud_for(app_name: str, *, with_login: bool) -> tuple[CloudRegion, Session]:
    """Return the configured cloud, and the session that sends all requests to it.

    :param with_login: whether the configuration must say how to log in.
    :raises Misconfigured: if there is no cloud, or it has no address to log in to.
    """
    config = configuration(app_name, with_login=with_login)
    if with_login:
        session = open_session(config)
    else:
        if not auth_option(config, "auth_url"):
            raise no_cloud()
        verify, cert = config.get_requests_verify_args()
        session = Session(verify=verify, cert=cert, app_name=app_name)
        limit_time(session.session)
    session.timeout = min(session.timeout or _TIMEOUT, _TIMEOUT)
    widen(session, _CONNECTIONS)
    # One user's cookies must not be sent for another.
    session.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return config, session
