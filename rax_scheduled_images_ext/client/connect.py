"""The cloud of a program's own client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.client.cloud import Cloud

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(client: Connection | Any) -> Cloud:
    """Return the cloud of a client, for its user and its region.

    :param client: an openstacksdk ``Connection``, or a novaclient client.
    :raises TypeError: for anything else.
    """
    # Late: either library may be missing, but a connection's has been imported.
    sdk = sys.modules.get("openstack.connection")
    if sdk is not None and isinstance(client, sdk.Connection):
        from rax_scheduled_images_ext.client import openstacksdk

        return openstacksdk.cloud_of(client)
    if not hasattr(client, "client"):
        raise TypeError(
            f"{type(client).__name__} is neither an openstacksdk Connection nor a"
            " novaclient client"
        )
    from rax_scheduled_images_ext.client import novaclient

    return novaclient.cloud_of(client)
