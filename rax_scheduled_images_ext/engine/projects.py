"""The projects that the engine works for, each with its own cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rax_scheduled_images_ext.client.cloud import Cloud


class Projects(Protocol):
    """The clouds of a runner's projects, each shared by threads."""

    @property
    def all_projects(self) -> bool:
        """Whether there may be servers of several projects."""

    @property
    def listing(self) -> Cloud:
        """The cloud in which all servers and images are listed."""

    def of(self, project_id: str) -> Cloud:
        """Return the cloud as a user of a project sees it.

        :raises NoAccess: if the user cannot log in to the project.
        """


@dataclass(frozen=True)
class OneProject:
    """The project of one cloud's own user."""

    listing: Cloud
    all_projects: bool = False

    def of(self, project_id: str) -> Cloud:
        """Return the cloud itself."""
        return self.listing
