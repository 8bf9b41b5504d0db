"""What the user of a request may do: what Horizon is not to offer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from horizon.utils.memoized import memoized
from openstack_dashboard import policy

from rax_scheduled_images_ext.horizon.cloud import cloud_of
from rax_scheduled_images_ext.model.rights import Rights, likely_rights

#: Rules of Horizon's policy files; all of an action's must allow it.
SET_SCHEDULE = (("compute", "os_compute_api:os-server-tags:update"),)
REMOVE_SCHEDULE = (("compute", "os_compute_api:os-server-tags:delete"),)
TAKE_SNAPSHOT = (("compute", "os_compute_api:servers:create_image"),)
CREATE_SERVER = (("compute", "os_compute_api:servers:create"),)
REBUILD_SERVER = (("compute", "os_compute_api:servers:rebuild"),)
CHANGE_IMAGE = (("image", "modify_image"),)
DELETE_IMAGE = (("image", "delete_image"),)


def rights_of(request: HttpRequest) -> Rights:
    """Return what the user's roles suggest, beside the policy files."""
    return _rights_of(request, cloud_of(request).schedules.kept_as_tags)


@memoized
def _rights_of(request: HttpRequest, kept_as_tags: bool) -> Rights:
    user: Any = request.user
    roles = [role["name"] for role in user.roles]
    return likely_rights(roles, kept_as_tags=kept_as_tags)


def can_restore(request: HttpRequest) -> tuple[bool, bool]:
    """Return whether a user may restore a server as a new one, and in place."""
    if not rights_of(request).change:
        return False, False
    new, in_place = CREATE_SERVER, (*REBUILD_SERVER, *TAKE_SNAPSHOT)
    return policy.check(new, request), policy.check(in_place, request)
