#!/usr/bin/python
"""Gets a server back from one of its images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_restore
short_description: Get a server back from one of its images
author: The contributors of rax-scheduled-images-ext (!UNKNOWN)
description:
  - Restores a server from one of its images, as a new server or in place.
  - Nothing is deleted. In place, a safety image of its present disk is made first, and
    undoes the restore.
options:
  name:
    description:
      - Name or ID of the server. It may be deleted, if O(new_name) is given.
    type: str
    required: true
    aliases: [server]
  new_name:
    description:
      - Restore as a new server of this name, beside the old one. If this task has made
        that server before, nothing is changed.
      - One of O(new_name) and O(in_place) is required.
    type: str
  in_place:
    description:
      - Put the disk of the server itself back, each time that the task runs.
    type: bool
    default: false
  image:
    description:
      - Name or ID of the image. Without it and O(at), the newest complete one is used
        whose proof has not failed.
    type: str
  at:
    description:
      - Use the newest image that is not younger than this UTC time, such as
        V(2026-01-05T12:00), or V(2026-01-05) for the end of that day.
    type: str
  flavor:
    description:
      - Name or ID of the new server's flavor, in place of that of the old one.
    type: str
  networks:
    description:
      - Names or IDs of the new server's networks, in place of those of the old one.
    type: list
    elements: str
  security_groups:
    description:
      - The new server's security groups, in place of those of the old one.
    type: list
    elements: str
  key_name:
    description:
      - The new server's key pair, in place of that of the old one. Empty for none.
    type: str
  availability_zone:
    description:
      - The new server's availability zone. Without it, the cloud chooses one.
    type: str
  schedule:
    description:
      - Whether the new server gets the schedule of the old one.
    type: bool
    default: false
  safety_image:
    description:
      - Whether an image of the server is made before it is restored in place. Without
        it, what is on the disk is lost.
    type: bool
    default: true
  lose_ephemeral:
    description:
      - Restore in place although this destroys ephemeral and swap disks.
    type: bool
    default: false
requirements:
  - python >= 3.10
  - rax-scheduled-images-ext
seealso:
  - module: rax.scheduled_images.server_image_schedule
extends_documentation_fragment:
  - openstack.cloud.openstack
"""

EXAMPLES = r"""
- name: Make a new server of the newest image
  rax.scheduled_images.server_restore:
    cloud: mycloud
    name: myserver
    new_name: myserver-back

- name: Put the disk of the server itself back to what it was on Monday
  rax.scheduled_images.server_restore:
    cloud: mycloud
    name: myserver
    in_place: true
    at: "2026-01-05"
"""

RETURN = r"""
restore:
  description: What was restored, or would be in check mode.
  type: dict
  returned: success
  contains:
    server:
      description: Name of the server.
      type: str
      returned: success
      sample: myserver
    server_id:
      description: ID of the server.
      type: str
      returned: success
      sample: 24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6
    image_id:
      description: ID of the image.
      type: str
      returned: success
      sample: aebf8b50-86e8-4be3-a3a4-4aed8400434b
    differs:
      description: What a new server does not have in common with the old one.
      type: list
      elements: str
      returned: success
    missing:
      description: What the image does not contain.
      type: list
      elements: str
      returned: success
    restored_id:
      description: ID of the restored server, null in check mode.
      type: str
      returned: success
      sample: 24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6
    status:
      description: Status of the restored server, null if it was not waited for.
      type: str
      returned: success
      sample: ACTIVE
    safety_image_id:
      description: ID of the image that undoes a restore in place, else null.
      type: str
      returned: success
      sample: 82a47e5e-dda1-439d-b8dd-e7d9a1d16b84
"""

from contextlib import suppress
from typing import Any, ClassVar

from ..module_utils.scheduled_images import ScheduledImagesModule

# Where the package is missing, ScheduledImagesModule says so.
with suppress(ImportError):
    from rax_scheduled_images_ext import (
        Cloud,
        Restored,
        RestoreOptions,
        RestorePlan,
        parse_restore_time,
        plan_restore,
        restore,
    )


class ServerRestoreModule(ScheduledImagesModule):
    """Gets a server back from one of its images."""

    argument_spec: ClassVar[dict[str, Any]] = {
        "name": {"type": "str", "required": True, "aliases": ["server"]},
        "new_name": {"type": "str"},
        "in_place": {"type": "bool", "default": False},
        "image": {"type": "str"},
        "at": {"type": "str"},
        "flavor": {"type": "str"},
        "networks": {"type": "list", "elements": "str"},
        "security_groups": {"type": "list", "elements": "str"},
        "key_name": {"type": "str", "no_log": False},
        "availability_zone": {"type": "str"},
        "schedule": {"type": "bool", "default": False},
        "safety_image": {"type": "bool", "default": True},
        "lose_ephemeral": {"type": "bool", "default": False},
    }

    def perform(self, cloud: Cloud) -> dict[str, Any]:
        """Restore the server, or in check mode return the plan."""
        given = self.params
        plan = plan_restore(cloud, given["name"], self._options())
        for skipped in plan.skipped:
            self.warn(f"Skipped: {skipped}")
        if plan.warning is not None:
            self.warn(plan.warning)
        if self.check_mode:
            return {"changed": not plan.begun, "restore": _described(plan)}
        done = restore(
            cloud, plan, wait=given["wait"], time_limit=float(given["timeout"])
        )
        return {"changed": done.changed, "restore": _described(plan, done)}

    def _options(self) -> RestoreOptions:
        given = self.params
        return RestoreOptions(
            new_name=given["new_name"],
            in_place=given["in_place"],
            at=None if given["at"] is None else parse_restore_time(given["at"]),
            image=given["image"],
            flavor=given["flavor"],
            networks=given["networks"],
            groups=given["security_groups"],
            key=given["key_name"],
            zone=given["availability_zone"],
            schedule=given["schedule"],
            safety_image=given["safety_image"],
            lose_ephemeral=given["lose_ephemeral"],
        )


def _described(plan: RestorePlan, done: Restored | None = None) -> dict[str, Any]:
    return {
        "server": plan.server.name,
        "server_id": plan.server.id,
        "image_id": plan.image.id,
        "differs": list(plan.differs),
        "missing": list(plan.missing),
        "restored_id": done.server_id if done else None,
        "status": done.status if done else None,
        "safety_image_id": done.safety_image_id if done else None,
    }


def main() -> None:
    """Run the module."""
    ServerRestoreModule()()


if __name__ == "__main__":
    main()
