"""A tab on Horizon's own page of an instance."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from horizon import tabs

from rax_scheduled_images_ext.horizon import words
from rax_scheduled_images_ext.horizon.cloud import cloud_of
from rax_scheduled_images_ext.horizon.exceptions import Handled
from rax_scheduled_images_ext.operations.server import read_server_details


class ScheduledImagesTab(tabs.Tab):
    """The schedule of an instance and its newest image."""

    name = _("Scheduled Images")
    slug = "scheduled_images"
    template_name = "project/scheduled_images/_tab.html"
    preload = False

    def get_context_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the template shows; nothing after an error."""
        server_id = self.tab_group.kwargs["instance"].id
        with Handled(request, _("Unable to retrieve the server.")):
            details = read_server_details(cloud_of(request), server_id)
            return words.facts_of(details)
        return {}
