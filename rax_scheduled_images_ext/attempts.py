"""How long a snapshot may take, and who is told of it: the documented place."""

from __future__ import annotations

from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener as Listener,
)
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Timeouts as Limits,
)

__all__ = ["Limits", "Listener"]
