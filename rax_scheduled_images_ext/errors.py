"""The errors, as classes that carry the data of the case.

They do not need novaclient: :mod:`.client.novaclient` turns them into errors that are
also novaclient's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rax_scheduled_images_ext.text import one_line

NOT_ENABLED = "Scheduled images not enabled for server {}"


class ScheduledImagesError(Exception):
    """The base of all errors of this package."""

    #: The exit status of a command that ends with this error.
    exit_status = 1

    def __str__(self) -> str:
        """Return the message as one line, whatever names it contains."""
        return one_line(super().__str__())


class InvalidValue(ScheduledImagesError, ValueError):
    """A value that no cloud would accept; nothing has been sent."""

    exit_status = 2


class ApiError(ScheduledImagesError):
    """A service refused a request.

    ``status`` is the HTTP status, ``message`` the service's own reason, ``request_id``
    the ID of the request in the service's logs; ``method`` and ``path`` are the
    request's. ``retry_after`` is the header of that name.
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


class NotAdministrator(ApiError):
    """The compute service does not list the servers of all projects for this user."""

    def __init__(self, refusal: ApiError) -> None:
        super().__init__(
            refusal.status,
            "listing the servers of all projects requires an administrator:"
            f" {refusal.message}",
            request_id=refusal.request_id,
            method=refusal.method,
            path=refusal.path,
        )


class NotFound(ApiError):
    """A service does not have what was asked for."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class NoSchedule(NotFound):
    """The server exists, but has no schedule."""

    def __init__(self, server_id: str) -> None:
        super().__init__(NOT_ENABLED.format(server_id))
        self.server_id = server_id


class NoSuchServer(NotFound):
    """There is no server with this ID, or this user cannot see it."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f"No server with the ID '{server_id}' exists")
        self.server_id = server_id


class NoSuchImage(NotFound):
    """There is no image with this ID, or this user cannot see it."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"No image with the ID '{image_id}' exists")
        self.image_id = image_id


class NoSuchVolumeSnapshot(NotFound):
    """There is no volume snapshot with this ID, or this user cannot see it."""

    def __init__(self, snapshot_id: str) -> None:
        super().__init__(f"No volume snapshot with the ID '{snapshot_id}' exists")
        self.snapshot_id = snapshot_id


class NotOffered(NotFound):
    """The cloud cannot store schedules: it has no extension and no server tags."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"This cloud has no scheduled images: it lacks the extension {alias}, and"
            " the server tags of compute API 2.26 that do without it"
        )
        self.alias = alias


class InvalidSchedule(ScheduledImagesError):
    """A server has a tag that should be its schedule, but is malformed."""

    def __init__(self, server_id: str, tag: str, allowed: str) -> None:
        super().__init__(
            f"Server {server_id} has the tag '{tag}', which is not a schedule:"
            f" {allowed}"
        )
        self.server_id = server_id
        self.tag = tag


class MalformedTag(ScheduledImagesError, ValueError):
    """A tag that should be a schedule, but is malformed."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"'{tag}' is not a schedule")
        self.tag = tag


class Misconfigured(ScheduledImagesError):
    """No cloud is configured, or something required to log in is missing."""


class NoAccess(ScheduledImagesError):
    """The service's user has no role in a project, or the project is disabled."""

    def __init__(self, project_id: str, reason: object) -> None:
        super().__init__(f"the user has no access to project {project_id}: {reason}")
        self.project_id = project_id


class UsageError(ScheduledImagesError):
    """The request does not match what the cloud has, such as an unknown name."""


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
    """No server was selected."""


class NoRetention(UsageError):
    """There is no retention: the server has no schedule, and none was given."""

    def __init__(self, server_id: str) -> None:
        super().__init__(
            f"{NOT_ENABLED.format(server_id)}, and no number of images to keep was"
            " given"
        )
        self.server_id = server_id


class ServerGone(UsageError):
    """A server is gone, and nothing says how many of its images stay."""

    def __init__(self, name: str, server_id: str) -> None:
        super().__init__(
            f"Server {name} ({server_id}) is gone, and with it its schedule: use --keep"
            " to say how many of its images stay, or --gone to delete all of them"
        )
        self.server_id = server_id


