#!/usr/bin/python
"""Sets, changes or removes the image schedule of a server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_image_schedule
short_description: Manage the schedule of a server's images
author: The contributors of rax-scheduled-images-ext (!UNKNOWN)
description:
  - Sets a schedule for images of a server, daily, weekly or several a day, changes
    parts of it, or removes it.
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
  every:
    description:
      - How often an image is made, in place of O(daily) and beside O(weekly).
    type: str
    choices: [daily, weekly, 12h, 8h, 6h, 4h, 3h, 2h, 1h]
  at:
    description:
      - The UTC time at which an image is made, such as V(02:30); of several a day, the
        first one. With V(auto), as without any, it follows from the server's ID.
    type: str
  keep:
    description:
      - Rules that say what is kept, in place of O(retention). Each keeps the newest
        image of each of so many periods that have one.
      - Rules that are left out are taken away.
    type: dict
    suboptions:
      last:
        description: The newest images, however old.
        type: int
      hourly:
        description: Hours.
        type: int
      daily:
        description: Days.
        type: int
      weekly:
        description: ISO weeks.
        type: int
      monthly:
        description: Months.
        type: int
      yearly:
        description: Years.
        type: int
      within_days:
        description: All images that are less than so many days older than the newest
          one; requires O(keep.last) of at least 2.
        type: int
notes:
  - On a cloud without the scheduled images extension the schedule is kept in tags of
    the server, which require compute API 2.26. Images are made only while a
    C(scheduled-images-service) runs for the project, which a warning says when the
    schedule changes.
  - Malformed schedule tags make the task fail, unless it replaces the whole schedule
    (O(retention) or O(keep), and O(weekly), O(daily) or O(every)) or removes it.
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

- name: Make an image every six hours; keep a week of days and a year of months
  rax.scheduled_images.server_image_schedule:
    cloud: mycloud
    name: myserver
    every: 6h
    keep:
      last: 8
      daily: 7
      weekly: 4
      monthly: 12

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
      description: V(daily) or V(weekly), or all of a schedule that is more, null
        without one.
      type: str
      returned: success
      sample: weekly
    day_of_week:
      description: The UTC day of a weekly schedule, else null.
      type: str
      returned: success
      sample: SATURDAY
    retention:
      description: How many scheduled images are kept, null without a schedule, and
        where rules say what is kept.
      type: int
      returned: success
      sample: 7
    every:
      description: Of a schedule beyond daily, weekly and a number, how often an image
        is made, such as V(6h).
      type: str
      returned: when a schedule has rules, an hour, or several images a day
      sample: 6h
    at:
      description: The UTC time of such a schedule, if it has one of its own.
      type: str
      returned: when a schedule has such a time
      sample: "02:30"
    keep:
      description: The rules of such a schedule.
      type: dict
      returned: when a schedule has rules, an hour, or several images a day
      sample: {last: 8, daily: 7}
    most:
      description: How many images such a schedule keeps at most.
      type: int
      returned: when a schedule has rules, an hour, or several images a day
      sample: 13
expires_next:
  description:
    - Names of the images that the next scheduled image deletes, or would in check mode.
  type: list
  elements: str
  returned: when the rules of a schedule change, or a number and rules
  sample: [Daily-myserver-1767454512]
"""

from contextlib import suppress
from dataclasses import dataclass, replace
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
        forecast,
        show,
    )
    from rax_scheduled_images_ext.errors import (
        InvalidSchedule,
        InvalidValue,
        NoSchedule,
        ScheduledImagesError,
    )
    from rax_scheduled_images_ext.model.keep import NO_RULES, read_keep
    from rax_scheduled_images_ext.model.schedule import parse_every

NEEDS_SERVICE = (
    "This cloud makes no scheduled images itself: they are made only while a"
    " scheduled-images-service runs for the project."
)
# As in the package, which may be missing.
RULES = ("last", "hourly", "daily", "weekly", "monthly", "yearly", "within_days")
INTERVALS = ("12h", "8h", "6h", "4h", "3h", "2h", "1h")


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
        "every": {"type": "str", "choices": ["daily", "weekly", *INTERVALS]},
        "at": {"type": "str"},
        "keep": {
            "type": "dict",
            "options": {rule: {"type": "int"} for rule in RULES},
        },
    }

    def perform(self, cloud: Cloud) -> dict[str, Any]:
        """Change what differs, or in check mode return what would change."""
        settings = self._settings()
        found = self._read(cloud)
        wanted = None
        if self.params["state"] == "present":
            wanted = self._wanted(settings, found)
        changed = found.invalid is not None or wanted != found.schedule
        if changed and wanted is not None:
            cloud.schedules.check(wanted)
        going = self._going(cloud, found, wanted) if changed else None
        if changed and not self.check_mode:
            wanted = self._change(cloud, found.server_id, wanted)
        after = described(wanted)
        server = {"server": self.params["name"], "id": found.server_id}
        results = {"changed": changed, "schedule": {**server, **after}}
        if going is not None:
            results["expires_next"] = going
        if self.ansible._diff:
            results["diff"] = {"before": found.described(), "after": after}
        return results

    def _settings(self) -> ScheduleSettings:
        """Return the task's settings of the schedule.

        :raises InvalidValue: for invalid ones.
        """
        given = self.params
        daily, hours = parse_every(given["every"]) if given["every"] else (False, None)
        if given["every"] == "weekly" and given["weekly"] is None:
            raise InvalidValue("a weekly schedule requires a day of the week: weekly")
        keep = None
        if given["keep"] is not None:
            rules = {rule: n for rule, n in given["keep"].items() if n is not None}
            keep = read_keep(rules)
        settings = ScheduleSettings(
            given["retention"],
            given["weekly"],
            given["daily"] or daily,
            hours,
            given["at"],
            replace(keep, within_days=0) if keep else NO_RULES,
            keep.within_days if keep else None,
        )
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
                f"{found.invalid}. To replace it, give retention or keep, and weekly,"
                " daily or every"
            )
        wanted = settings.applied_to(found.schedule)
        if wanted is None:
            raise ScheduledImagesError(
                f"Server '{self.params['name']}' has no schedule: to give it one,"
                " give retention or keep"
            )
        return wanted

    def _going(
        self, cloud: Cloud, found: Found, wanted: ImageSchedule | None
    ) -> list[str] | None:
        """Return what goes next by new rules; None where none are changed."""
        both = [each for each in (found.schedule, wanted) if each is not None]
        if wanted is None or all(each.retention is not None for each in both):
            return None
        (outcome,) = forecast(cloud, found.server_id, wanted)
        expiring = [decision.image for decision in outcome.result().expiring]
        return [image.name or image.id for image in expiring]

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
