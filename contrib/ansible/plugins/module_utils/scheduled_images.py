"""What the modules of this collection share."""

from __future__ import annotations

import traceback
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.openstack.cloud.plugins.module_utils.openstack import (
    OpenStackModule,
)

MISSING: str | None = None
try:
    from keystoneauth1.exceptions import ClientException

    from rax_scheduled_images_ext import connect
    from rax_scheduled_images_ext.errors import ScheduledImagesError
except ImportError:
    MISSING = traceback.format_exc()

if TYPE_CHECKING:
    from rax_scheduled_images_ext import Cloud, ImageSchedule


class ScheduledImagesModule(OpenStackModule):
    """A module like openstack.cloud's that calls rax-scheduled-images-ext."""

    module_kwargs: ClassVar[dict[str, Any]] = {"supports_check_mode": True}

    @abstractmethod
    def perform(self, cloud: Cloud) -> dict[str, Any]:
        """Do what the task requests; return its results.

        :raises ScheduledImagesError: if the task fails.
        """

    def run(self) -> None:
        """Perform the task, and turn an error into the task's message."""
        if MISSING is not None:
            library = missing_required_lib("rax-scheduled-images-ext")
            self.fail_json(msg=library, exception=MISSING)
        try:
            self.exit_json(**self.perform(connect(self.conn)))
        except (ScheduledImagesError, ClientException) as error:
            self.fail_json(msg=str(error))


def described(schedule: ImageSchedule | None) -> dict[str, Any]:
    """Return a schedule as results show it, all None for none."""
    return {
        "schedule": schedule and schedule.every,
        "day_of_week": schedule and schedule.day_of_week,
        "retention": schedule and schedule.retention,
    }
