"""Stop what runs on a server, begin a snapshot, resume as soon as the disk is copied.

The promise: once ``before`` has begun, ``after`` is called exactly once, whatever
happens; only the end of this process (SIGKILL, a crash of the machine) breaks it.
Nothing here deletes an image or a server, also where a snapshot went wrong.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from .errors import (
    HoldCutShort,
    ImageLost,
    NoSuchImage,
    NoSuchServer,
    ResumeFailed,
    ServerBusy,
    ServerDisappeared,
    SnapshotUnknown,
    TimeLimitReached,
)
from .images import MARKER_KEY, ImageStore, ServerImage, image_store
from .interrupts import Interrupts
from .snapshots import PASSING, Begun, Snapshots
from .task_states import Progress, ServerState, polls
from .transport import Patience, Transport, resource_id

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

_LOST = ("ERROR", "DELETED")
# A 404 that is not repeated was somebody else's.
_GONE = 2
_TRIES = 3
# Seconds for an image to be finished after its snapshot, and for any last look.
_SETTLING = 30.0
_LEAST = 1.0


@dataclass(frozen=True)
class Limits:
    """How long things may take, all in seconds.

    ``hold`` is counted from the end of ``before``, ``total`` from the same moment
    until the image is ACTIVE. ``interval`` is the time between two looks at the
    server while it is held, ``slow_interval`` between two looks at the image
    later. ``answer`` is how long a single request may take before it is given up,
    ``quiet`` how long a server must show no sign of a snapshot that was asked for
    until it is believed.
    """

    hold: float = 600.0
    total: float = 21600.0
    interval: float = 1.5
    slow_interval: float = 5.0
    answer: float = 15.0
    quiet: float = 10.0


class Listener:
    """Is told what happens; this one logs it."""

    def note(self, text: str) -> None:
        """Take note of something that happened."""
        LOG.info("%s", text)

    def progress(self, text: str) -> None:
        """Take note of how things are; told again and again."""


class Snapshot:
    """A snapshot for which a server is held.

    ``image_id`` is None until the cloud has told it. ``held`` is how many seconds
    passed from the end of ``before`` to the beginning of ``after``, None as long
    as that is not known. ``copied`` tells whether the disk was copied by then.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        images: ImageStore,
        server_id: str,
        name: str,
        *,
        metadata: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        safe_from: str | None = None,
        listener: Listener | None = None,
        interrupts: Interrupts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server_id = server_id
        self.server_name = server_id
        self.name = name
        self.image_id: str | None = None
        self.held: float | None = None
        self.copied = False
        self.limits = limits or Limits()
        self._snapshots = snapshots
        self._images = images
        self._metadata = dict(metadata or {})
        self._safe_from = safe_from
        self._listener = listener or Listener()
        self._interrupts = interrupts or Interrupts(catch=False)
        self._clock = clock
        self._begun = Begun(None)
        self._since: float | None = None
        self._older: set[str] = set()
        self._over = False
        self._last_error = ""
        # Whether signals end what is being done.
        self._heed = True
        self._last_state = "nothing"

    def prepare(self, seen: ServerState | None = None) -> None:
        """See, while nothing is stopped yet, whether a snapshot is possible.

        :param seen: the server as it was seen just now, if it was.
        :raises NoSuchServer: if there is no such server.
        :raises ServerBusy: if something is under way on it.
        """
        state = seen or self._call(partial(self._snapshots.server, self.server_id))
        self.server_name = state.name
        if state.task_state is not None:
            raise ServerBusy(
                f"Server {state.name} is busy (task_state: {state.task_state}): no"
                " snapshot can be begun until that is over"
            )
        if self._safe_from is None:
            self._safe_from = self._call(self._snapshots.safe_from)
        self._older = {image.id for image in self._call(self._namesakes)}

    @contextmanager
    def hold(
        self, before: Callable[[Snapshot], object], after: Callable[[Snapshot], object]
    ) -> Iterator[Snapshot]:
        """Stop, begin the snapshot, run the block, await the copy, and resume.

        :raises ResumeFailed: if ``after`` fails, whatever went wrong before.
        """
        self._interrupts.check()
        try:
            before(self)
            self._since = self._clock()
            self._begin()
            yield self
            self._await_copy()
        finally:
            self._resume(after)

    @contextmanager
    def taken(
        self, before: Callable[[Snapshot], object], after: Callable[[Snapshot], object]
    ) -> Iterator[Snapshot]:
        """Hold the server as :meth:`hold` does, then see to the image.

        :raises SnapshotUnknown: if the image cannot be found.
        :raises ImageLost: if it is lost already.
        :raises TimeLimitReached: if the snapshot is over and it stays unfinished.
        """
        try:
            with self.hold(before, after):
                yield self
        except BaseException:
            self._leave()
            raise
        self._interrupts.check()
        self.image_id = self.image_id or self._found()
        self._unmark(self.image_id)
        # A snapshot that is over so early may have failed.
        if self._over:
            self.wait(_SETTLING)

    def _leave(self) -> None:
        """Leave an image alone, but let nobody take it for a scheduled one."""
        self._heed = False
        try:
            if self.image_id is not None:
                self._unmark(self.image_id)
        except Exception as error:
            self._listener.note(
                f"{self._the_image()} may carry the mark of scheduled images: {error}"
            )

    def _resume(self, after: Callable[[Snapshot], object]) -> None:
        if self._since is not None:
            self.held = self._clock() - self._since
        try:
            after(self)
        except Exception as error:
            raise ResumeFailed(
                f"Server {self.server_name} MAY STILL BE STOPPED, resuming it failed:"
                f" {error}"
            ) from error

    def _begin(self) -> None:
        """Send the one image-create there is."""
        given_up = threading.Event()

        def wait(seconds: float) -> None:
            # A busy service is asked again only while somebody still waits for it.
            if given_up.wait(seconds):
                raise TimeoutError("given up")

        create = partial(
            self._snapshots.create_image,
            self.server_id,
            self.name,
            self._metadata,
            Patience(sleep=wait),
        )
        try:
            longest = min(4 * self.limits.answer, self._left(self.limits.hold))
            begun = self._call(create, longest)
        except NoSuchServer:
            raise ServerDisappeared(self.server_id, self.server_name) from None
        except TimeoutError as error:
            begun = Begun(None, problem=str(error))
        finally:
            given_up.set()
        self._begun, self.image_id = begun, begun.image_id
        if begun.image_id is None:
            self._listener.note(
                f"It is not known yet whether the image was begun: {begun.problem}"
            )
        else:
            self._listener.note(f"Image {begun.image_id} is begun")

    def _await_copy(self) -> None:
        """Return as soon as the disk is copied, or at least no longer copied."""
        progress = Progress(self._safe_from or "")
        quiet = _Quiet(self)
        for state in self._polls(
            self._look, self.limits.interval, self._left(self.limits.hold)
        ):
            now = self._clock()
            progress.see(now, state.task_state)
            self._saw(state)
            idle = state.task_state is None and not progress.begun
            if progress.copied or (idle and quiet.over(now)):
                break
        else:
            raise HoldCutShort(
                f"The hold of server {self.server_name} was cut short after"
                f" {self.limits.hold:g} s (last seen: {self._last_state}):"
                f" {self._the_image()} may be inconsistent; it is left alone",
                self.image_id,
            )
        self.copied = True
        self._over = progress.over or not progress.begun

    def _look(self) -> ServerState:
        try:
            return self._snapshots.server(self.server_id)
        except NoSuchServer:
            raise ServerDisappeared(self.server_id, self.server_name) from None

    def wait(self, seconds: float | None = None) -> ServerImage:
        """Return the image as soon as it is ACTIVE.

        :param seconds: how long to wait; by default what is left of the limit.
        :raises ImageLost: if it is gone, or its status is ERROR or DELETED.
        :raises TimeLimitReached: if that takes too long.
        """
        limit = self._left(self.limits.total) if seconds is None else seconds
        gone, last = 0, "nothing"
        for image in self._polls(self._image, self.limits.slow_interval, limit):
            gone = gone + 1 if image is None else 0
            last = "it is gone" if image is None else image.status
            self._listener.progress(f"image {self.image_id}: {last}")
            if gone >= _GONE or last in _LOST:
                raise self._lost(last)
            if image is not None and last == "ACTIVE":
                if image.scheduled:
                    self._unmark(image.id)
                return image
        raise TimeLimitReached(
            f"{self._the_image()} is not ACTIVE after {limit:.0f} s (last seen:"
            f" {last}){self._reason()}"
        )

    def glance(self) -> ServerImage | None:
        """Return the image as it is now, None where that cannot be told."""
        try:
            return self._call(self._image) if self.image_id else None
        except PASSING as error:
            self._failed(error)
            return None

    def _image(self) -> ServerImage | None:
        """Return the image, None where there is none."""
        try:
            return self._images.get(self.image_id)
        except NoSuchImage:
            return None

    def _lost(self, what: str) -> ImageLost:
        text = f"{self._the_image()} is lost, {what}{self._reason()}"
        return ImageLost(text, self.image_id)

    def _new_image(self) -> ServerImage | None:
        """Return the image that this snapshot has begun, where it was not told."""
        new = [each for each in self._namesakes() if each.id not in self._older]
        return new[0] if len(new) == 1 else None

    def _namesakes(self) -> list[ServerImage]:
        return list(self._images.list(name=self.name, server_id=self.server_id))

    def _found(self) -> str:
        image = self._insist(self._new_image)
        if image is None:
            raise SnapshotUnknown(
                f"It is not known whether an image of server {self.server_name} was"
                f" begun ({self._begun.problem}): no image '{self.name}' of it can be"
                " told to be new"
            )
        self._listener.note(f"Image {image.id} is the one that was begun")
        return image.id

    def _unmark(self, image_id: str) -> None:
        def take_off() -> None:
            image = self._images.get(image_id)
            if image.scheduled:
                self._images.delete_metadata(image, [MARKER_KEY])
                self._listener.note(
                    f"Image {image_id} is no scheduled image: the mark that it"
                    " inherited is taken off"
                )

        if MARKER_KEY in self._metadata:
            return
        try:
            self._insist(take_off)
        except NoSuchImage:
            raise self._lost("it is gone") from None

    def _insist(self, function: Callable[[], Result]) -> Result:
        """Try a few times to do something that need not succeed at once."""
        for _ in range(_TRIES - 1 if self._heed else 0):
            try:
                return self._call(function)
            except PASSING as error:
                self._failed(error)
                self._interrupts.sleep(self.limits.interval)
        return self._call(function)

    def _call(
        self, function: Callable[[], Result], seconds: float | None = None
    ) -> Result:
        """Send requests, for so long at most."""
        limit = self.limits.answer if seconds is None else seconds
        return self._interrupts.call(function, limit, heed=self._heed)

    def _polls(
        self, get: Callable[[], Result], interval: float, limit: float
    ) -> Iterator[Result]:
        end = self._clock() + limit

        def look() -> Result:
            # Also a request without an answer does not go beyond the limit.
            left = max(_LEAST, end - self._clock())
            return self._call(get, min(self.limits.answer, left))

        return polls(
            look,
            interval=interval,
            limit=limit,
            clock=self._clock,
            sleep=self._interrupts.sleep,
            retried=PASSING,
            failed=self._failed,
        )

    def _left(self, limit: float) -> float:
        """Return what is left of a limit that counts from the beginning."""
        if self._since is None:
            return limit
        return max(0.0, min(limit, self.limits.total) - (self._clock() - self._since))

    def _saw(self, state: ServerState) -> None:
        told = f"task_state: {state.task_state or 'none'}"
        if told != self._last_state:
            self._listener.note(str(state))
        self._last_state, self._last_error = told, ""
        self._listener.progress(str(state))

    def _failed(self, error: Exception) -> None:
        """Tell of an error that ends nothing, once as long as it stays the same."""
        text = " ".join(str(error).split()) or type(error).__name__
        if text != self._last_error:
            self._listener.note(f"{text}; trying again")
        self._last_error = text

    def _the_image(self) -> str:
        return f"image {self.image_id or repr(self.name)} of server {self.server_name}"

    def _reason(self) -> str:
        """Return what the server's history tells, if it tells something."""
        ask = partial(self._snapshots.failure, self.server_id, self._begun.request_id)
        try:
            reason = self._call(ask)
        except TimeoutError:
            reason = None
        return f" ({reason})" if reason else ""


