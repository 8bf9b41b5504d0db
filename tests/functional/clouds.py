"""The clouds that tests run on: sandboxes, alone or behind the service's API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service.api.keystone import TokenRoles
from rax_scheduled_images_ext.service.api.proxy import Proxy
from rax_scheduled_images_ext.service.api.rights import CallerRights

from .interceptor import Interceptor

#: A plain OpenStack whose catalog leads to the service's proxy; and the same with the
#: rights of Rackspace's roles.
PROXIED, PROXIED_ROLES = "proxied", "proxied-roles"


@contextmanager
def open_cloud(wanted: Any, **options: Any) -> Iterator[Sandbox]:
    """Open a cloud.

    :param wanted: a type of sandbox, options of one, ``PROXIED`` or ``PROXIED_ROLES``.
    """
    if wanted in (PROXIED, PROXIED_ROLES):
        with proxied(roles=wanted == PROXIED_ROLES, **options) as sandbox:
            yield sandbox
        return
    more = {"like": wanted} if isinstance(wanted, str) else wanted
    with Sandbox(**{**options, **more}) as sandbox:
        yield sandbox


@contextmanager
def proxied(*, roles: bool = False, **options: Any) -> Iterator[Sandbox]:
    """Open a plain OpenStack behind a proxy, which its catalog names."""
    with Sandbox(**{**options, "extension": False}) as sandbox:
        address = f"{sandbox.url}/compute"
        rights = (
            CallerRights(TokenRoles(f"{sandbox.url}/identity/v3")) if roles else None
        )
        proxy = Proxy(f"{address}/v2.1", "127.0.0.1", 0, rights=rights)
        before, after = address.encode(), proxy.url.removesuffix("/v2.1").encode()
        Interceptor(sandbox).change(
            "POST", "/tokens$", lambda content: content.replace(before, after)
        )
        proxy.start()
        try:
            yield sandbox
        finally:
            proxy.stop()
