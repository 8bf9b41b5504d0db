"""Adds the panel to Horizon: Project, Compute, after Instances.

Copy this file to ``openstack_dashboard/local/enabled``.
"""

from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext import errors

PANEL = "scheduled_images"
PANEL_DASHBOARD = "project"
PANEL_GROUP = "compute"
ADD_PANEL = "rax_scheduled_images_ext.horizon.panel.ScheduledImages"
ADD_INSTALLED_APPS = ["rax_scheduled_images_ext.horizon"]
ADD_EXCEPTIONS = {
    "recoverable": (errors.ScheduledImagesError, ClientException),
    "not_found": (errors.NotFound, errors.NoMatch),
}
