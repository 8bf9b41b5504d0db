"""Tracks the images of the snapshots that are watched.

A server's history is not enough: Nova records a snapshot as a success as soon as it
runs in a thread of its own, and failures there are recorded nowhere. So the image is
noted while it is being made, and checked when the snapshot is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import (
    ImageLost,
    NoSuchImage,
    ScheduledImagesError,
    TimeLimitReached,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.task_states import ServerState
from rax_scheduled_images_ext.model.times import LONG_AGO
from rax_scheduled_images_ext.operations.snapshot.new_image import LOST
from rax_scheduled_images_ext.operations.snapshot.polling import Poller
from rax_scheduled_images_ext.operations.snapshot.watch import Watch

_DONE = ("ACTIVE", "DEACTIVATED")
_GONE = "gone"
_UNREADABLE = (*PASSING, ScheduledImagesError)
_TRIES = 3


@dataclass
class _Unfinished:
    """An image that has not been seen finished, although its snapshot is over."""

    image_id: str
    server: ServerState
    until: float
    #: The image as last seen, None if it could not be read; ``problem`` says why.
    status: str | None = None
    problem: str = ""

    def __str__(self) -> str:
        return f"image {self.image_id} of server {self.server.name}"


class ImageTracker:
    """The images of several servers' snapshots, from their start to their end.

    No error of a service is raised here: an image that cannot be read is not known to
    be lost.

    What remains unknown is noted.
    """

    def __init__(self, images: ImageStore, poller: Poller) -> None:
        self._images = images
        self._poller = poller
        self._tries: Counter[str] = Counter()
        self._in_the_making: dict[str, str | None] = {}
        self._unfinished: list[_Unfinished] = []
        self._noted = False

    @property
    def open(self) -> bool:
        """Whether there are images still to be polled."""
        return bool(self._unfinished)

    def note(self, seen: Iterable[Watch]) -> None:
        """Note the images of the servers that are seen in a snapshot for the first
        time.

        One listing serves all of these servers.
        """
        new = [
            each.state.id
            for each in seen
            if each.progress.started
            and not each.end
            and each.state.id not in self._in_the_making
            and self._tries[each.state.id] < _TRIES
        ]
        if not new:
            return
        self._tries.update(new)
        try:
            newest = self._poller.call(partial(self._newest, new))
        except _UNREADABLE as error:
            if not self._noted:
                self._poller.listener.note(
                    f"The images being made cannot be read: {_line(error)}"
                )
            self._noted = True
        else:
            self._in_the_making.update((each, newest.get(each)) for each in new)

    def over(self, server: ServerState, limit: float | None) -> None:
        """Start to poll the image of a snapshot that is over, if it is known.

        :param limit: when to stop waiting, by the clock of the poller.
        """
        image_id = self._in_the_making.get(server.id)
        if image_id:
            until = self._poller.clock() + self._poller.limits.settling
            until = until if limit is None else min(until, limit)
            self._unfinished.append(_Unfinished(image_id, server, until))

    def look(self) -> Iterator[tuple[ServerState, Exception]]:
        """Poll each unfinished image once; yield errors for those that are lost."""
        unfinished, self._unfinished = self._unfinished, []
        for each in unfinished:
            trouble = self._look(each)
            if trouble:
                yield each.server, trouble

    def _newest(self, server_ids: Sequence[str]) -> dict[str, str]:
        """Return the image that each of these servers is making, by the server's ID.

        A server makes one at a time: older ones were left behind by failures.
        """
        only = server_ids[0] if len(server_ids) == 1 else None
        newest: dict[str, ServerImage] = {}
        for image in self._images.list(server_id=only, making=True):
            server_id = image.server_id or ""
            known = newest.setdefault(server_id, image)
            if (known.created or LONG_AGO) < (image.created or LONG_AGO):
                newest[server_id] = image
        return {server_id: image.id for server_id, image in newest.items()}

    def _look(self, each: _Unfinished) -> ImageLost | TimeLimitReached | None:
        before, each.status = each.status, self._status(each)
        failed = f"The snapshot of server {each.server.name} has failed"
        # A single 404 may come from something in between, such as a proxy.
        if each.status in LOST or each.status == before == _GONE:
            return ImageLost(f"{failed}: {each} is {each.status}", each.image_id)
        if each.status in _DONE:
            return None
        if each.status == _GONE or self._poller.clock() < each.until:
            self._unfinished.append(each)
        elif each.status == "SAVING":
            return TimeLimitReached(
                f"The snapshot of server {each.server.name} is over, but {each} is"
                " still SAVING"
            )
        else:
            self._poller.listener.note(
                f"The result of {each} is not known: {each.problem}"
            )
        return None

    def _status(self, each: _Unfinished) -> str | None:
        try:
            image = self._poller.call(partial(self._images.get, each.image_id))
        except NoSuchImage:
            return _GONE
        except _UNREADABLE as error:
            each.problem = _line(error)
            return None
        each.problem = f"its status is {image.status}"
        return image.status


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
