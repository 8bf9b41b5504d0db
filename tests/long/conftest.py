"""The clouds of the functional tests, and their shells."""

from ..functional.conftest import cloud, nova, start

__all__ = ["cloud", "nova", "start"]
