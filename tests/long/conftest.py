"""The clouds of the functional tests, and their shells."""

from ..functional.conftest import cloud, nova

__all__ = ["cloud", "nova"]
