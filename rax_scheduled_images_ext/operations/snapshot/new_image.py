"""The image of a snapshot: finds it, removes what is not true of it, waits for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.snapshots import (
    PASSING,
    SnapshotRequest,
    Snapshots,
    check_request,
)
from rax_scheduled_images_ext.errors import (
    ImageLost,
    NoSuchImage,
    SnapshotUnknown,
    TimeLimitReached,
)
from rax_scheduled_images_ext.model.consistency import hook_metadata
from rax_scheduled_images_ext.model.image import (
    HOOK_KEY,
    MARKER_KEY,
    SERVER_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.volume_snapshots import Proof, Wholeness
from rax_scheduled_images_ext.operations.snapshot.polling import RETRY, Poller

#: Finds out whether an image is complete: see :func:`.proof.prove_now`.
Prove = Callable[[ServerImage], Proof]
#: What was seen last where no service could tell.
UNREAD = "its volume snapshots cannot be read"
#: The statuses of an image that will never be ACTIVE.
LOST = ("ERROR", "DELETED")
# A single 404 may come from something in between, such as a proxy.
_GONE = 2


class NewImage:
    """The image of one snapshot of one server.

    ``id`` is None until it is known; ``server_name`` is for messages. ``held`` is
    whether the server was seen to be held until its disk was copied.

    :param prove: finds out whether an ACTIVE image is complete.
    :raises InvalidValue: for a name or metadata that clouds refuse.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        images: ImageStore,
        poller: Poller,
        server_id: str,
        name: str,
        metadata: Mapping[str, str],
        prove: Prove,
    ) -> None:
        check_request(name, metadata)
        self.server_id = server_id
        self.server_name = server_id
        self.name = name
        # Nova adds these two itself, except for servers that boot from a volume.
        self.metadata = {SERVER_KEY: server_id, TYPE_KEY: SNAPSHOT, **metadata}
        self.id: str | None = None
        self.held = False
        self._snapshots = snapshots
        self._images = images
        self._poller = poller
        self._prove = prove
        self._doubts = 0
        self._left_open = False
        self._sent = SnapshotRequest(None)
        self._older: set[str] = set()

    def __str__(self) -> str:
        return f"image {self.id or repr(self.name)} of server {self.server_name}"

    def prepare(self) -> None:
        """Remember which images of the server already have the name."""
        self._older = {image.id for image in self._poller.call(self._namesakes)}

    def claim_hold(self, now: datetime) -> None:
        """Have the image say that its server is held; :meth:`correct` checks it.

        :param now: the cloud's time.
        """
        self.metadata |= hook_metadata(self.server_id, self.name, now)

    def requested(self, request: SnapshotRequest) -> None:
        """Note the response to image-create."""
        self._sent, self.id = request, request.image_id
        note = self._poller.listener.note
        if self.id is None:
            note(
                f"It is not known yet whether the image was started: {request.problem}"
            )
        else:
            note(f"Image {self.id} is being created")

    def locate(self, seconds: float = 0.0) -> str:
        """Return the ID; if the cloud has not returned it, search for the image.

        :param seconds: how long to wait for it to appear.
        :raises SnapshotUnknown: if it is not clear which image it is.
        """
        if self.id is None:
            end = self._poller.clock() + seconds
            while not (new := self._poller.retry(self._new_ones)):
                if self._poller.clock() >= end:
                    break
                self._poller.signals.sleep(
                    self._poller.limits.interval or RETRY,
                    interruptible=self._poller.interruptible,
                )
            if len(new) != 1:
                raise SnapshotUnknown(
                    f"It is not known whether an image of server {self.server_name}"
                    f" was started ({self._sent.problem}): {len(new)} new images of it"
                    f" are named '{self.name}'"
                )
            self.id = new[0].id
            self._poller.listener.note(
                f"Image {self.id} is the one that is being created"
            )
        return self.id

    def correct(self) -> None:
        """Remove what is not true of the image.

        That is the marker of scheduled images, unless the user has set it: a snapshot
        inherits it from its base image, and the service would then count and delete the
        snapshot. And it is that the server was held, if it was resumed too early.

        :raises ImageLost: if the image is gone.
        """
        if MARKER_KEY in self.metadata and not self._is_cut:
            return
        try:
            self._tell(self._poller.retry(self._take_off))
        except NoSuchImage:
            raise self._lost("it is gone") from None

    def _tell(self, removed: Collection[str]) -> None:
        note = self._poller.listener.note
        if MARKER_KEY in removed:
            note(f"Removed the scheduled images marker that image {self.id} inherited")
        if HOOK_KEY in removed:
            note(
                f"Removed {HOOK_KEY} from image {self.id}: its server was not held"
                " until the disk was copied"
            )

    @property
    def _is_cut(self) -> bool:
        """Whether the image says that its server was held, and it was not."""
        return HOOK_KEY in self.metadata and not self.held

    def leave(self) -> None:
        """Keep the image, except for what is not true of it.

        The server runs again, so there is time to try it for a while.
        """
        # A signal may have arrived already; it must not prevent this.
        self._poller = replace(self._poller, interruptible=False)
        if not self.id and not self._sent.problem:
            return
        limits, note = self._poller.limits, self._poller.listener.note
        gone, why = 0, "the cloud does not respond as it should"

        def take_off() -> list[str] | None:
            try:
                return self._take_off()
            except NoSuchImage:
                return None

        try:
            self.locate(limits.quiet if self._is_cut else 0.0)
            interval = limits.interval or RETRY
            for removed in self._poller.polls(take_off, interval, limits.settling):
                if removed is not None:
                    self._tell(removed)
                    return
                gone += 1
                if gone >= _GONE:
                    note(f"{self} is gone")
                    return
        except Exception as error:
            why = str(error)
        says = f"; it says that its server was held: remove {HOOK_KEY}"
        note(f"{self} is left as it is: {why}{says if self._is_cut else ''}")

    def glance(self) -> ServerImage | None:
        """Return the image as it is now, None if unknown."""
        try:
            return self._poller.call(self._get) if self.id else None
        except PASSING as error:
            self._poller.failed(error)
            return None

    def proof(self) -> Proof | None:
        """Return whether the image is complete, as far as known; None without an image.

        It is searched for if the cloud has not returned its ID. Errors that may pass
        are raised.
        """
        images = [self._get()] if self.id else self._new_ones()
        proofs = [self._prove(image) for image in images if image is not None]
        return max(proofs, key=lambda proof: proof.is_creating, default=None)

    def believes(self, proof: Proof | None) -> bool:
        """Whether to believe the proof of a poll, None without an image.

        What is missing, or cannot be known, must be so in two polls in a row.
        """
        clear = proof is not None and not (
            proof.is_missing or proof.wholeness is Wholeness.UNPROVABLE
        )
        self._doubts = 0 if clear else self._doubts + 1
        return clear or self._doubts >= _GONE

    def leave_open(self, reason: str) -> None:
        """Say, once, why it cannot be known whether the image is complete."""
        if not self._left_open:
            self._poller.listener.note(
                f"It cannot be known whether {self} is complete: {reason}"
            )
        self._left_open = True

    def wait(self, seconds: float) -> ServerImage:
        """Return the image as soon as it is ACTIVE, and its volume snapshots available.

        What cannot be known of them is noted, and not waited for.

        :raises ImageLost: if it is gone, its status is ERROR or DELETED, or one of its
            volume snapshots is lost.
        :raises TimeLimitReached: if it takes longer.
        """
        gone, last, wanted = 0, "nothing", "ACTIVE"

        def look() -> tuple[ServerImage | None, Proof | None]:
            nonlocal last, wanted
            image = self._get()
            last = "it is gone" if image is None else image.status
            if image is None or last != "ACTIVE":
                return image, None
            wanted, last = "complete", UNREAD
            proof = self._prove(image)
            last = proof.reason
            return image, proof

        interval = self._poller.limits.slow_interval
        for image, proof in self._poller.polls(look, interval, seconds):
            gone = gone + 1 if image is None else 0
            self._poller.listener.progress(f"image {self.id}: {last or 'complete'}")
            if gone >= _GONE or last in LOST:
                raise self._lost(last)
            if image is not None and proof is not None:
                if image.scheduled:
                    self.correct()
                if self._is_done(proof):
                    return image
        raise TimeLimitReached(
            f"{self} is not {wanted} within the time limit (last seen: {last})"
            f"{self._reason()}"
        )

    def _is_done(self, proof: Proof) -> bool:
        """Whether nothing of an ACTIVE image is to be waited for.

        :raises ImageLost: if it will never be complete.
        """
        if not self.believes(proof):
            return False
        if proof.wholeness is Wholeness.BROKEN:
            raise ImageLost(
                f"{self} will never be complete: {proof.reason}; it is kept", self.id
            )
        if proof.wholeness is Wholeness.UNPROVABLE and not proof.is_creating:
            self.leave_open(proof.reason)
            return True
        return proof.is_whole

    def _get(self) -> ServerImage | None:
        """Return the image, None if there is none."""
        try:
            return self._images.get(self.id)
        except NoSuchImage:
            return None

    def _take_off(self) -> list[str]:
        image = self._images.get(self.id)
        wrong = []
        if image.scheduled and MARKER_KEY not in self.metadata:
            wrong.append(MARKER_KEY)
        if self._is_cut and HOOK_KEY in image.metadata:
            wrong.append(HOOK_KEY)
        if wrong:
            self._images.ensure_metadata(image, {}, wrong)
        return wrong

    def _new_ones(self) -> list[ServerImage]:
        return [each for each in self._namesakes() if each.id not in self._older]

    def _namesakes(self) -> list[ServerImage]:
        return list(self._images.list(name=self.name, server_id=self.server_id))

    def _lost(self, what: str) -> ImageLost:
        return ImageLost(f"{self} is lost: {what}{self._reason()}", self.id)

    def _reason(self) -> str:
        """Return the reason from the server's history, if there is one."""
        ask = partial(self._snapshots.failure, self.server_id, self._sent.request_id)
        try:
            reason = self._poller.call(ask)
        except TimeoutError:
            reason = None
        return f" ({reason})" if reason else ""
