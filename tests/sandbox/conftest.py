"""The clouds and callers of the functional tests."""

from ..functional.conftest import (
    admin,
    cloud,
    cloud_box,
    nova,
    openstack,
    server,
    start,
)

__all__ = ["admin", "cloud", "cloud_box", "nova", "openstack", "server", "start"]
