"""The names of projects, for those that people write in place of IDs."""

from __future__ import annotations

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


def project_names(cloud: Cloud, *, all_projects: bool) -> dict[str, str]:
    """Return the names of projects by ID.

    :param all_projects: those of all, or of all in which the user has a role, instead
        of only the own one.
    :raises keystoneauth1.exceptions.ClientException: if they cannot be read.
    :raises UnexpectedAnswer: for a response that is not a list of projects.
    """
    if not all_projects:
        return dict([own_project(cloud)])
    try:
        return _names(cloud, "/projects")
    except Forbidden:
        return _names(cloud, "/auth/projects")


def _names(cloud: Cloud, path: str) -> dict[str, str]:
    adapter = cloud.compute.adapter
    answer = adapter.session.get(
        path, endpoint_filter={"interface": AUTH_INTERFACE}, auth=adapter.auth
    )
    try:
        return {str(p["id"]): str(p["name"]) for p in answer.json()["projects"]}
    except (ValueError, LookupError, TypeError):
        raise UnexpectedAnswer(
            "identity", "GET", path, answer.status_code, "without a list 'projects'"
        ) from None