class NotGone(UsageError):
    """A server exists, or it is not known to have been in this region."""


class FreesMany(UsageError):
    """With other rules, more images of a server go at once than one for each rule."""

    def __init__(self, server_id: str, before: str, after: str, number: int) -> None:
        super().__init__(
            f"Server {server_id}: changing '{before}' to '{after}' would let {number}"
            " images expire with the next scheduled image; use --yes to confirm"
        )
        self.server_id = server_id
        self.before = before
        self.after = after
        self.number = number


class TooManyTags(UsageError):
    """A server has no room for the tags of a schedule."""

    def __init__(self, server_id: str, others: int, most: int) -> None:
        super().__init__(
            f"Server {server_id} has {others} other tags, and a server has at most"
            f" {most}: a schedule requires two"
        )


class InvalidPolicies(ScheduledImagesError):
    """A file of policies has mistakes, or cannot be read.

    ``mistakes`` are lines such as ``policies.yaml:7: ...``.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = tuple(mistakes)


class SimpleOnly(UsageError):
    """The cloud's own scheduled images are daily or weekly, and keep a number."""

    def __init__(self, schedule: str) -> None:
        super().__init__(
            f"This cloud does not support the schedule '{schedule}': it only has daily"
            " and weekly schedules with a retention number"
        )


class NotASnapshot(UsageError):
    """The image is not a snapshot of a server; ``why`` is the evidence."""

    def __init__(self, image_id: str, why: str) -> None:
        super().__init__(f"Image {image_id} is not a snapshot of a server: {why}")
        self.image_id = image_id


class NeverScheduled(UsageError):
    """There is no evidence that the scheduled images service made the image."""

    def __init__(self, image_id: str, why: str) -> None:
        super().__init__(f"Image {image_id} was not made by a schedule: {why}")
        self.image_id = image_id


class ChangeUndone(UsageError):
    """A change to an image did not last."""

    def __init__(self, image_id: str, tries: int) -> None:
        super().__init__(
            f"Image {image_id} does not keep the change of its metadata: something else"
            f" changes it at the same time ({tries} tries)"
        )
        self.image_id = image_id


class ImageProtected(UsageError):
    """The image service does not delete images that are protected in it."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"Image {image_id} is protected in the image service")
        self.image_id = image_id


class SnapshotsInDoubt(ScheduledImagesError):
    """An image stays: its snapshots may not all be its own. The text says why."""


class SnapshotsLeft(ScheduledImagesError):
    """An image was deleted, but not all of its volume snapshots.

    ``snapshots`` maps the IDs of those left to the reason.
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
    """A service sent an unexpected response; what it did is unknown.

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
    """A watched server is gone."""

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


class CannotListen(ScheduledImagesError, OSError):
    """A program cannot listen on an address."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}")


class TimeLimitReached(ScheduledImagesError):
    """A time limit was reached."""

    exit_status = 6


class HoldCutShort(ScheduledImagesError):
    """A server was resumed before its disk was known to be copied.

    ``image_id`` is the image that may be inconsistent, None where it is unknown;
    ``in_all`` whether the limit of the whole was reached, and not that of the hold.
    """

    exit_status = 7

    def __init__(
        self, text: str, image_id: str | None, *, in_all: bool = False
    ) -> None:
        super().__init__(text)
        self.image_id = image_id
        self.in_all = in_all
        if in_all:
            self.exit_status = TimeLimitReached.exit_status


class SnapshotUnknown(ScheduledImagesError):
    """A snapshot was requested, and it is unknown whether it was started."""


class ServerBusy(ScheduledImagesError):
    """The server is in a state in which no snapshot can be started."""


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
    """The command to resume a server has failed: it may still be stopped.

    ``original`` is the error before that, None if there was none.
    """

    def __init__(self, text: str, original: BaseException | None = None) -> None:
        super().__init__(text)
        self.original = original
