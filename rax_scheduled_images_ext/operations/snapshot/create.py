"""Stops what runs on a server, starts a snapshot, resumes once the disk is copied.

The promise: once ``before`` has started, ``after`` is called exactly once, whatever
happens; only the end of this process (SIGKILL, a crash of the machine) breaks it.
Nothing here deletes an image or a server, even if a snapshot fails.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import RetryPolicy, resource_id
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.snapshots import SnapshotRequest, Snapshots
from rax_scheduled_images_ext.errors import (
    ApiError,
    HoldCutShort,
    NoSuchServer,
    ResumeFailed,
    ServerBusy,
    ServerDisappeared,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.task_states import (
    UPLOADING,
    ServerState,
    SnapshotProgress,
    task_state,
)
from rax_scheduled_images_ext.model.volume_snapshots import Wholeness
from rax_scheduled_images_ext.operations.proof import prove_now
from rax_scheduled_images_ext.operations.snapshot.new_image import (
    LOST,
    UNREAD,
    NewImage,
    Prove,
)
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Interrupted,
    SignalCatcher,
)

Hook = Callable[["Snapshot"], object]


class Snapshot:
    """A snapshot, during which a server may be held.

    ``held`` is the number of seconds from the end of ``before`` to the start of
    ``after``, None until that is known, or without them. ``copied`` is whether the
    server was resumed because the disk was copied, or because there was no sign of a
    snapshot.

    :param prove: finds out whether an ACTIVE image is complete.
    :raises InvalidValue: for a name or metadata that clouds refuse.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        images: ImageStore,
        server_id: str,
        name: str,
        *,
        prove: Prove,
        metadata: Mapping[str, str] | None = None,
        safe_from: str | None = None,
        poller: Poller | None = None,
    ) -> None:
        self.server_id = server_id
        self.server_name = server_id
        self.held: float | None = None
        self.copied = False
        self._snapshots = snapshots
        self._safe_from = safe_from
        self._poller = poller or Poller()
        self._image = NewImage(
            snapshots, images, self._poller, server_id, name, metadata or {}, prove
        )
        self._on_volumes = False
        self._since: float | None = None
        self._over = False
        self._last_state = "nothing"
        # When the server was read, by the cloud's clock and by the own one.
        self._read: tuple[datetime, float] | None = None

    @property
    def name(self) -> str:
        """The name of the image."""
        return self._image.name

    @property
    def image_id(self) -> str | None:
        """The ID of the image, None until the cloud has returned it."""
        return self._image.id

    def prepare(self, seen: ServerState | None = None) -> None:
        """Check, while nothing is stopped yet, that a snapshot is possible.

        :param seen: the server, if it was read just now.
        :raises NoSuchServer: if there is no such server.
        :raises ServerBusy: if a task is under way on it.
        """
        ask = partial(self._snapshots.server, self.server_id)
        state = seen or self._poller.call(ask)
        self.server_name = self._image.server_name = state.name
        self._on_volumes = state.boots_from_volume
        now = state.seen or datetime.now(timezone.utc)
        self._read = now, self._poller.clock()
        if state.task_state is not None:
            raise ServerBusy(
                f"Server {state.name} is busy (task_state: {state.task_state}): no"
                " snapshot can be started until that is over"
            )
        self._image.prepare()

    @contextmanager
    def taken(self, before: Hook | None, after: Hook | None) -> Iterator[Snapshot]:
        """Hold the server as :meth:`hold` does, then find and check the image.

        :raises SnapshotUnknown: if the image cannot be found.
        :raises ImageLost: if it is already lost.
        :raises TimeLimitReached: if the snapshot is over and the image stays
            unfinished.
        """
        try:
            with self.hold(before, after):
                yield self
            self._poller.signals.check()
        except BaseException:
            self._image.leave()
            raise
        # If nothing was waited for, the image may not have appeared yet.
        self._image.locate(0.0 if before or after else self._poller.limits.quiet)
        self._image.correct()
        # A snapshot that ends so early may have failed.
        if self._over:
            self._image.wait(self._poller.limits.settling)

    @contextmanager
    def hold(self, before: Hook | None, after: Hook | None) -> Iterator[Snapshot]:
        """Stop, start the snapshot, run the block, wait for the copy, and resume.

        With nothing to stop or resume, there is no hold, and no wait for the copy.

        :raises ResumeFailed: if ``after`` fails; its ``original`` is an earlier error.
        """
        holds = before is not None or after is not None
        # An earlier state that the user has named may not be safe on this cloud.
        sure = self._safe_from in (None, UPLOADING)
        if holds and self._safe_from is None:
            self._safe_from = self._poller.call(self._snapshots.safe_from)
        self._poller.signals.check()
        original: BaseException | None = None
        try:
            if before:
                before(self)
            self._since = self._poller.clock()
            if before and sure and self._read:
                now, read = self._read
                self._image.claim_hold(now + timedelta(seconds=self._since - read))
            try:
                self._begin(holds)
            except ApiError as error:
                if after and error.status == codes.conflict:
                    self._await_other()
                raise
            yield self
            if holds:
                self._await_copy()
        except BaseException as error:
            original = error
            raise
        finally:
            if after:
                self._resume(after, original)

    def wait(self, seconds: float | None = None) -> ServerImage:
        """Return the image as soon as it is ACTIVE, and its volume snapshots available.

        What cannot be known of them is noted, and not waited for.

        :param seconds: how long to wait; by default what is left of the limit.
        :raises ImageLost: if it is gone, its status is ERROR or DELETED, or one of its
            volume snapshots is lost.
        :raises TimeLimitReached: if that takes too long.
        """
        limits = self._poller.limits
        return self._image.wait(
            self._left(limits.total) if seconds is None else seconds
        )

    def _resume(self, after: Hook, original: BaseException | None) -> None:
        if self._since is not None:
            self.held = self._poller.clock() - self._since
        try:
            after(self)
        except Exception as error:
            raise ResumeFailed(
                f"Server {self.server_name} MAY STILL BE STOPPED: resuming it failed,"
                f" so start it by hand: {str(error) or type(error).__name__}",
                original,
            ) from error

    def _begin(self, holds: bool) -> None:
        """Send image-create, only once."""
        given_up = threading.Event()

        def wait(seconds: float) -> None:
            # A busy service gets another request only while this still waits for it.
            if given_up.wait(seconds):
                raise TimeoutError("given up")

        create = partial(
            self._snapshots.create_image,
            self.server_id,
            self._image.name,
            self._image.metadata,
            RetryPolicy(sleep=wait),
        )
        limits = self._poller.limits
        longest = min(
            4 * limits.answer, self._left(limits.hold if holds else limits.total)
        )
        try:
            request = self._poller.call(create, longest)
        except NoSuchServer:
            raise ServerDisappeared(self.server_id, self.server_name) from None
        except TimeoutError as error:
            request = SnapshotRequest(None, problem=str(error))
        except Interrupted as error:
            self._image.requested(SnapshotRequest(None, problem=str(error)))
            raise
        finally:
            given_up.set()
        self._image.requested(request)

    def _await_copy(self) -> None:
        """Return as soon as the disk is copied, or no longer being copied.

        :raises HoldCutShort: if that takes too long.
        """
        progress = SnapshotProgress(self._safe_from or "")
        quiet = _Quiet(self._image, self._poller)
        limits = self._poller.limits
        for state in self._poller.polls(
            self._look, limits.interval, self._left(limits.hold), holding=True
        ):
            progress.see(self._poller.clock(), state.task_state)
            self._saw(state)
            idle = state.task_state is None and not progress.started
            if progress.copied or (idle and quiet.over()):
                break
        else:
            raise self._cut()
        known = self._await_volumes() if self._on_volumes else True
        self._image.held = progress.copied or quiet.made
        self.copied = True
        self._over = known and (progress.over or not progress.started)

    def _await_volumes(self) -> bool:
        """Return as soon as no volume of the server is being copied any more.

        Nova is done with such a server as soon as the volume snapshots are requested.
        If they cannot be read at all, nothing can be waited for.

        :returns: whether it is known.
        :raises HoldCutShort: if it takes too long.
        """
        limits = self._poller.limits
        self._last_state = UNREAD
        known = self._see_volumes(min(limits.settling, self._left(limits.hold)))
        if known is not None:
            return known
        left = self._left(limits.hold)
        if left and self._last_state == UNREAD:
            self._image.leave_open(UNREAD)
            return False
        known = self._see_volumes(left)
        if known is None:
            raise self._cut()
        return known

    def _see_volumes(self, seconds: float) -> bool | None:
        """Poll the volume snapshots until none is being made.

        :returns: whether that is known, None if one may still be when the time is over.
        """
        for proof in self._poller.polls(
            self._image.proof, self._poller.limits.interval, seconds, holding=True
        ):
            believed = self._image.believes(proof)
            if proof is not None and proof.is_creating:
                self._show(proof.reason, f"{self._image}: {proof.reason}")
            elif believed:
                if proof is None or proof.wholeness is not Wholeness.UNPROVABLE:
                    return True
                self._image.leave_open(proof.reason)
                return False
        return None

    def _cut(self) -> HoldCutShort:
        limits = self._poller.limits
        in_all = limits.total < limits.hold
        return HoldCutShort(
            f"The {'time limit' if in_all else 'maximum hold'} of server"
            f" {self.server_name} was reached before its disk was copied (last"
            f" seen: {self._last_state}): {self._image} may be inconsistent; it is"
            " kept",
            self.image_id,
            in_all=in_all,
        )

    def _await_other(self) -> None:
        """Wait while resuming the server would spoil a snapshot of somebody else's, but
        no longer than it may be held.
        """
        progress, note = (
            SnapshotProgress(self._safe_from or ""),
            self._poller.listener.note,
        )
        limits = self._poller.limits
        for state in self._poller.polls(
            self._look, limits.interval, self._left(limits.hold), holding=True
        ):
            if not progress.started and task_state(state.task_state).snapshot:
                note(
                    f"Another snapshot of server {self.server_name} is under way: what"
                    " was stopped is started again as soon as that snapshot has copied"
                    " the disk"
                )
            progress.see(self._poller.clock(), state.task_state)
            self._saw(state)
            if progress.copied or not progress.started:
                return
        note(
            f"The other snapshot of server {self.server_name} may be inconsistent: its"
            " disk was not copied in time"
        )

    def _look(self) -> ServerState:
        try:
            return self._snapshots.server(self.server_id)
        except NoSuchServer:
            raise ServerDisappeared(self.server_id, self.server_name) from None

    def _left(self, limit: float) -> float:
        """Return what is left of a limit that counts from the end of ``before``."""
        if self._since is None:
            return limit
        passed = self._poller.clock() - self._since
        return max(0.0, min(limit, self._poller.limits.total) - passed)

    def _saw(self, state: ServerState) -> None:
        self._show(f"task_state: {state.task_state or 'none'}", str(state))

    def _show(self, state: str, line: str) -> None:
        if state != self._last_state:
            self._poller.listener.note(line)
        self._last_state = state
        self._poller.listener.progress(line)


