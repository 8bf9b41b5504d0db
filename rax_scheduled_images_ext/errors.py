"""What can go wrong, as classes that carry the data of the case.

None of them needs novaclient: :mod:`.client.novaclient` turns them into errors that are
novaclient's as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rax_scheduled_images_ext.text import one_line

NOT_ENABLED = "Scheduled images not enabled for server {}"


class ScheduledImagesError(Exception):
    """The base of all errors of this package."""

    #: What a command that meets the error ends with.
    exit_status = 1

    def __str__(self) -> str:
        """Return what went wrong as one line, whatever names are in it."""
        return one_line(super().__str__())


class InvalidValue(ScheduledImagesError, ValueError):
    """A value that no cloud would take; nothing has been sent."""

    exit_status = 2


class ApiError(ScheduledImagesError):
    """A service refused a request.

    ``status`` is the HTTP status, ``message`` the service's own reason,
    ``request_id`` what the service calls the request in its logs; ``method`` and
    ``path`` are the request's. ``retry_after`` is the header of that name.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        request_id: str | None = None,
        method: str | None = None,
        path: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.request_id = request_id
        self.method = method
        self.path = path
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = f"{one_line(self.message)} (HTTP {self.status})"
        return f"{text} (Request-ID: {self.request_id})" if self.request_id else text


class NotFound(ApiError):
    """A service does not have what was asked for."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class NoSchedule(NotFound):
    """The server is there, and has no schedule."""

    def __init__(self, server_id: str) -> None:
        super().__init__(NOT_ENABLED.format(server_id))
        self.server_id = server_id


class NoSuchServer(NotFound):
    """No server with this ID, as far as this user can see."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f"No server with the ID '{server_id}' exists")
        self.server_id = server_id


class NoSuchImage(NotFound):
    """No image with this ID, as far as this user can see."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"No image with the ID '{image_id}' exists")
        self.image_id = image_id


class NoSuchVolumeSnapshot(NotFound):
    """No volume snapshot with this ID, as far as this user can see."""

    def __init__(self, snapshot_id: str) -> None:
        super().__init__(f"No volume snapshot with the ID '{snapshot_id}' exists")
        self.snapshot_id = snapshot_id


class NotOffered(NotFound):
    """The cloud has neither the extension nor server tags: it can keep no schedule."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"This cloud has no scheduled images: it lacks the extension {alias}, and"
            " the server tags of compute API 2.26 that do without it"
        )
        self.alias = alias


class InvalidSchedule(ScheduledImagesError):
    """A server has a tag that should be its schedule, and is none."""

    def __init__(self, server_id: str, tag: str, allowed: str) -> None:
        super().__init__(
            f"Server {server_id} has the tag '{tag}', which is not a schedule:"
            f" {allowed}"
        )
        self.server_id = server_id
        self.tag = tag


class MalformedTag(ScheduledImagesError, ValueError):
    """A tag that should be a schedule, and is none."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"'{tag}' is not a schedule")
        self.tag = tag


class Misconfigured(ScheduledImagesError):
    """There is no cloud to work on, or not enough to log in to it."""


class NoAccess(ScheduledImagesError):
    """The service's user cannot work in a project: it has no role, or is disabled."""

    def __init__(self, project_id: str, reason: object) -> None:
        super().__init__(f"the user has no access to project {project_id}: {reason}")
        self.project_id = project_id


class UsageError(ScheduledImagesError):
    """The request does not fit what the cloud has, such as a name that nothing has."""


class NoMatch(UsageError):
    """Nothing has this name or ID."""

    def __init__(self, kind: str, wanted: str) -> None:
        super().__init__(f"No {kind} with a name or ID of '{wanted}' exists.")
        self.kind = kind
        self.wanted = wanted


class SeveralMatches(UsageError):
    """Several have this name; ``ids`` are their IDs."""

    def __init__(self, kind: str, wanted: str, ids: Sequence[str]) -> None:
        super().__init__(
            f"Multiple {kind} matches found for '{wanted}', use an ID to be more"
            f" specific: {', '.join(ids)}"
        )
        self.kind = kind
        self.wanted = wanted
        self.ids = tuple(ids)


class NoServers(UsageError):
    """No server matches a choice of servers."""


