"""Logs users in with Keystone, chooses a project, and revokes tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keystoneauth1 import exceptions, identity
from keystoneauth1.access import AccessInfo, AccessInfoV3
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.plugin import AUTH_INTERFACE
from keystoneauth1.session import Session

from rax_scheduled_images_ext.errors import UnexpectedAnswer

_IDENTITY = {"interface": AUTH_INTERFACE}


@dataclass(frozen=True)
class Project:
    """A project that a user may work in."""

    id: str
    name: str


@dataclass(frozen=True)
class Scope:
    """A user in one project: what authenticates requests, and what the token says.

    ``regions`` are those in the catalog with a compute service.
    """

    auth: identity.BaseIdentityPlugin = field(repr=False)
    user_name: str
    project: Project
    roles: tuple[str, ...]
    regions: tuple[str, ...]


@dataclass(frozen=True)
class Login:
    """A logged-in user, as a token; the password is not kept."""

    session: Session = field(repr=False)
    auth_url: str
    access: AccessInfo = field(repr=False)

    @property
    def auth(self) -> AccessInfoPlugin:
        """What authenticates requests with the token."""
        return AccessInfoPlugin(self.access, self.auth_url)

    @property
    def user_name(self) -> str:
        """The name with which the user logged in."""
        return str(self.access.username)

    def projects(self) -> list[Project]:
        """Return the enabled projects in which the user has a role, sorted by name.

        :raises keystoneauth1.exceptions.ClientException: if they cannot be read.
        :raises UnexpectedAnswer: for a response that is not a list of projects.
        """
        newest = isinstance(self.access, AccessInfoV3)
        path = "/auth/projects" if newest else "/tenants"
        key = path.rpartition("/")[2]
        answer = self.session.get(path, endpoint_filter=_IDENTITY, auth=self.auth)
        try:
            projects = [
                Project(str(each["id"]), str(each["name"]))
                for each in answer.json()[key]
                if each.get("enabled", True)
            ]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise UnexpectedAnswer(
                "identity", "GET", path, answer.status_code, f"without a list '{key}'"
            ) from None
        return sorted(projects, key=lambda project: (project.name, project.id))

    def scope(self, project_id: str) -> Scope:
        """Return the user in a project, with a token for it.

        :raises keystoneauth1.exceptions.ClientException: if the user has no role in it,
            or Keystone does not respond.
        """
        token = str(self.access.auth_token)
        asked = identity.Token(self.auth_url, token, project_id=project_id)
        access = asked.get_access(self.session)
        return scope_of(self.session, AccessInfoPlugin(access, self.auth_url))


def log_in(
    session: Session, auth_url: str, user: str, password: str, domain: str
) -> Login:
    """Log a user in without a project.

    :param domain: the name of the user's domain, empty if the identity API has no
        domains.
    :raises keystoneauth1.exceptions.ClientException: if refused, or without a response.
    """
    asked: identity.BaseIdentityPlugin = identity.Password(
        auth_url, user, password=password, user_domain_name=domain or None
    )
    newest = asked.get_discovery(session, auth_url, authenticated=False).url_for("v3")
    if newest and domain:
        # Also for a user with a default project.
        asked = identity.V3Password(
            newest,
            username=user,
            password=password,
            user_domain_name=domain,
            unscoped=True,
        )
    return Login(session, auth_url, asked.get_access(session))


def scope_of(session: Session, auth: identity.BaseIdentityPlugin) -> Scope:
    """Return the project, roles and regions of a project's token."""
    access = auth.get_access(session)
    points = access.service_catalog.get_endpoints_data(service_type="compute")
    regions = {point.region_name for each in points.values() for point in each}
    return Scope(
        auth,
        str(access.username),
        Project(str(access.project_id), str(access.project_name)),
        tuple(sorted(access.role_names or ())),
        tuple(sorted(name for name in regions if name)),
    )


def is_accepted(session: Session, auth: identity.BaseIdentityPlugin) -> bool:
    """Whether Keystone still accepts a token; True if it does not say.

    A revoked or expired token must not stay in use just because the user sends no
    requests to the cloud for a while.
    """
    access = auth.get_access(session)
    if access.will_expire_soon(0):
        return False
    newest = isinstance(access, AccessInfoV3)
    try:
        session.get(
            "/auth/tokens" if newest else "/tenants",
            endpoint_filter=_IDENTITY,
            auth=auth,
            headers={"X-Subject-Token": str(access.auth_token)} if newest else {},
            log=False,
        )
    except (exceptions.ClientException, OSError) as error:
        return not refuses_token(error)
    return True


def refuses_token(error: Exception) -> bool:
    """Whether an error of keystoneauth's says that the user's token is not good.

    Keystone says so with 404 as well; so does a proxy in between, which knows nothing
    of tokens.
    """
    if not isinstance(error, exceptions.NotFound):
        return isinstance(error, exceptions.Unauthorized)
    response: Any = error.response
    try:
        return isinstance(response.json()["error"], dict)
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def revoke(session: Session, auth: identity.BaseIdentityPlugin) -> None:
    """Revoke the present token.

    :raises keystoneauth1.exceptions.ClientException: if that fails.
    """
    access = auth.get_access(session)
    token = access.auth_token
    # The older API has the token in the URL.
    path = "/auth/tokens" if isinstance(access, AccessInfoV3) else f"/tokens/{token}"
    session.delete(
        path,
        endpoint_filter=_IDENTITY,
        auth=auth,
        headers={"X-Subject-Token": token},
        log=False,
    )
    auth.invalidate()
