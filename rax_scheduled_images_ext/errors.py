"""What can go wrong, as classes that carry the data of the case.

Everything of this package's own derives from :class:`ScheduledImagesError`.
Where programs written against novaclient catch one of its classes, ours derives
from that class as well. A cloud's plain refusals (403, 409, 500 and so on) are
novaclient's own exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence

from novaclient import exceptions

NOT_ENABLED = "Scheduled images not enabled for server {}"


class ScheduledImagesError(Exception):
    """The base of all errors of this package."""

    #: What a command that meets the error ends with.
    exit_status = 1


class InvalidValue(ScheduledImagesError, ValueError):
    """A value that no cloud would take; nothing has been sent."""

    exit_status = 2


class NoSchedule(ScheduledImagesError, exceptions.NotFound):
    """The server is there, and has no schedule."""

    def __init__(self, server_id: str) -> None:
        exceptions.NotFound.__init__(self, 404, NOT_ENABLED.format(server_id))
        self.server_id = server_id


class NoSuchServer(ScheduledImagesError, exceptions.NotFound):
    """No server with this ID, as far as this user can see."""

    def __init__(self, server_id: str) -> None:
        text = f"No server with the ID '{server_id}' exists"
        exceptions.NotFound.__init__(self, 404, text)
        self.server_id = server_id


class NoSuchImage(ScheduledImagesError, exceptions.NotFound):
    """No image with this ID, as far as this user can see."""

    def __init__(self, image_id: str) -> None:
        text = f"No image with the ID '{image_id}' exists"
        exceptions.NotFound.__init__(self, 404, text)
        self.image_id = image_id


class NotOffered(ScheduledImagesError, exceptions.NotFound):
    """The cloud does not have the scheduled images extension at all."""

    def __init__(self, alias: str) -> None:
        text = f"This cloud has no scheduled images: it lacks the extension {alias}"
        exceptions.NotFound.__init__(self, 404, text)
        self.alias = alias


class NoMatch(ScheduledImagesError, exceptions.CommandError):
    """Nothing has what the user wrote as its name or ID."""

    def __init__(self, kind: str, wanted: str) -> None:
        super().__init__(f"No {kind} with a name or ID of '{wanted}' exists.")
        self.kind = kind
        self.wanted = wanted


class SeveralMatches(ScheduledImagesError, exceptions.CommandError):
    """What the user wrote is the name of several; ``ids`` are theirs."""

    def __init__(self, kind: str, wanted: str, ids: Sequence[str]) -> None:
        super().__init__(
            f"Multiple {kind} matches found for '{wanted}', use an ID to be more"
            f" specific: {', '.join(ids)}"
        )
        self.kind = kind
        self.wanted = wanted
        self.ids = tuple(ids)


class UnexpectedAnswer(ScheduledImagesError):
    """A service answered what it should not; what it did is not known.

    ``method`` and ``path`` are the request's, ``status`` is the HTTP status.
    """

    def __init__(
        self, service: str, method: str, path: str, status: int, problem: str
    ) -> None:
        super().__init__(
            f"The {service} service answered {method} {path} with {status}, but"
            f" {problem}"
        )
        self.service = service
        self.method = method
        self.path = path
        self.status = status
