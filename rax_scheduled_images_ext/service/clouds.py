"""The clouds that the service works on: the configured one, project by project."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from keystoneauth1 import loading
from keystoneauth1.exceptions import Forbidden, Unauthorized
from keystoneauth1.plugin import BaseAuthPlugin
from openstack.config.cloud_region import CloudRegion

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.configuration import open_session
from rax_scheduled_images_ext.client.openstacksdk import configured_cloud
from rax_scheduled_images_ext.errors import Misconfigured, NoAccess

# The settings that make up the scope of a configuration's own project.
_SCOPE = (
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "system_scope",
)


def connect(config: CloudRegion, workers: int) -> Cloud:
    """Return a logged-in cloud that this many threads may share.

    :raises Misconfigured: if the configuration lacks something required to log in.
    """
    return configured_cloud(config, open_session(config)).shared(workers)


@dataclass
class AllProjects:
    """All projects of a cloud.

    An administrator lists, and each project's work is done with the same user's token
    for that project, so that the project owns the images.
    """

    config: CloudRegion
    listing: Cloud
    all_projects: bool = True
    _clouds: dict[str, Cloud] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the user can log in to more than one project.

        :raises Misconfigured: for credentials of a single project.
        """
        kind = self.config.config["auth_type"]
        if "application" in kind or "token" in kind:
            raise Misconfigured(
                f"auth_type '{kind}' is limited to one project: all projects require a"
                " password"
            )

    def of(self, project_id: str) -> Cloud:
        """Return the cloud as the user sees it in a project; it keeps its token.

        :raises NoAccess: if the user cannot log in to the project.
        """
        if project_id not in self._clouds:
            session = self.listing.compute.adapter.session
            auth = _auth(self.config, project_id)
            try:
                session.get_token(auth)
            except (Forbidden, Unauthorized) as error:
                raise NoAccess(project_id, error) from None
            cloud = replace(
                configured_cloud(self.config, session, auth),
                throttle=self.listing.throttle,
            )
            # Several threads may get here: one cloud for all.
            self._clouds.setdefault(project_id, cloud)
        return self._clouds[project_id]


def _auth(config: CloudRegion, project_id: str) -> BaseAuthPlugin:
    """Return the plugin that logs the configured user in to a project."""
    loader: Any = loading.get_plugin_loader(config.config["auth_type"])
    known = {option.dest for option in loader.get_options()} - set(_SCOPE)
    auth = {k: v for k, v in config.config["auth"].items() if k in known}
    plugin: BaseAuthPlugin = loader.load_from_options(**auth, project_id=project_id)
    return plugin
