"""The names of projects, for those that people write in place of IDs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keystoneauth1.exceptions import Forbidden
from keystoneauth1.plugin import AUTH_INTERFACE

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import UnexpectedAnswer


def own_project(cloud: Cloud) -> tuple[str, str]:
    """Return the ID and the name of the project that a cloud's user works in."""
    adapter = cloud.compute.adapter
    auth: Any = adapter.auth or adapter.session.auth
    access = auth.get_access(adapter.session)
    return str(access.project_id), str(access.project_name)


@dataclass(frozen=True)
class ProjectNames:
    """The names of projects by ID.

    :param complete: whether these are all projects of the cloud.
    """

    names: Mapping[str, str]
    complete: bool = False

    def of(self, project_id: str) -> frozenset[str]:
        """Return the ID and the name of a project, nothing if it is unknown."""
        name = self.names.get(project_id)
        return frozenset() if name is None else frozenset({project_id, name})

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Return which of these are the ID or the name of no project of the cloud."""
        if not self.complete:
            return []
        return sorted({*wanted} - {*self.names} - {*self.names.values()})


def project_names(cloud: Cloud, *, all_projects: bool) -> ProjectNames:
    """Return the names of projects.

    :param all_projects: those of all, or of all in which the user has a role, instead
        of only the own one.
    :raises keystoneauth1.exceptions.ClientException: if they cannot be read.
    :raises UnexpectedAnswer: for a response that is not a list of projects.
    """
    if not all_projects:
        return ProjectNames(dict([own_project(cloud)]))
    try:
        return _names(cloud, "/projects", complete=True)
    except Forbidden:
        return _names(cloud, "/auth/projects", complete=False)


def _names(cloud: Cloud, path: str, *, complete: bool) -> ProjectNames:
    adapter = cloud.compute.adapter
    answer = adapter.session.get(
        path, endpoint_filter={"interface": AUTH_INTERFACE}, auth=adapter.auth
    )
    try:
        body = answer.json()
        names = {str(p["id"]): str(p["name"]) for p in body["projects"]}
        # Keystone may be set to list no more than so many.
        return ProjectNames(names, complete and not body.get("truncated"))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UnexpectedAnswer(
            "identity", "GET", path, answer.status_code, "without a list 'projects'"
        ) from None
