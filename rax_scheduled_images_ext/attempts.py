"""Time limits and listeners of snapshots, under the names that documents use."""

from __future__ import annotations

from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener as Listener,
)
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Timeouts as Limits,
)

__all__ = ["Limits", "Listener"]
