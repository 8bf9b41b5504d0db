"""Making the image of a slot: it is claimed, then requested once."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import ApiError, NoSuchServer, UsageError
from rax_scheduled_images_ext.client.http import RetryPolicy
from rax_scheduled_images_ext.client.images.base import ImageStore
from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.snapshots import SnapshotRequest, Snapshots
from rax_scheduled_images_ext.engine.claims import (
    CLAIM_VALIDITY,
    Claim,
    Claims,
    NoClaim,
)
from rax_scheduled_images_ext.engine.limits import Admission, Limits, being_made
from rax_scheduled_images_ext.engine.look import LookTime
from rax_scheduled_images_ext.engine.places import Places
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.engine.tries import Tries
from rax_scheduled_images_ext.model.image import (
    RUN_KEY,
    ServerImage,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.plan import Policy, Step, is_of_slot
from rax_scheduled_images_ext.model.volume_snapshots import LONGEST_IMAGE_NAME

_ONCE = RetryPolicy(tries=1)


@dataclass
class Making:
    """Makes the images that are due at one look.

    :param key: as for :class:`.Claims`.
    :param listing: the images of all projects that the limits are for.
    """

    policy: Policy
    key: str
    limits: Limits
    listing: ImageStore
    tries: Tries
    time: LookTime
    admission: Admission | Places

    # The images that are being made, once they have been read for all steps.
    _images: list[ServerImage] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._read_at = self.time.looked

    def make(self, cloud: Cloud, step: Step) -> StepResult:
        """Make the image of a step, unless there is one or no place for it."""
        if self.tries.is_used(step):
            return StepResult(step, Result.LEFT)
        project_id = str(step.server.project_id)
        if not self.admission.enter(project_id):
            return StepResult(step, Result.LIMITED)
        begun = False
        try:
            done = self._make_admitted(cloud, step, project_id)
            begun = done.result in (Result.BEGUN, Result.UNKNOWN)
        finally:
            if not begun:
                self.admission.leave(project_id)
        if done.result in (Result.QUOTA, Result.GIVEN_UP):
            self.tries.use_all(step)
        elif done.result not in (Result.LIMITED, Result.BUSY):
            self.tries.use(step)
        return done

    def _make_admitted(self, cloud: Cloud, step: Step, project_id: str) -> StepResult:
        server, slot = step.server, step.slot
        assert slot is not None
        began = self.time.now
        making = self._being_made(project_id)
        if any(is_of_slot(image, server, slot) for image in making):
            return StepResult(step, Result.LEFT)
        if self.admission.is_crowded(project_id, making):
            return StepResult(step, Result.LIMITED)
        images = cloud.images
        if not isinstance(images, GlanceImages):
            raise UsageError("the catalog lists no image service, which claims take")
        claims = Claims(images, self.policy, self.key)
        held = self.tries.take(step)
        try:
            claim = claims.take(server.id, slot, self.time.looked, self.time.now, held)
        except ApiError as error:
            if not _is_quota(error):
                raise
            return StepResult(step, Result.QUOTA, reason=str(error))
        if claim is NoClaim.LOST:
            return StepResult(step, Result.LEFT)
        if not isinstance(claim, Claim):
            tries = f"all {self.policy.tries} tries have failed"
            return StepResult(step, Result.GIVEN_UP, reason=tries)
        if self.time.now - began > CLAIM_VALIDITY * self.policy.stretch:
            reason = "the claim came too late: it took more than two minutes"
            return StepResult(step, Result.FAILED, reason=reason)
        return self._create(cloud, step, claims, claim)

    def _being_made(self, project_id: str) -> list[ServerImage]:
        """Return the images that are being made, as far as the look does not tell."""
        if self.admission.may_be_crowded(project_id):
            return being_made(self.listing)
        with self._lock:
            if not self.time.is_fresh(self._read_at):
                self._images = being_made(self.listing)
                self._read_at = self.time.now
            return self._images

    def _create(
        self, cloud: Cloud, step: Step, claims: Claims, claim: Claim
    ) -> StepResult:
        """Request the image of a slot that has been claimed."""
        server, slot = step.server, step.slot
        assert slot is not None
        assert server.schedule is not None
        weekly = server.schedule.day_of_week is not None
        name = scheduled_image_name(
            server.name,
            weekly=weekly,
            now=self.time.now.timestamp(),
            longest=LONGEST_IMAGE_NAME,
        )
        nonce = f"{claim.number}-{uuid.uuid4().hex}"
        metadata = run_metadata(server.id, slot.name, nonce)
        # At once and only once: whoever waits may come when the claim is not good.
        snapshots = Snapshots(replace(cloud.compute, throttle=None))
        try:
            request = snapshots.create_image(server.id, name, metadata, _ONCE)
        except ApiError as error:
            if isinstance(error, NoSuchServer):
                raise
            self.limits.heed(cloud, error)
            if error.status < 500:
                return self._refused(step, error, claims, claim)
            request = SnapshotRequest(None, error.request_id, str(error))
        if request.problem is None:
            return StepResult(step, Result.BEGUN, request.image_id, request.request_id)
        # It may have been begun all the same: what there is of it shows.
        image_id = _image_of(cloud, step, metadata[RUN_KEY])
        return StepResult(
            step, Result.UNKNOWN, image_id, request.request_id, request.problem
        )

    def _refused(
        self, step: Step, error: ApiError, claims: Claims, claim: Claim
    ) -> StepResult:
        """Return what a refusal means: nothing has been begun."""
        assert step.slot is not None
        if error.status in (codes.conflict, codes.too_many_requests):
            # The try is still this runner's.
            self.tries.hold(step, claim)
            return StepResult(step, Result.BUSY, reason=str(error))
        if _is_quota(error):
            with suppress(ApiError):
                claims.close(step.server.id, step.slot)
            return StepResult(step, Result.QUOTA, reason=str(error))
        return StepResult(step, Result.FAILED, reason=str(error))


def _image_of(cloud: Cloud, step: Step, run_id: str) -> str | None:
    """Return the image that a request has left, None if there is none so far."""
    for image in cloud.images.list(server_id=step.server.id, scheduled=True):
        if image.metadata.get(RUN_KEY) == run_id:
            return image.id
    return None


def _is_quota(error: ApiError) -> bool:
    """Whether a refusal means that the project may have no more of something."""
    told = error.status == codes.forbidden and "quota" in str(error).lower()
    return told or error.status == codes.request_entity_too_large
