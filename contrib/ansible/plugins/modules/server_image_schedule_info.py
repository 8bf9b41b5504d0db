#!/usr/bin/python
"""Returns the schedules of servers, and whether their images are fresh."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_image_schedule_info
short_description: Get the schedules and the newest images of servers
author: The contributors of rax-scheduled-images-ext (!UNKNOWN)
description:
  - Returns servers of a project with the schedules of their images, and whether the
    newest image of each is as fresh as its schedule promises.
options:
  name:
    description:
      - Only servers whose names contain a match for this regular expression, such as
        V(^web), or the server with this ID. Without it, all.
      - C(--name) of the command lines is the same.
    type: str
    aliases: [server]
  enabled:
    description:
      - Only servers with a schedule, or with V(false) only those without.
    type: bool
  max_age:
    description:
      - The age in hours at which the newest image of a daily schedule is no longer
        fresh. An image of a weekly schedule may be six days older. By default 26 hours.
    type: int
requirements:
  - python >= 3.10
  - rax-scheduled-images-ext
seealso:
  - module: rax.scheduled_images.server_image_schedule
extends_documentation_fragment:
  - openstack.cloud.openstack
"""

EXAMPLES = r"""
- name: Get the schedules of all web servers
  rax.scheduled_images.server_image_schedule_info:
    cloud: mycloud
    name: ^web
  register: web

- name: Fail if an image is late
  ansible.builtin.assert:
    that: web.schedules | selectattr('state', 'eq', 'late') | length == 0
"""

RETURN = r"""
schedules:
  description: The servers, ordered by name and ID; empty if none matches.
  type: list
  elements: dict
  returned: success
  contains:
    server:
      description: Name of the server.
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
      sample: daily
    day_of_week:
      description: The UTC day of a weekly schedule, else null.
      type: str
      returned: success
      sample: null
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
    counted:
      description: How many images the retention counts.
      type: int
      returned: success
      sample: 7
    kept:
      description: How many images are exempt from the retention.
      type: int
      returned: success
      sample: 0
    newest:
      description: When the newest scheduled image was made, in UTC, null without one.
      type: str
      returned: success
      sample: "2026-01-10T15:35:12Z"
    next_due:
      description: When the next image is due, in UTC, null where that is unknown.
      type: str
      returned: success
      sample: "2026-01-11T15:35:12Z"
    state:
      description:
        - V(ok) if the newest image is fresh, and V(late) if it is too old.
        - V(never) means a schedule without an image so far, V(off) no schedule,
          V(invalid) a malformed schedule tag, and V(unknown) a schedule that could not
          be read.
      type: str
      returned: success
      sample: ok
    expires_next:
      description: Names of the images that the next scheduled image deletes.
      type: list
      elements: str
      returned: success
      sample: [Daily-myserver-1767454512]
    problem:
      description: The malformed tag, or why the schedule could not be read.
      type: str
      returned: success
      sample: null
"""

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from ..module_utils.scheduled_images import ScheduledImagesModule, described

# If the package is missing, ScheduledImagesModule says so.
with suppress(ImportError):
    from rax_scheduled_images_ext import Cloud, ScheduleStatus, read_inventory
    from rax_scheduled_images_ext.errors import InvalidValue
    from rax_scheduled_images_ext.programs.arguments import regular_expression


MOST_HOURS = 87600


class ServerImageScheduleInfoModule(ScheduledImagesModule):
    """Reads the schedules of the servers that the task names."""

    argument_spec: ClassVar[dict[str, Any]] = {
        "name": {"type": "str", "aliases": ["server"]},
        "enabled": {"type": "bool"},
        "max_age": {"type": "int"},
    }

    def perform(self, cloud: Cloud) -> dict[str, Any]:
        """Return a row for each server that matches."""
        name, server_id = self.params["name"], None
        options = self._options()
        if name is not None and is_id(name):
            server = self.conn.compute.find_server(name)
            if server is None:
                return {"schedules": []}
            options["name"] = re.compile(re.escape(server.name))
            server_id = server.id
        found = [
            status
            for status in read_inventory(cloud, **options).servers
            if server_id is None or status.server.id == server_id
        ]
        found.sort(key=lambda status: (status.server.name, status.server.id))
        return {"schedules": [row(status) for status in found]}

    def _options(self) -> dict[str, Any]:
        """Return the arguments for read_inventory.

        :raises InvalidValue: for an invalid age or regular expression.
        """
        hours, name = self.params["max_age"], self.params["name"]
        options = {
            "enabled": self.params["enabled"],
            "name": None if name is None else regular_expression(name),
        }
        if hours is None:
            return options
        if isinstance(hours, bool) or not 1 <= hours <= MOST_HOURS:
            raise InvalidValue(
                f"'{hours}' is not a max_age: a whole number of hours from 1 to"
                f" {MOST_HOURS}"
            )
        return {**options, "max_age": timedelta(hours=hours)}


def row(status: ScheduleStatus) -> dict[str, Any]:
    """Return a server and the status of its images as results show them."""
    server = status.server
    problem = server.invalid_tag or (server.problem and str(server.problem))
    return {
        "server": server.name,
        "id": server.id,
        **described(server.schedule),
        "counted": status.counted,
        "kept": status.kept,
        "newest": written(status.newest.created if status.newest else None),
        "next_due": written(status.next_due),
        "state": status.state.value,
        "expires_next": [image.name or image.id for image in status.expires_next],
        "problem": problem,
    }


def written(time: datetime | None) -> str | None:
    """Return a UTC time as the cloud writes it."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_id(text: str) -> bool:
    """Whether a text has the form of a UUID."""
    with suppress(ValueError):
        return bool(UUID(text))
    return False


def main() -> None:
    """Run the module."""
    ServerImageScheduleInfoModule()()


if __name__ == "__main__":
    main()
