"""Adds a tab to the page of an instance: its schedule, and the way to its images.

Optional: copy this file beside the one of the panel.
"""

FEATURE = "scheduled_images_tab"
EXTRA_TABS = {
    "openstack_dashboard.dashboards.project.instances.tabs.InstanceDetailTabs": (
        "rax_scheduled_images_ext.horizon.tabs.ScheduledImagesTab",
    ),
}
