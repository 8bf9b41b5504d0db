"""Server images in one form, whatever API they come from, and their stores."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from rax_scheduled_images_ext.client.http import ApiResponse, shared
from rax_scheduled_images_ext.client.servers import looks_like_id
from rax_scheduled_images_ext.errors import (
    ChangeUndone,
    InvalidValue,
    NoMatch,
    NoSuchImage,
    SeveralMatches,
)
from rax_scheduled_images_ext.model.image import (
    FACTS_KEY,
    MARKER_KEY,
    PENDING_KEY,
    RESTORE_KEY,
    SAFETY_KEY,
    SERVER_KEY,
    SLOT_KEY,
    TELLING,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.quota import ImageQuota

Result = TypeVar("Result")


#: The image service's own attributes of an image; everything else is metadata.
ATTRIBUTES = frozenset(
    "checksum container_format created_at deleted deleted_at direct_url disk_format"
    " file id location locations min_disk min_ram name os_hash_algo os_hash_value"
    " os_hidden owner protected schema self size status stores tags updated_at"
    " virtual_size visibility".split()
)
_LONGEST_KEY = 255
# The metadata that has the same values on many images.
_REPEATED = frozenset({MARKER_KEY, SERVER_KEY, TYPE_KEY, PENDING_KEY, SLOT_KEY})
# How often a change is repeated if something else undoes it.
_TRIES = 5


@dataclass(frozen=True)
class ImageFilter:
    """Which images to list; the fields are those of :meth:`ImageStore.list`."""

    name: str | None = None
    server_id: str | None = None
    scheduled: bool = False
    snapshots: bool = False
    making: bool = False
    pending: bool = False
    changed_since: datetime | None = None
    limit: int | None = None
    hidden: bool = False
    ids: frozenset[str] | None = None
    facts: bool = False
    owner: str | None = None

    @property
    def is_large(self) -> bool:
        """Whether very many images may match.

        Then pages are read ahead, and of each image only some metadata is read.
        """
        wide = self.snapshots or self.pending or self.changed_since is not None
        return (wide or self.owner is not None) and not self.hidden

    @property
    def keys(self) -> tuple[str, ...]:
        """The metadata to read where very many images may match."""
        if self.owner is not None:
            return (*TELLING, FACTS_KEY, RESTORE_KEY, SAFETY_KEY)
        return (*TELLING, FACTS_KEY) if self.facts else TELLING

    def takes(self, image: ServerImage) -> bool:
        """Whether an image matches, apart from the limit."""
        return (
            self.name in (None, image.name)
            and (self.ids is None or image.id in self.ids)
            and self.server_id in (None, image.server_id)
            and self.owner in (None, image.owner)
            and (image.scheduled or not self.scheduled)
            and (image.server_id is not None or not self.snapshots)
            and (image.status == "SAVING" or not self.making)
            and (PENDING_KEY in image.metadata or not self.pending)
            and (self.changed_since is None or _changed(image, self.changed_since))
        )


def _changed(image: ServerImage, since: datetime) -> bool:
    return image.updated is None or image.updated >= since


class ImageStore(ABC):
    """Where a cloud stores its images; :attr:`.Cloud.images` is the right one.

    An image is a :class:`ServerImage`, anything else with an ``id``, or an ID. That
    there is none is believed of the service alone, not of a proxy in between. Besides
    the errors below every call raises :class:`.ApiError` for a refusal,
    :class:`.UnexpectedAnswer` for a malformed response, and keystoneauth's errors
    without a response.
    """

    @abstractmethod
    def get(self, image: object) -> ServerImage:
        """Return an image as it is now.

        :raises NoSuchImage: if there is none with this ID.
        """

    def is_gone(self, image_id: str) -> bool:
        """Whether the service itself says that there is no such image."""
        try:
            return self.get(image_id).status == "DELETED"
        except NoSuchImage:
            return True

    @abstractmethod
    def set_metadata(self, image: object, metadata: Mapping[str, str]) -> None:
        """Add this metadata, or change it if it exists.

        :raises InvalidValue: for an invalid key.
        :raises NoSuchImage: if there is no such image.
        """

    @abstractmethod
    def delete_metadata(self, image: object, keys: Iterable[str]) -> None:
        """Remove metadata; it is not an error if it does not exist.

        :raises InvalidValue: for an invalid key.
        :raises NoSuchImage: if there is no such image.
        """

    def change_metadata(
        self, image: object, additions: Mapping[str, str], removals: Iterable[str]
    ) -> None:
        """Add and remove metadata: in one request, if the service can.

        If it cannot, the additions come first, so that an interruption in between
        loses nothing.

        :raises InvalidValue: for an invalid key.
        :raises NoSuchImage: if there is no such image.
        """
        self.set_metadata(image, additions)
        self.delete_metadata(image, removals)

    def ensure_metadata(
        self, image: object, additions: Mapping[str, str], removals: Iterable[str]
    ) -> ServerImage:
        """Add and remove metadata until the image shows it; return the image.

        The image service reads an image, changes it, and writes the whole of it, so one
        of two simultaneous changes may undo the other: after its response, and even
        after this has seen the change, if the other started earlier.

        :raises ChangeUndone: if it is undone repeatedly.
        :raises InvalidValue: for an invalid key.
        :raises NoSuchImage: if there is no such image.
        """
        removals = tuple(removals)
        known = self._known(image)
        for _ in range(_TRIES):
            self.change_metadata(known, additions, removals)
            known = self.get(known.id)
            added = additions.items() <= known.metadata.items()
            if added and known.metadata.keys().isdisjoint(removals):
                return known
        raise ChangeUndone(known.id, _TRIES)

    @abstractmethod
    def delete(self, image: object) -> None:
        """Delete an image for good.

        :raises NoSuchImage: if there is no such image.
        """

    def list(
        self,
        *,
        name: str | None = None,
        server_id: str | None = None,
        scheduled: bool = False,
        snapshots: bool = False,
        making: bool = False,
        pending: bool = False,
        changed_since: datetime | None = None,
        limit: int | None = None,
        hidden: bool = False,
        ids: Collection[str] | None = None,
        facts: bool = False,
        owner: str | None = None,
    ) -> Iterator[ServerImage]:
        """Yield the images this user can use, fetching pages as they are needed.

        :param name: only those with exactly this name.
        :param server_id: only those made of this server.
        :param scheduled: only those with the marker of the scheduled images service.
        :param snapshots: only those made of servers, scheduled or not. As there may be
            very many, only the metadata in :data:`TELLING` is read, as for pending and
            changed ones.
        :param making: only those in progress.
        :param pending: only scheduled ones whose retention has not been applied.
        :param changed_since: only those that changed since, to the second.
        :param limit: at most this many; also the size of a page.
        :param hidden: those that lists omit, if the service has such.
        :param ids: only those with these few IDs.
        :param facts: whether to read what each says of its server, too.
        :param owner: only those of the project with this ID. There may be very many, so
            of each only what it says of its server and of a restore is read.
        """
        wanted = ImageFilter(
            name,
            server_id,
            scheduled,
            snapshots,
            making,
            pending,
            changed_since,
            limit,
            hidden,
            None if ids is None else frozenset(ids),
            facts,
            owner,
        )
        return islice(filter(wanted.takes, self._list(wanted)), limit)

    @abstractmethod
    def _list(self, wanted: ImageFilter) -> Iterator[ServerImage]:
        """Yield at least the matching images: services filter as well as they can."""

    def quota(self) -> ImageQuota | None:
        """Return how many images the project may have; None if that is not shown."""
        return None

    def find(self, wanted: str) -> ServerImage:
        """Return the image whose ID or name is ``wanted``.

        :raises NoMatch: if there is none.
        :raises SeveralMatches: if several have that name.
        """
        return self.with_image(wanted, self._known)

    def with_image(self, wanted: str, action: Callable[[object], Result]) -> Result:
        """Run ``action`` with the image whose ID or name is ``wanted``.

        What looks like an ID is passed on without a request; only if ``action`` raises
        :class:`.errors.NoSuchImage` is it taken for a name.

        :raises NoMatch: if no image has that ID or name.
        :raises SeveralMatches: if several have that name.
        """
        if looks_like_id(wanted):
            try:
                return action(wanted)
            except NoSuchImage:
                pass
        images = {image.id: image for image in self.list(name=wanted)}
        if not images:
            raise NoMatch("image", wanted)
        if len(images) > 1:
            raise SeveralMatches("image", wanted, list(images))
        return action(next(iter(images.values())))

    def _known(self, image: object) -> ServerImage:
        """Return an image, requesting it only if just its ID is known."""
        return image if isinstance(image, ServerImage) else self.get(image)


def check_key(key: str) -> str:
    """Return a valid metadata key.

    :raises InvalidValue: for any other.
    """
    if not key or len(key) > _LONGEST_KEY:
        raise InvalidValue(
            f"'{key}' is not a metadata key of 1 to {_LONGEST_KEY} characters"
        )
    if key in ATTRIBUTES:
        raise InvalidValue(f"'{key}' is an attribute of the image itself, not metadata")
    return key


def read_metadata(answer: ApiResponse, metadata: Any) -> dict[str, str]:
    """Return metadata with all values as text."""
    if not isinstance(metadata, dict):
        raise answer.unexpected("with an image whose metadata is not a JSON object")
    found = {key: _as_text(value) for key, value in metadata.items()}
    for key in _REPEATED & found.keys():
        found[key] = shared(found[key])
    return found


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        # Compute's proxy of an image service parses values that are JSON.
        return json.dumps(value)
    return "" if value is None else str(value)


def read_id(answer: ApiResponse, image: Mapping[str, Any]) -> str:
    """Return the ID of an image in a response."""
    image_id = image.get("id")
    if not isinstance(image_id, str) or not image_id:
        raise answer.unexpected("with an image that has no ID")
    return image_id


def read_number(number: object) -> int | None:
    """Return a number that an API wrote, None if it is not a number."""
    return number if isinstance(number, int) else None
