"""The cloud that is configured, by openstacksdk's rules.

That is ``OS_CLOUD`` and ``clouds.yaml``, or the ``OS_*`` variables, with passwords,
application credentials, or whatever else keystoneauth can log in with.
"""

from __future__ import annotations

from typing import Any

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException

from rax_scheduled_images_ext.client.time_limits import SILENCE, limit_time
from rax_scheduled_images_ext.model.errors import ScheduledImagesError


class Misconfigured(ScheduledImagesError):
    """There is no cloud to work on, or not enough to log in to it."""


def configuration(
    app_name: str, region: str | None = None, *, with_login: bool = True
) -> CloudRegion:
    """Return the cloud that the environment and clouds.yaml describe.

    :param app_name: the program's name, for the user agent of its requests.
    :param region: the name of one of its regions, None for the configured one.
    :param with_login: whether the configuration must say how to log in.
    :raises Misconfigured: if there is none.
    """
    named: dict[str, Any] = {} if region is None else {"region_name": region}
    try:
        return OpenStackConfig(app_name=app_name).get_one(validate=with_login, **named)
    except (ConfigException, ClientException) as error:
        raise Misconfigured(f"no cloud is configured: {error}") from None


def open_session(config: CloudRegion) -> Session:
    """Return the session of a configuration; answers have a time limit.

    :raises Misconfigured: if the configuration lacks what it takes to log in.
    """
    try:
        session = config.get_session()
    except (ConfigException, ClientException) as error:
        raise Misconfigured(f"the configured cloud cannot be used: {error}") from None
    session.timeout = session.timeout or SILENCE
    limit_time(session.session)
    return session
