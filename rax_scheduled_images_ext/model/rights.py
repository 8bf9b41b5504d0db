"""What a user may do: by the extension's own rule, or as the roles suggest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_READING = {"reader", "observer", "auditor", "global", "default"}
_ADMINS = {"admin", "user-admin"}
# They may set schedules, but not remove them. Keystone calls them members.
_CREATORS = {"creator", "member"}


@dataclass(frozen=True)
class Rights:
    """``change`` applies to schedules, images and snapshots; ``disable`` to removing
    schedules."""

    change: bool
    disable: bool


ALL = Rights(change=True, disable=True)


def rights_of(roles: Iterable[str]) -> Rights:
    """Return what the extension's own rule allows a user with these roles."""
    found = {role.lower() for role in roles}
    admin = "admin" in found
    return Rights(change=admin or not found.isdisjoint(_CREATORS), disable=admin)


def likely_rights(roles: Iterable[str], *, kept_as_tags: bool) -> Rights:
    """Return what a cloud probably allows, so as not to offer what it would refuse.

    The cloud decides. With unknown roles, everything is offered.

    :param kept_as_tags: whether schedules are server tags, which have no rule of
        their own.
    """
    found = {role.lower().rpartition(":")[2] for role in roles}
    if found and found <= _READING:
        return Rights(change=False, disable=False)
    limited = bool(found & _CREATORS) and not found & _ADMINS
    return Rights(change=True, disable=kept_as_tags or not limited)
