"""A cloud on this machine; needs the extra ``[sandbox]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox.fixture import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    # Imported late: the web framework takes a while.
    if name == "Sandbox":
        from rax_scheduled_images_ext.sandbox.fixture import Sandbox

        return Sandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
