"""The panel as an application of Django, which finds its translations by it."""

from __future__ import annotations

from django.apps import AppConfig


class ScheduledImagesConfig(AppConfig):
    """The application; Horizon's own has the label that would follow from the name."""

    name = "rax_scheduled_images_ext.horizon"
    label = "scheduled_images"
