"""Who may set and remove schedules: whoever Nova lets change tags, or fewer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.model.rights import ALL, Rights, rights_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    #: Returns the roles that a caller's token gives.
    Roles = Callable[[WSGIEnvironment], Collection[str]]

#: The rules that can be asked for by name.
RULES = ("rackspace",)


@dataclass(frozen=True)
class CallerRights:
    """What callers may do to schedules, besides what Nova lets them do to tags.

    :param roles: None where Nova alone decides.
    """

    roles: Roles | None = None

    @property
    def limited(self) -> bool:
        """Whether there are callers who may do less than Nova lets them do."""
        return self.roles is not None

    def of(self, environ: WSGIEnvironment) -> Rights:
        """Return what the caller of a request may do."""
        return ALL if self.roles is None else rights_of(self.roles(environ))


def validated_roles(environ: WSGIEnvironment) -> list[str]:
    """Return the roles that keystonemiddleware has found the caller's token to give."""
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        return []
    return [role.strip() for role in environ.get("HTTP_X_ROLES", "").split(",")]
