"""For openstacksdk: the cloud of a connection or a configuration."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.client.cloud import Cloud

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter
    from keystoneauth1.plugin import BaseAuthPlugin
    from keystoneauth1.session import Session
    from openstack.config.cloud_region import CloudRegion
    from openstack.connection import Connection


def cloud_of(connection: Connection) -> Cloud:
    """Return the cloud of an openstacksdk connection, in the connection's region."""
    return configured_cloud(connection.config, connection.session)


def configured_cloud(
    config: CloudRegion, session: Session, auth: BaseAuthPlugin | None = None
) -> Cloud:
    """Return the cloud of a configuration.

    :param auth: how the user logs in, None for the session's own.
    """
    return Cloud(partial(_open_adapter, config, session, auth))


def _open_adapter(
    config: CloudRegion,
    session: Session,
    auth: BaseAuthPlugin | None,
    service_type: str,
    **options: Any,
) -> Adapter:
    from keystoneauth1.adapter import Adapter

    if "region_name" not in options:
        # A named region must not get the endpoint override of another.
        options.setdefault("endpoint_override", config.get_endpoint(service_type))
    options.setdefault("region_name", config.get_region_name(service_type))
    options.setdefault("interface", config.get_interface(service_type))
    options.setdefault("service_name", config.get_service_name(service_type))
    options.setdefault("default_microversion", _microversion(config, service_type))
    return Adapter(session, auth=auth, service_type=service_type, **options)


def _microversion(config: CloudRegion, service_type: str) -> str | None:
    """Return the configured microversion, None for the service's own.

    As in openstacksdk, an API version such as 2.90 counts as one too.
    """
    version = config.get_api_version(service_type) or ""
    implied = version if re.fullmatch(r"[0-9]+\.[0-9]+", version, re.ASCII) else None
    return config.get_default_microversion(service_type) or implied
