"""The filter for nova-api's ``api-paste.ini``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.service.api.application import ScheduledImagesApi
from rax_scheduled_images_ext.service.api.rights import (
    RULES,
    CallerRights,
    validated_roles,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def filter_factory(
    global_config: Mapping[str, str], roles: str | None = None
) -> Callable[[WSGIApplication], ScheduledImagesApi]:
    """Return a function that puts the extension's API around Nova's.

    It belongs after ``authtoken``, which determines the caller's roles.

    :param global_config: what Paste passes to all filters.
    :param roles: ``rackspace`` for the rights of Rackspace's roles, else Nova's.
    :raises ValueError: for other rights.
    """
    if roles not in (None, *RULES):
        raise ValueError(f"roles = {roles}: the allowed value is {', '.join(RULES)}")
    rights = CallerRights(validated_roles if roles else None)
    return lambda application: ScheduledImagesApi(application, rights)