class _Quiet:
    """Watches a server that shows no sign of the snapshot that was asked for.

    It may be over already, not be shown yet, or never have been begun.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._since: float | None = None

    def over(self, now: float) -> bool:
        """Return whether there is nothing to hold the server for."""
        self._since = now if self._since is None else self._since
        if now - self._since >= self._snapshot.limits.quiet:
            return True
        image = self._snapshot.glance()
        return image is not None and image.status in ("ACTIVE", *_LOST)


@contextmanager
def quiesced_snapshot(
    cs: Any,
    server: object,
    name: str,
    *,
    before: Callable[[Snapshot], object],
    after: Callable[[Snapshot], object],
    metadata: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    safe_from: str | None = None,
    listener: Listener | None = None,
    signals: bool = True,
) -> Iterator[Snapshot]:
    """Hold a server for a snapshot: stop, begin the snapshot, resume.

    ::

        with quiesced_snapshot(
            cs, server, "db1-monday", before=stop, after=start
        ) as snapshot:
            print("the disk is being copied into", snapshot.image_id)
        print("resumed after", snapshot.held, "seconds")
        snapshot.wait()

    ``before`` is called and the snapshot begun when the block is entered; when it
    is left, the copy of the disk is awaited and ``after`` called. ``after`` is
    called exactly once if ``before`` was called, whatever goes wrong: also if
    ``before`` fails, if the block raises (and then at once), or if a signal comes.

    :param cs: a novaclient client.
    :param server: a novaclient ``Server``, anything else with an ``id``, or an ID.
    :param name: the name of the image.
    :param before: stops what writes to the disk; is given the :class:`Snapshot`.
    :param after: resumes it; is given the same.
    :param metadata: what the image gets as metadata.
    :param limits: how long things may take.
    :param safe_from: the task state from which on the disk counts as copied, one
        of :data:`.task_states.SAFE_STATES`; by default the cloud is asked once.
    :param signals: whether SIGINT, SIGTERM, SIGHUP and SIGQUIT wait until ``after``
        has been called; in the main thread only. They are delivered then.
    :raises NoSuchServer: if there is no such server; like the next one, before
        anything is stopped.
    :raises ServerBusy: if something is under way on it.
    :raises ServerDisappeared: if it is gone while it is held.
    :raises HoldCutShort: if it had to be resumed before the disk was copied.
    :raises ImageLost: if the snapshot fails at once.
    :raises TimeLimitReached: if its snapshot ends and the image stays unfinished.
    :raises SnapshotUnknown: if it cannot be told whether a snapshot was begun.
    :raises ResumeFailed: if ``after`` fails.
    """
    interrupts = Interrupts(catch=signals)
    try:
        with interrupts:
            snapshot = Snapshot(
                Snapshots(Transport(cs.client)),
                image_store(cs),
                resource_id(server),
                name,
                metadata=metadata,
                limits=limits,
                safe_from=safe_from,
                listener=listener,
                interrupts=interrupts,
            )
            snapshot.prepare()
            with snapshot.taken(before, after):
                yield snapshot
    finally:
        if interrupts.received is not None:
            signal.raise_signal(interrupts.received)