class _Quiet:
    """Watches a server that shows no sign of the requested snapshot.

    The snapshot may be over already, not visible yet, or never have been started.
    ``made`` is whether its image was seen to be ACTIVE.
    """

    def __init__(self, image: NewImage, poller: Poller) -> None:
        self._image = image
        self._poller = poller
        self._since: float | None = None
        self.made = False

    def over(self) -> bool:
        """Return whether nothing keeps the server from being resumed."""
        now = self._poller.clock()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._poller.limits.quiet:
            return True
        image = self._image.glance()
        self.made = image is not None and image.status == "ACTIVE"
        return self.made or (image is not None and image.status in LOST)


@contextmanager
def quiesced_snapshot(
    cloud: Cloud,
    server: object,
    name: str,
    *,
    before: Hook,
    after: Hook,
    metadata: Mapping[str, str] | None = None,
    limits: Timeouts | None = None,
    safe_from: str | None = None,
    listener: Listener | None = None,
    signals: bool = True,
) -> Iterator[Snapshot]:
    """Hold a server for a snapshot: stop, start the snapshot, resume.

    ::

        with quiesced_snapshot(
            cloud, server, "db1-monday", before=stop, after=start
        ) as snapshot:
            print("the disk is being copied into", snapshot.image_id)
        print("resumed after", snapshot.held, "seconds")
        snapshot.wait()

    When the block is entered, ``before`` is called and the snapshot is started. At its
    end, the context manager waits for the copy of the disk and calls ``after``. If
    ``before`` was called, ``after`` is called exactly once, whatever goes wrong: also
    if ``before`` fails, if the block raises an exception (then immediately), or if a
    signal arrives.

    :param server: anything with an ``id``, or an ID.
    :param name: the name of the image.
    :param before: stops what writes to the disk; receives the :class:`Snapshot`.
    :param after: resumes it; receives the same.
    :param metadata: the metadata of the image.
    :param limits: the time limits.
    :param safe_from: the task state that shows that the disk is copied, one of
        :data:`.task_states.SAFE_STATES`; by default one request finds out.
    :param signals: whether to hold back SIGINT, SIGTERM, SIGHUP and SIGQUIT until
        ``after`` has been called; only in the main thread.
    :raises InvalidValue: for a name or metadata that clouds refuse; like the next two
        errors, before anything is stopped.
    :raises NoSuchServer: if there is no such server.
    :raises ServerBusy: if a task is under way on it.
    :raises ServerDisappeared: if it is gone while it is held.
    :raises HoldCutShort: if it had to be resumed before the disk was copied.
    :raises ImageLost: if the snapshot fails at once.
    :raises TimeLimitReached: if the snapshot ends and the image stays unfinished.
    :raises SnapshotUnknown: if it is unknown whether a snapshot was started.
    :raises ResumeFailed: if ``after`` fails; its ``original`` is an earlier error.
    """
    catcher = SignalCatcher(catch=signals)
    try:
        with catcher:
            snapshot = Snapshot(
                Snapshots(cloud.compute),
                cloud.images,
                resource_id(server),
                name,
                prove=partial(prove_now, cloud),
                metadata=metadata,
                safe_from=safe_from,
                poller=Poller(catcher, limits or Timeouts(), listener or Listener()),
            )
            snapshot.prepare()
            with snapshot.taken(before, after):
                yield snapshot
    finally:
        if catcher.received is not None:
            signal.raise_signal(catcher.received)
