"""The clouds of the functional tests, and their shells."""

from ..functional.conftest import cloud, nova, openstack, quick, start

__all__ = ["cloud", "nova", "openstack", "quick", "start"]
