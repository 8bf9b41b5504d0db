"""The errors that programs catch: all of this package's own, under one public name."""

from __future__ import annotations

from rax_scheduled_images_ext.client.errors import *  # noqa: F403
from rax_scheduled_images_ext.model.errors import (
    InvalidValue as InvalidValue,
)
from rax_scheduled_images_ext.model.errors import (
    ScheduledImagesError as ScheduledImagesError,
)
