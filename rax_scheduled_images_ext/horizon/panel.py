"""The panel itself."""

from __future__ import annotations

import horizon
from django.utils.translation import gettext_lazy as _


class ScheduledImages(horizon.Panel):
    """Project, Compute, Scheduled Images."""

    name = _("Scheduled Images")
    slug = "scheduled_images"
    permissions = ("openstack.services.compute", "openstack.services.image")
