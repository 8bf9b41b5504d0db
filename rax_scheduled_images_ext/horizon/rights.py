"""What the user of a request may do: what Horizon is not to offer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from horizon.utils.memoized import memoized
from openstack_dashboard import policy

from rax_scheduled_images_ext.horizon.cloud import cloud_of
from rax_scheduled_images_ext.horizon.words import WAYS
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


def ways_to_restore(request: HttpRequest, *, gone: bool) -> list[str]:
    """Return the ways in which a user may restore a server, of :data:`.words.WAYS`.

    :param gone: whether the server is deleted.
    """
    if not rights_of(request).change:
        return []
    rules = (CREATE_SERVER, (*REBUILD_SERVER, *TAKE_SNAPSHOT))
    ways = zip(WAYS, rules, (True, not gone), strict=True)
    return [way for way, rule, can in ways if can and policy.check(rule, request)]
