#!/usr/bin/python
"""Sets, changes or removes the image schedule of a server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_image_schedule
short_description: Manage the schedule of a server's images
author: The contributors of rax-scheduled-images-ext (!UNKNOWN)
description:
  - Sets a schedule for daily or weekly images of a server, changes parts of it, or
    removes it.
  - What is not named stays as it is, so a weekly schedule whose O(retention) is set
    stays weekly.
options:
  name:
    description:
      - Name or ID of the server. If there is no such server, the task fails, even with
        O(state=absent).
    type: str
    required: true
    aliases: [server]
  state:
    description:
      - Whether the server has a schedule. Without one its images stay, but no more are
        made.
    type: str
    choices: [present, absent]
    default: present
  retention:
    description:
      - How many scheduled images to keep, 1 to 65535. Required if the server has no
        schedule.
      - A lower number deletes nothing until the next image is made.
    type: int
  weekly:
    description:
      - Make one image a week, on this UTC day, an English name in any letter case or an
        unambiguous abbreviation.
    type: str
    aliases: [day_of_week]
  daily:
    description:
      - Make an image every day. A new schedule is daily without it; a weekly schedule
        becomes daily.
      - V(false) is the same as leaving it out.
    type: bool
    default: false
notes:
  - On a cloud without the scheduled images extension the schedule is kept in tags of
    the server, which require compute API 2.26. Images are made only while a
    C(scheduled-images-service) runs for the project, which a warning says when the
    schedule changes.
  - Malformed schedule tags make the task fail, unless it replaces the whole schedule
    (O(retention), and either O(weekly) or O(daily)) or removes it.
requirements:
  - python >= 3.10
  - rax-scheduled-images-ext
seealso:
  - module: rax.scheduled_images.server_image_schedule_info
extends_documentation_fragment:
  - openstack.cloud.openstack
"""

EXAMPLES = r"""
- name: Make an image every day and keep seven
  rax.scheduled_images.server_image_schedule:
    cloud: mycloud
    name: myserver
    retention: 7

- name: Make it weekly, and keep as many as before
  rax.scheduled_images.server_image_schedule:
    cloud: mycloud
    name: myserver
    weekly: saturday

- name: Make no more images
  rax.scheduled_images.server_image_schedule:
    cloud: mycloud
    name: myserver
    state: absent
"""

RETURN = r"""
schedule:
  description: The schedule that the server has now, or would have in check mode.
  type: dict
  returned: success
  contains:
    server:
      description: The server as the task named it.
      type: str
      returned: success
      sample: myserver
    id:
      description: ID of the server.
      type: str
      returned: success
      sample: 24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6
    schedule:
      description: V(daily) or V(weekly), null without a schedule.
      type: str
      returned: success
      sample: weekly
    day_of_week:
      description: The UTC day of a weekly schedule, else null.
      type: str
      returned: success
      sample: SATURDAY
    retention:
      description: How many scheduled images are kept, null without a schedule.
      type: int
      returned: success
      sample: 7
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from ..module_utils.scheduled_images import ScheduledImagesModule, described

# If the package is missing, ScheduledImagesModule says so.
with suppress(ImportError):
    from rax_scheduled_images_ext import (
        Cloud,
        ImageSchedule,
        ScheduleSettings,
        Target,
        disable,
        enable,
        show,
    )
    from rax_scheduled_images_ext.errors import (
        InvalidSchedule,
        NoSchedule,
        ScheduledImagesError,
    )

NEEDS_SERVICE = (
    "This cloud makes no scheduled images itself: they are made only while a"
    " scheduled-images-service runs for the project."
)


@dataclass(frozen=True)
class Found:
    """A server's ID, and its schedule, or the error for malformed tags."""

    server_id: str
    schedule: ImageSchedule | None = None
    invalid: InvalidSchedule | None = None

    def described(self) -> dict[str, Any]:
        """Return the schedule as the diff shows it."""
        shown = described(self.schedule)
        return {**shown, "schedule": "invalid"} if self.invalid else shown


class ServerImageScheduleModule(ScheduledImagesModule):
    """Makes the schedule of one server as the task describes it."""

    argument_spec: ClassVar[dict[str, Any]] = {
        "name": {"type": "str", "required": True, "aliases": ["server"]},
        "state": {
            "type": "str",
            "choices": ["present", "absent"],
            "default": "present",
        },
        "retention": {"type": "int"},
        "weekly": {"type": "str", "aliases": ["day_of_week"]},
        "daily": {"type": "bool", "default": False},
    }

    def perform(self, cloud: Cloud) -> dict[str, Any]:
        """Change what differs, or in check mode return what would change."""
        settings = self._settings()
        found = self._read(cloud)
        wanted = None
        if self.params["state"] == "present":
            wanted = self._wanted(settings, found)
        changed = found.invalid is not None or wanted != found.schedule
        if changed and not self.check_mode:
            wanted = self._change(cloud, found.server_id, wanted)
        after = described(wanted)
        server = {"server": self.params["name"], "id": found.server_id}
        results = {"changed": changed, "schedule": {**server, **after}}
        if self.ansible._diff:
            results["diff"] = {"before": found.described(), "after": after}
        return results

    def _settings(self) -> ScheduleSettings:
        """Return the task's settings of the schedule.

        :raises InvalidValue: for invalid ones.
        """
        given = self.params
        settings = ScheduleSettings(given["retention"], given["weekly"], given["daily"])
        # A task may set nothing, if there is a schedule or none is wanted.
        return settings if settings == ScheduleSettings() else settings.checked()

    def _read(self, cloud: Cloud) -> Found:
        (outcome,) = show(cloud, self.params["name"])
        if isinstance(outcome.error, NoSchedule):
            return Found(outcome.error.server_id)
        if isinstance(outcome.error, InvalidSchedule):
            return Found(outcome.error.server_id, invalid=outcome.error)
        shown = outcome.result()
        return Found(shown.server_id, shown.schedule)

    def _wanted(self, settings: ScheduleSettings, found: Found) -> ImageSchedule:
        """Return the present schedule with the task's settings.

        :raises ScheduledImagesError: if something is neither set nor present.
        """
        if found.invalid and not settings.complete:
            raise ScheduledImagesError(
                f"{found.invalid}. To replace it, give retention, and weekly or daily"
            )
        wanted = settings.applied_to(found.schedule)
        if wanted is None:
            raise ScheduledImagesError(
                f"Server '{self.params['name']}' has no schedule: to give it one,"
                " give retention"
            )
        return wanted

    def _change(
        self, cloud: Cloud, server_id: str, wanted: ImageSchedule | None
    ) -> ImageSchedule | None:
        """Set or remove the schedule; return the one that the server has then."""
        server = Target(self.params["name"], server_id)
        if wanted is None:
            # Not an error: someone else was faster.
            for removed in disable(cloud, server):
                removed.result()
            return None
        (outcome,) = enable(cloud, server, wanted)
        if cloud.schedules.kept_as_tags and outcome.error is None:
            self.warn(NEEDS_SERVICE)
        return outcome.result()


def main() -> None:
    """Run the module."""
    ServerImageScheduleModule()()


if __name__ == "__main__":
    main()
