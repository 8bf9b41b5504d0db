"""The cloud of somebody who is logged in to Horizon: no new login, no new token."""

from __future__ import annotations

import time
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from horizon.utils.memoized import memoized
from keystoneauth1.access import AccessInfoV3
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.session import Session

from rax_scheduled_images_ext.client.cloud import Cloud

# As Horizon's settings call the interfaces of a catalog.
_INTERFACES = {"publicURL": "public", "internalURL": "internal", "adminURL": "admin"}
# Seconds for which it is remembered which regions have the extension.
_REMEMBERED = 600


@memoized
def cloud_of(request: HttpRequest) -> Cloud:
    """Return the cloud of a request's user, in the region that Horizon shows."""
    user: Any = request.user
    session = Session(verify=_verify(), user_agent="horizon")
    auth = AccessInfoPlugin(_access(user), auth_url=user.endpoint)
    interfaces = [
        _INTERFACES.get(each, each)
        for each in (settings.OPENSTACK_ENDPOINT_TYPE, settings.SECONDARY_ENDPOINT_TYPE)
        if each
    ]
    open_adapter = partial(_open_adapter, session, auth, interfaces)
    offered = _offered(user.endpoint, int(time.monotonic()) // _REMEMBERED)
    return Cloud(open_adapter, user.services_region, _offered=offered)


def _access(user: Any) -> AccessInfoV3:
    """Return what Keystone answered when the user logged in, as far as Horizon keeps
    it."""
    token: dict[str, Any] = {
        "catalog": user.service_catalog,
        "expires_at": user.token.expires.isoformat(),
        "project": {"id": user.project_id, "name": user.project_name},
        "roles": user.roles,
        "user": {"id": user.id, "name": user.username},
    }
    return AccessInfoV3({"token": token}, auth_token=user.token.id)


def _open_adapter(
    session: Session,
    auth: AccessInfoPlugin,
    interfaces: list[str],
    service_type: str,
    **options: Any,
) -> Adapter:
    options.setdefault("interface", interfaces)
    return Adapter(session, auth=auth, service_type=service_type, **options)


def _verify() -> bool | str:
    """Return how Horizon checks certificates."""
    if settings.OPENSTACK_SSL_NO_VERIFY:
        return False
    return settings.OPENSTACK_SSL_CACERT or True


@lru_cache
def _offered(_keystone: str, _period: int) -> dict[str | None, bool]:
    """Return which regions of a cloud have the extension, as known to all users."""
    return {}
