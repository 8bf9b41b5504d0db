"""The clouds that the service works on, by openstacksdk's configuration.

That is ``OS_CLOUD`` and ``clouds.yaml``, or the ``OS_*`` variables, with passwords,
application credentials, or whatever else keystoneauth can log in with.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException, Forbidden, Unauthorized
from keystoneauth1.plugin import BaseAuthPlugin
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.connection import from_region
from rax_scheduled_images_ext.engine.runner import NoAccess
from rax_scheduled_images_ext.model.errors import ScheduledImagesError

# Seconds for an answer, unless the configuration has others.
_TIMEOUT = 60
# What the scope of a configuration's own project consists of.
_SCOPE = (
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "system_scope",
)


class Misconfigured(ScheduledImagesError):
    """There is no cloud to work on, or not enough to log in to it."""


def configuration() -> CloudRegion:
    """Return the cloud that the environment and clouds.yaml describe.

    :raises Misconfigured: if there is none.
    """
    try:
        return OpenStackConfig(app_name="scheduled-images-service").get_one()
    except (ConfigException, ClientException) as error:
        raise Misconfigured(f"no cloud is configured: {error}") from None


def connect(config: CloudRegion, workers: int) -> Cloud:
    """Return a cloud that this many threads may share; it has logged in.

    :raises Misconfigured: if the configuration lacks what it takes to log in.
    """
    try:
        session = config.get_session()
    except (ConfigException, ClientException) as error:
        raise Misconfigured(f"the configured cloud cannot be used: {error}") from None
    session.timeout = session.timeout or _TIMEOUT
    return from_region(config, session).shared(workers)


@dataclass
class AllProjects:
    """All projects of a cloud.

    An administrator lists, and each project's work is done with a token of the same
    user for that project, so that the images are the project's.
    """

    config: CloudRegion
    listing: Cloud
    all_projects: bool = True
    _clouds: dict[str, Cloud] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """See that the user can log in to more than one project.

        :raises Misconfigured: for credentials that are good for one project only.
        """
        kind = self.config.config["auth_type"]
        if "application" in kind or "token" in kind:
            raise Misconfigured(
                f"auth_type '{kind}' is good for one project only: all projects take a"
                " password"
            )

    def of(self, project_id: str) -> Cloud:
        """Return the cloud as it is for the user in a project; it keeps its token.

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
                from_region(self.config, session, auth), throttle=self.listing.throttle
            )
            # Several threads may have come here: one cloud for all.
            self._clouds.setdefault(project_id, cloud)
        return self._clouds[project_id]


def _auth(config: CloudRegion, project_id: str) -> BaseAuthPlugin:
    """Return what logs the configured user in to a project."""
    loader: Any = loading.get_plugin_loader(config.config["auth_type"])
    known = {option.dest for option in loader.get_options()} - set(_SCOPE)
    auth = {k: v for k, v in config.config["auth"].items() if k in known}
    plugin: BaseAuthPlugin = loader.load_from_options(**auth, project_id=project_id)
    return plugin
