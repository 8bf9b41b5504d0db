"""What somebody may do to schedules, images and snapshots, by the roles of a token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# The extension's own rule: admins may do all, creators, who are Keystone's members, may
# set schedules but not remove them.
_ADMINS = {"admin"}
_CREATORS = {"creator", "member"}
# Further roles that the cloud gives something to do, or nothing.
_OTHER_ADMINS = {"user-admin"}
_READING = {"reader", "observer", "auditor", "global", "default"}


@dataclass(frozen=True)
class Rights:
    """``change`` is about schedules, images and snapshots; ``disable`` about taking
    schedules away."""

    change: bool = True
    disable: bool = True


def rackspace_rights(roles: Iterable[str]) -> Rights:
    """Return what the extension's own rule allows; it knows no other roles."""
    found = {role.lower() for role in roles}
    return Rights(bool(found & (_ADMINS | _CREATORS)), bool(found & _ADMINS))


def likely_rights(roles: Iterable[str], *, kept_as_tags: bool) -> Rights:
    """Return what is not to be offered, because the cloud would refuse it.

    The cloud decides: where the roles are not known ones, all is offered.

    :param kept_as_tags: whether schedules are server tags, which have no rule of
        their own.
    """
    found = {role.lower().rpartition(":")[2] for role in roles}
    if found and found <= _READING:
        return Rights(change=False, disable=False)
    limited = bool(found & _CREATORS) and not found & (_ADMINS | _OTHER_ADMINS)
    return Rights(disable=kept_as_tags or not limited)
