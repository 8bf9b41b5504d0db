"""The configured cloud, by openstacksdk's rules.

That is ``OS_CLOUD`` and ``clouds.yaml``, or the ``OS_*`` variables, with passwords,
application credentials, or any other login that keystoneauth knows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import yaml
from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException, MissingRequiredOptions
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
from openstack.config import loader as openstack_files
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException

from rax_scheduled_images_ext.client.time_limits import SILENCE, limit_time
from rax_scheduled_images_ext.errors import Misconfigured

# These must not be numbers in a file: they would lose zeros, and Keystone wants text.
_TEXTS = ("password", "secret", "token", "auth_url")


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
        _check_files()
        config = OpenStackConfig(app_name=app_name)
        found = config.get_one(validate=False, **named)
        if not with_login:
            return found
        try:
            complete = config.get_one(validate=True, **named)
        except TypeError as error:
            raise _odd_login(found, error) from None
        _check_address(complete)
        return complete
    except Misconfigured:
        raise
    except MissingRequiredOptions as error:
        if any(option.dest == "auth_url" for option in error.options):
            raise no_cloud() from None
        raise _unusable(error) from None
    except (ConfigException, ClientException) as error:
        raise _unusable(error) from None
    except Exception as error:
        # openstacksdk checks little of what is in the files.
        raise _unusable(f"{type(error).__name__}: {error}") from error


def regions(app_name: str, named: Sequence[str] = ()) -> list[str]:
    """Return the regions to work in, each once.

    They are those named, else ``OS_REGION_NAME``, else all regions of the configured
    cloud. A cloud without configured regions has one without a name: the only one in
    its catalog.

    :raises Misconfigured: if there is no cloud, or it has no such region.
    """
    wanted = list(named) or list(filter(None, [os.environ.get("OS_REGION_NAME")]))
    if not wanted:
        config = configuration(app_name)
        # Nothing public returns the regions of one cloud.
        known = OpenStackConfig(app_name=app_name)._get_regions(str(config.name))
        wanted = [str(each["name"]) for each in known]
    for region in wanted:
        configuration(app_name, region or None)
    return list(dict.fromkeys(wanted))


def open_session(config: CloudRegion) -> Session:
    """Return the session of a configuration; responses have a time limit.

    :raises Misconfigured: if the configuration lacks something required to log in.
    """
    try:
        session = config.get_session()
    except (ConfigException, ClientException, TypeError, ValueError) as error:
        raise _unusable(error) from None
    session.timeout = session.timeout or SILENCE
    limit_time(session.session)
    return session


def no_cloud() -> Misconfigured:
    """Return the error for a configuration without an address to log in to."""
    if name := os.environ.get("OS_CLOUD"):
        return _unusable(f"no clouds.yaml has an auth_url for OS_CLOUD '{name}'")
    return Misconfigured("no cloud is configured: set OS_CLOUD or OS_AUTH_URL")


def _unusable(reason: object) -> Misconfigured:
    return Misconfigured(f"the configured cloud cannot be used: {reason}")


def _check_address(config: CloudRegion) -> None:
    address = (config.config.get("auth") or {}).get("auth_url")
    try:
        good = address is None or bool(urlsplit(address).hostname)
    except ValueError:
        good = False
    if not good:
        raise Misconfigured(
            f"auth_url '{address}' is not a URL that starts with http:// or https://"
        )


def _odd_login(config: CloudRegion, error: TypeError) -> Misconfigured:
    """Return the error for a login type that does not accept all given options."""
    kind = config.config["auth_type"]
    plugin: Any = loading.get_plugin_loader(kind)
    known = {option.dest for option in plugin.get_options()}
    others = sorted(set(config.config["auth"]) - known)
    if not others:
        return _unusable(error)
    names = ", ".join(f"{key} (OS_{key.upper()})" for key in others)
    return Misconfigured(
        f"auth_type '{kind}' does not accept {names}: unset the options of other"
        " auth_types"
    )


def _check_files() -> None:
    """Check that the files have the form that openstacksdk expects.

    :raises Misconfigured: if not; the message quotes no values from the files.
    """
    for variable, usual in (
        ("OS_CLIENT_CONFIG_FILE", openstack_files.CONFIG_FILES),
        ("OS_CLIENT_SECURE_FILE", openstack_files.SECURE_FILES),
    ):
        named = os.environ.get(variable)
        found = [named] if named else [each for each in usual if os.path.exists(each)]
        # Without a cloud's name, perhaps only the variables are meant.
        if found and (named or "OS_CLOUD" in os.environ):
            _check_file(found[0])


def _check_file(path: str) -> None:
    try:
        with open(path, encoding="utf-8") as file:
            clouds = yaml.safe_load(file)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        # Its own text may quote a password.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "all of it"
        raise Misconfigured(f"{path} is not YAML in UTF-8: see {where}") from None
    for key, name in (("clouds", os.environ.get("OS_CLOUD")), ("auth", None)):
        clouds = _mapping(clouds, path)
        if key not in clouds:
            return
        path = f"{path}, {key}"
        clouds = _mapping(clouds[key], path)
        if name in clouds:
            path = f"{path}, {name}"
            clouds = _mapping(clouds[name], path)
            if not isinstance(clouds.get("auth_type", ""), str):
                raise Misconfigured(f"{path}, auth_type must be text")
            if not isinstance(clouds.get("regions", []), list):
                raise Misconfigured(f"{path}, regions must be a list")
    for key, value in clouds.items():
        text = any(word in str(key) for word in _TEXTS)
        if isinstance(value, (dict, list)) or (text and not isinstance(value, str)):
            raise Misconfigured(f"{path}, {key} must be text: put it in quotes")


def _mapping(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misconfigured(f"{path} must be a mapping of names to values")
    return value
