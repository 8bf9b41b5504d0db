"""Scheduled images of servers: their schedules, their retention, and snapshots.

The public names are those of ``__all__`` and the errors in :mod:`.errors`. A program
hands its novaclient client or its openstacksdk connection to :func:`connect`, and the
:class:`Cloud` that this returns to the other functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rax_scheduled_images_ext.api import *  # noqa: F403
    from rax_scheduled_images_ext.api import __all__ as __all__

__version__: str


# Late, because every `nova` imports this module and few need a public name.
def __getattr__(name: str) -> Any:
    if name == "__version__":
        from pbr.version import VersionInfo

        return str(VersionInfo("rax-scheduled-images-ext").release_string())
    if name == "__all__" or not name.startswith("_"):
        api = vars(import_module("rax_scheduled_images_ext.api"))
        if name in api:
            return api[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__getattr__("__all__")]
