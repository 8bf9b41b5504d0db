"""Adds a link to the scheduled images to each row of Horizon's Instances table.

Optional: name this module as ``customization_module`` in ``HORIZON_CONFIG``. Horizon
has no other way to extend a table, so this depends on how it keeps a table's actions:
``_meta.row_actions`` and ``base_actions``.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from openstack_dashboard.dashboards.project.instances.tables import InstancesTable

from rax_scheduled_images_ext.horizon.tables import OpenImages


class ScheduledImages(OpenImages):
    """Opens the page of a server."""

    name = "scheduled_images"
    verbose_name = _("Scheduled Images")


InstancesTable._meta.row_actions = (*InstancesTable._meta.row_actions, ScheduledImages)
InstancesTable.base_actions[ScheduledImages.name] = ScheduledImages()