class NoRetention(UsageError):
    """There is no retention: no schedule has one, and none was given."""

    def __init__(self, server_id: str) -> None:
        super().__init__(
            f"{NOT_ENABLED.format(server_id)}, and no other number of images to keep"
            " was given"
        )
        self.server_id = server_id


class NotASnapshot(UsageError):
    """The image was not made of a server; ``why`` is how that shows."""

    def __init__(self, image_id: str, why: str) -> None:
        super().__init__(f"Image {image_id} is not a snapshot of a server: {why}")
        self.image_id = image_id


class NeverScheduled(UsageError):
    """Nothing shows that the scheduled images service made the image."""

    def __init__(self, image_id: str, why: str) -> None:
        super().__init__(f"Image {image_id} was not made by a schedule: {why}")
        self.image_id = image_id


class ChangeUndone(UsageError):
    """An image was changed, and does not show it."""

    def __init__(self, image_id: str, tries: int) -> None:
        super().__init__(
            f"Image {image_id} does not keep the change of its metadata: something else"
            f" changes it at the same time ({tries} tries)"
        )
        self.image_id = image_id


class ImageProtected(UsageError):
    """The image service deletes no image that is protected there."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"Image {image_id} is protected in the image service")
        self.image_id = image_id


class SnapshotsInDoubt(ScheduledImagesError):
    """An image stays: not all it names is known to be its own. The text says why."""


class SnapshotsLeft(ScheduledImagesError):
    """An image was deleted, and not all of its volume snapshots.

    ``snapshots`` has by their IDs why not.
    """

    def __init__(self, image_id: str, snapshots: Mapping[str, str]) -> None:
        left = "; ".join(f"{each}: {why}" for each, why in snapshots.items())
        super().__init__(
            f"Image {image_id} is deleted, but these volume snapshots of it are not:"
            f" {left}"
        )
        self.image_id = image_id
        self.snapshots = dict(snapshots)


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


class ServerDisappeared(ScheduledImagesError):
    """A server that was watched is gone."""

    exit_status = 5

    def __init__(self, server_id: str, name: str) -> None:
        super().__init__(f"server {name} has disappeared!")
        self.server_id = server_id
        self.name = name


class ImageLost(ScheduledImagesError):
    """The image of a snapshot is gone or broken: the snapshot has failed."""

    exit_status = 4

    def __init__(self, text: str, image_id: str | None = None) -> None:
        super().__init__(text)
        self.image_id = image_id


class CannotListen(ScheduledImagesError):
    """An address at which a program was to listen cannot be had."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}")


class TimeLimitReached(ScheduledImagesError):
    """A time limit was reached."""

    exit_status = 6


class HoldCutShort(ScheduledImagesError):
    """A server was resumed before its disk was known to be copied.

    ``image_id`` is the image that may be inconsistent, None where it is unknown.
    """

    exit_status = 7

    def __init__(self, text: str, image_id: str | None) -> None:
        super().__init__(text)
        self.image_id = image_id


class SnapshotUnknown(ScheduledImagesError):
    """A snapshot was requested, and it is unknown whether it was begun."""


class ServerBusy(ScheduledImagesError):
    """The server is in a state in which no snapshot of it can be begun."""


class RestoreRefused(UsageError):
    """A server cannot be restored in the way that was asked for; nothing was changed
    that has not been reported."""


class RestoreFailed(ScheduledImagesError):
    """A restore was begun, and the server is not as it should be."""


class RestoreUnknown(ScheduledImagesError):
    """A restore was requested, and it is unknown whether the cloud has begun it."""


class VerifyRefused(UsageError):
    """An image cannot be proven in the way that was asked for; nothing was made."""


class NoConsole(ScheduledImagesError):
    """A server has no console, or none that this user may see."""


class CommandFailed(ScheduledImagesError):
    """A command failed; ``status`` is the one it has ended with, None if it did not
    end by itself."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class ResumeFailed(ScheduledImagesError):
    """What was to resume a server has failed: it may still be stopped.

    ``original`` is what had gone wrong before that, None for nothing.
    """

    def __init__(self, text: str, original: BaseException | None = None) -> None:
        super().__init__(text)
        self.original = original
