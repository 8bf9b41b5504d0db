"""Who may set and remove schedules: those who may change tags in Nova, or fewer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.model.rights import ALL, Rights, rights_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    #: Returns the roles of a caller's token.
    Roles = Callable[[WSGIEnvironment], Collection[str]]

#: The rules that can be chosen by name.
RULES = ("rackspace",)


@dataclass(frozen=True)
class CallerRights:
    """What callers may do to schedules, in addition to Nova's own rules for tags.

    :param roles: None if only Nova decides.
    """

    roles: Roles | None = None

    @property
    def limited(self) -> bool:
        """Whether some callers may do less than Nova permits."""
        return self.roles is not None

    def of(self, environ: WSGIEnvironment) -> Rights:
        """Return what the caller of a request may do."""
        return ALL if self.roles is None else rights_of(self.roles(environ))


def validated_roles(environ: WSGIEnvironment) -> list[str]:
    """Return the roles of the caller's token, as keystonemiddleware found them."""
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        return []
    return [role.strip() for role in environ.get("HTTP_X_ROLES", "").split(",")]
