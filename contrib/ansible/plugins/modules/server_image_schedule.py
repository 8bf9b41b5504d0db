#!/usr/bin/python
"""Gives a server a schedule of images, changes it, or takes it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_image_schedule
short_description: Manage the schedule of a server's images
author: The contributors of rax-scheduled-images-ext (!UNKNOWN)
description:
  - Gives a server a schedule by which images of it are made daily or weekly, changes
    parts of that schedule, or takes it away.
  - What is not named stays as it is, so a weekly schedule whose O(retention) is set
    stays weekly.
options:
  name:
    description:
      - Name or ID of the server. If no server has it, the task fails, also with
        O(state=absent).
    type: str
    required: true
    aliases: [server]
  state:
    description:
      - Whether the server has a schedule. Without one its images stay, and no more are
        made.
    type: str
    choices: [present, absent]
    default: present
  retention:
    description:
      - How many scheduled images to keep, 1 to 65535. A server without a schedule needs
        it.
      - A lower number deletes nothing until the next image is made.
    type: int
  weekly:
    description:
      - Make one image a week, on this UTC day. It is an English name in any letter
        case, or the beginning of just one.
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
    the server, which need compute API 2.26. Images are made only while a
    C(scheduled-images-service) works for the project, which a warning says when the
    schedule changes.
  - Tags that should be a schedule and are none make the task fail, unless it names
    the whole schedule (O(retention), and either O(weekly) or O(daily)), which replaces
    them, or takes it away.
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

# Where the package is missing, ScheduledImagesModule says so.
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
    " scheduled-images-service works for the project."
)


@dataclass(frozen=True)
class Found:
    """A server's ID, and its schedule, or the error of tags that are none."""

    server_id: str
    schedule: ImageSchedule | None = None
    invalid: InvalidSchedule | None = None

    def described(self) -> dict[str, Any]:
        """Return the schedule as the difference shows it."""
        shown = described(self.schedule)
        return {**shown, "schedule": "invalid"} if self.invalid else shown


class ServerImageScheduleModule(ScheduledImagesModule):
    """Brings the schedule of one server to what the task names."""

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
        """Change what differs, or in check mode return what would be changed."""
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
        """Return what the task names of a schedule.

        :raises InvalidValue: for what cannot be.
        """
        given = self.params
        settings = ScheduleSettings(given["retention"], given["weekly"], given["daily"])
        # A task may name nothing, if there is a schedule or none is wanted.
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
        """Return the present schedule with what is named in place of its parts.

        :raises ScheduledImagesError: if what is not named is not there either.
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
        """Give the server a schedule, or take it away; return the one it has then."""
        server = Target(self.params["name"], server_id)
        if wanted is None:
            # No outcome: somebody else was faster.
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
