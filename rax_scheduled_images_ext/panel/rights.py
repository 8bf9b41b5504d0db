"""What a user may do, as far as the roles of the token tell.

The cloud decides; this is for not offering what it would refuse. Where the roles are
not known ones, all is offered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_READING = {"reader", "observer", "auditor", "global", "default"}
_ADMINS = {"admin", "user-admin"}
# May set schedules, but not remove them: the extension's own rule.
_CREATORS = {"member", "creator"}


@dataclass(frozen=True)
class Rights:
    """``change`` is about schedules, images and snapshots; ``disable`` about taking
    schedules away."""

    change: bool
    disable: bool


def rights_of(roles: Iterable[str], *, kept_as_tags: bool) -> Rights:
    """Return what the roles of a token allow.

    :param kept_as_tags: whether schedules are server tags, which have no rule of
        their own.
    """
    found = {role.lower().rpartition(":")[2] for role in roles}
    if found and found <= _READING:
        return Rights(change=False, disable=False)
    limited = bool(found & _CREATORS) and not found & _ADMINS
    return Rights(change=True, disable=kept_as_tags or not limited)
