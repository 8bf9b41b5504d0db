"""Scheduled server images for the ``nova`` command line.

From Python, a novaclient client that was made with
``extensions=novaclient.client.discover_extensions(version)`` has the attribute
``scheduled_images``, see :class:`.cli.nova.manager.ScheduledImagesManager`.
"""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    # Late, because every `nova` imports this module and none needs its version.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pbr.version import VersionInfo

    return str(VersionInfo("rax-scheduled-images-ext").release_string())
