"""Makes the image of a slot: claims it, then requests it once."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import RetryPolicy
from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.snapshots import (
    PASSING,
    SnapshotRequest,
    Snapshots,
)
from rax_scheduled_images_ext.engine.claims import (
    CLAIM_VALIDITY,
    Claim,
    Claims,
    NoClaim,
)
from rax_scheduled_images_ext.engine.clock import LookTime
from rax_scheduled_images_ext.engine.limits import Admission, Limits, Room
from rax_scheduled_images_ext.engine.notes import Notes
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.errors import (
    ApiError,
    NoSuchServer,
    UsageError,
)
from rax_scheduled_images_ext.model.image import (
    RUN_KEY,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.note import Refusal, new_note
from rax_scheduled_images_ext.model.plan import Policy, Step
from rax_scheduled_images_ext.model.slots import Slot
from rax_scheduled_images_ext.model.volume_snapshots import LONGEST_IMAGE_NAME

_ONCE = RetryPolicy(tries=1)
# Nova fails with this name of an exception of its Glance client if the image service
# refuses another image of the project; nothing else has been done then.
_OVER_LIMIT = "HTTPOverLimit"
_RESULTS = {
    Refusal.BUSY: Result.BUSY,
    Refusal.LIMIT: Result.LIMITED,
    Refusal.QUOTA: Result.QUOTA,
    Refusal.REFUSED: Result.FAILED,
    Refusal.USED_UP: Result.GIVEN_UP,
}


class _QuotaExceeded(Exception):
    """The project may have no more images; nothing was started."""


def image_service(cloud: Cloud) -> GlanceImages:
    """Return the images of a cloud's image service.

    :raises UsageError: if its catalog has none.
    """
    images = cloud.images
    if not isinstance(images, GlanceImages):
        raise UsageError(
            "the catalog has no image service"
            f"{f' in region {cloud.region}' if cloud.region else ''};"
            " the service needs Glance"
        )
    return images


@dataclass(frozen=True)
class Making:
    """Makes the image of one step, if there is a place for it.

    :param key: as for :class:`.Claims`.
    """

    cloud: Cloud
    step: Step
    policy: Policy
    key: str
    limits: Limits
    time: LookTime
    admission: Admission

    def make(self) -> StepResult:
        """Make the image.

        :raises ApiError: if it was refused and nothing was started.
        """
        project_id = str(self.step.server.project_id)
        if not self.admission.enter(project_id):
            return self._result(Result.LIMITED)
        started = False
        try:
            done = self._make_admitted(project_id)
            started = done.result in (Result.STARTED, Result.UNKNOWN)
        finally:
            if not started:
                self.admission.leave(project_id)
        return done

    def find_failure(self) -> StepResult:
        """Determine whether attempts failed, of a slot that ended before all were used.

        If a server has no image, either none was due or attempts failed.
        """
        if self._claims.were_used(self.step.server.id, self._slot):
            reason = "there is no image, and its time is over"
            return self._refused(None, Refusal.USED_UP, reason)
        return self._result(Result.NOTHING)

    def _make_admitted(self, project_id: str) -> StepResult:
        note = self.step.note
        claims, started = self._claims, self.time.now
        try:
            claim = self._claim()
        except ApiError as error:
            if not _is_quota(error):
                raise
            # Without a claim there is nothing to record.
            return self._result(Result.QUOTA, reason=str(error))
        if claim is NoClaim.LOST:
            return self._result(Result.LEFT)
        if not isinstance(claim, Claim):
            reason = (
                f"there is no image, and all {self.policy.attempts} attempts have been"
                " used"
            )
            return self._refused(None, Refusal.USED_UP, reason)
        keep = False
        try:
            room = self.admission.confirm(
                project_id, claim.image_ids, lambda: self.time.now
            )
            if room is Room.NONE:
                return self._refused(claim, Refusal.LIMIT, "limit reached")
            if self.time.now - started > CLAIM_VALIDITY:
                reason = "the claim took more than two minutes, so it expired"
                return self._refused(claim, Refusal.REFUSED, reason)
            # Neither must take the last place of an image quota.
            if note is not None:
                self._notes.remove(note)
            if room is Room.FREE:
                claim = claims.release(claim)
            done = self._create(claim)
            # It may have started: until that is clear, the claim holds its place.
            keep = done.result is Result.UNKNOWN and done.image_id is None
            return done
        finally:
            if not keep:
                claims.release(claim)

    def _claim(self) -> Claim | NoClaim:
        """Claim the attempt; in a full quota our note gives up its place."""
        claims = self._claims
        server_id, slot, note = self.step.server.id, self._slot, self.step.note
        looked = self.time.looked
        try:
            return claims.take(server_id, slot, looked, self.time.now, note)
        except ApiError as error:
            if note is None or not _is_quota(error):
                raise
        self._notes.remove(note)
        return claims.take(server_id, slot, looked, self.time.now, note)

    def _create(self, claim: Claim) -> StepResult:
        """Request the image of a claimed slot."""
        server = self.step.server
        assert server.schedule is not None
        weekly = server.schedule.day_of_week is not None
        name = scheduled_image_name(
            server.name,
            weekly=weekly,
            now=self.time.now.timestamp(),
            longest=LONGEST_IMAGE_NAME,
        )
        nonce = f"{claim.number}-{uuid.uuid4().hex}"
        metadata = run_metadata(server.id, self._slot.name, nonce)
        try:
            request = self._request(name, metadata)
        except _QuotaExceeded as error:
            if not claim.image_ids:
                return self._refused(claim, Refusal.QUOTA, str(error))
            # The claim itself may have taken the last place.
            return self._create(self._claims.release(claim))
        except NoSuchServer:
            raise
        except ApiError as error:
            return self._failed(claim, error, metadata)
        if request.problem is None:
            return self._result(Result.STARTED, request.image_id, request.request_id)
        return self._unclear(request, metadata)

    def _request(self, name: str, metadata: dict[str, str]) -> SnapshotRequest:
        """Request the image, only once.

        :raises _QuotaExceeded: if the project may have no more; nothing was started.
        """
        # At once and only once: after waiting, the claim may have expired.
        snapshots = Snapshots(replace(self.cloud.compute, throttle=None))
        try:
            request = snapshots.create_image(self.step.server.id, name, metadata, _ONCE)
        except ApiError as error:
            if _is_quota(error):
                raise _QuotaExceeded(str(error)) from error
            raise
        if request.problem is not None and _OVER_LIMIT in request.problem:
            raise _QuotaExceeded(request.problem)
        return request

    def _failed(
        self, claim: Claim, error: ApiError, metadata: dict[str, str]
    ) -> StepResult:
        """Interpret an error: nothing was started, unless the service itself failed."""
        self.limits.slow_down(self.cloud, error)
        if error.status >= 500:
            request = SnapshotRequest(None, error.request_id, str(error))
            return self._unclear(request, metadata)
        kind = Refusal.REFUSED
        if error.status in (codes.conflict, codes.too_many_requests):
            kind = Refusal.BUSY
        return self._refused(claim, kind, str(error))

    def _unclear(
        self, request: SnapshotRequest, metadata: dict[str, str]
    ) -> StepResult:
        """Return the result if the image may have been started despite an error."""
        image_id = None
        with suppress(*PASSING):
            image_id = self._image_of(metadata[RUN_KEY])
        return self._result(
            Result.UNKNOWN, image_id, request.request_id, request.problem
        )

    def _image_of(self, run_id: str) -> str | None:
        images = self.cloud.images.list(server_id=self.step.server.id, scheduled=True)
        found = (i.id for i in images if i.metadata.get(RUN_KEY) == run_id)
        return next(found, None)

    def _refused(self, claim: Claim | None, kind: Refusal, reason: str) -> StepResult:
        """Record a refusal and return it; without a claim no attempt can continue."""
        before = self.step.note
        if claim is not None:
            # A full quota has one place for either the claim or the note.
            self._claims.release(claim)
        note = new_note(
            before,
            self._slot.name,
            kind,
            claim.number if claim else 0,
            claim.used if claim else frozenset(),
            claim.turn if claim else 0,
            self.time.now,
            reason,
        )
        self._notes.leave(self.step.server.id, note)
        if before is not None:
            self._notes.remove(before)
        result = self._result(_RESULTS[kind], reason=reason)
        return replace(result, step=replace(self.step, note=note))

    @cached_property
    def _claims(self) -> Claims:
        policy = self.policy.fitted(self.step.server.schedule)
        return Claims(image_service(self.cloud), policy, self.key)

    @property
    def _notes(self) -> Notes:
        return Notes(image_service(self.cloud))

    @property
    def _slot(self) -> Slot:
        assert self.step.slot is not None
        return self.step.slot

    def _result(
        self,
        result: Result,
        image_id: str | None = None,
        request_id: str | None = None,
        reason: str | None = None,
    ) -> StepResult:
        return StepResult(self.step, result, image_id, request_id, reason)


def _is_quota(error: ApiError) -> bool:
    """Whether a refusal means that the project may have no more of something."""
    is_quota = error.status == codes.forbidden and "quota" in str(error).lower()
    return is_quota or error.status == codes.request_entity_too_large
