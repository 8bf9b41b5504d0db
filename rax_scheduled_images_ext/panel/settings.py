"""How a panel is set up."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy

from keystoneauth1.session import Session
from openstack.config.cloud_region import CloudRegion

from rax_scheduled_images_ext.client.configuration import (
    configuration,
    open_session,
)
from rax_scheduled_images_ext.client.pool import widen
from rax_scheduled_images_ext.client.time_limits import limit_time
from rax_scheduled_images_ext.errors import Misconfigured
from rax_scheduled_images_ext.panel.readings import Patience

# How many requests to the cloud are under way at most, and seconds for an answer.
_CONNECTIONS = 32
_TIMEOUT = 30
#: Seconds without a request of the user's own after which a session ends.
IDLE = 1800.0
#: Seconds after which an open page looks again.
REFRESH = 10.0


class EntryTokens:
    """The one-time token by which whoever started the panel enters it.

    There is always just one that is good.
    """

    def __init__(self, renewed: Callable[[str], object] = lambda token: None) -> None:
        """:param renewed: is given the next token once one is used."""
        self._renewed = renewed
        self._lock = threading.Lock()
        self.token = secrets.token_urlsafe(24)

    def use(self, token: str) -> bool:
        """Return whether a token is the good one, which it is no more after that."""
        with self._lock:
            if not secrets.compare_digest(token.encode(), self.token.encode()):
                return False
            self.token = secrets.token_urlsafe(24)
        self._renewed(self.token)
        return True


@dataclass(frozen=True)
class Settings:
    """A panel over one cloud.

    ``config`` describes the cloud, and ``session`` sends the requests. With ``entry``
    the panel is for whoever started it, as the user of ``config``; without it people
    log in. ``hosts`` are the names it may be called by, ``proxies`` how many reverse
    proxies are in front of it, and ``port`` keeps the cookies of several panels on
    one machine apart. ``refresh`` is after how many seconds an open page looks again,
    ``patience`` how long a page waits for the cloud.
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
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


def auth_option(config: CloudRegion, name: str) -> str | None:
    """Return what a configuration says about logging in, None if it does not.

    Variables of the environment stand beside ``auth`` until they are checked.
    """
    found = config.config.get("auth", {}).get(name) or config.config.get(name)
    return str(found) if found else None


def cloud_for(app_name: str, *, with_login: bool) -> tuple[CloudRegion, Session]:
    """Return the configured cloud, and what sends requests to it for all.

    :param with_login: whether the configuration must say how to log in.
    :raises Misconfigured: if there is no cloud, or it has no address to log in at.
    """
    config = configuration(app_name, with_login=with_login)
    if with_login:
        session = open_session(config)
    else:
        if not auth_option(config, "auth_url"):
            raise Misconfigured("no cloud is configured: set OS_CLOUD or OS_AUTH_URL")
        verify, cert = config.get_requests_verify_args()
        session = Session(verify=verify, cert=cert, app_name=app_name)
        limit_time(session.session)
    session.timeout = min(session.timeout or _TIMEOUT, _TIMEOUT)
    widen(session, _CONNECTIONS)
    # A cookie that one user is given is nobody else's.
    session.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return config, session
