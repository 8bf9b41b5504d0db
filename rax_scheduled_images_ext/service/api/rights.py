"""Who may set and remove schedules: whoever Nova lets change tags, or fewer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    #: Returns the roles that a caller's token gives.
    Roles = Callable[[WSGIEnvironment], Collection[str]]

#: The rules that can be asked for by name.
RULES = ("rackspace",)
# Rackspace's admins may all; its creators, who are Keystone's members, may not remove.
_REMOVING = {"admin"}
_SETTING = {"admin", "creator", "member"}


@dataclass(frozen=True)
class Rights:
    """What callers may do to schedules, besides what Nova lets them do to tags.

    :param roles: None where Nova alone decides.
    """

    roles: Roles | None = None

    @property
    def limited(self) -> bool:
        """Whether there are callers who may do less than Nova lets them do."""
        return self.roles is not None

    def may_set(self, environ: WSGIEnvironment) -> bool:
        """Whether the caller may give a server a schedule, or another one."""
        return self._have(environ, _SETTING)

    def may_remove(self, environ: WSGIEnvironment) -> bool:
        """Whether the caller may take a schedule away."""
        return self._have(environ, _REMOVING)

    def _have(self, environ: WSGIEnvironment, allowed: set[str]) -> bool:
        if self.roles is None:
            return True
        return not allowed.isdisjoint(role.lower() for role in self.roles(environ))


def validated_roles(environ: WSGIEnvironment) -> list[str]:
    """Return the roles that keystonemiddleware has found the caller's token to give."""
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        return []
    return [role.strip() for role in environ.get("HTTP_X_ROLES", "").split(",")]
