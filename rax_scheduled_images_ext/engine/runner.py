"""One look at everything, and the next step of whatever is due.

A runner remembers nothing that matters: any number may run side by side, and one that
dies is replaced by starting another.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from requests import codes

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import (
    ApiError,
    NoSuchImage,
    NoSuchServer,
    UsageError,
)
from rax_scheduled_images_ext.client.http import RetryPolicy
from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import find_server
from rax_scheduled_images_ext.client.snapshots import SnapshotRequest, Snapshots
from rax_scheduled_images_ext.engine.claims import (
    CLAIM_VALIDITY,
    Claim,
    Claims,
    NoClaim,
)
from rax_scheduled_images_ext.engine.limits import Admission, Limits
from rax_scheduled_images_ext.engine.look import Look, look, look_at, plan_all
from rax_scheduled_images_ext.engine.places import Places
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.engine.results import Result, StepResult, Tick
from rax_scheduled_images_ext.engine.retention import apply_retention
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    RUN_KEY,
    ServerImage,
    made_by_run,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.plan import (
    ABANDONED_AFTER,
    Action,
    Cause,
    Policy,
    Step,
    duplicates,
    is_abandoned,
    is_of_slot,
)
from rax_scheduled_images_ext.model.volume_snapshots import LONGEST_IMAGE_NAME
from rax_scheduled_images_ext.operations.volume_snapshots import delete_with_snapshots
from rax_scheduled_images_ext.operations.work_queue import Outcome, attempted, run

_ONCE = RetryPolicy(tries=1)
#: For how long what was looked at need not be read again.
FRESH = timedelta(seconds=5)
#: Seconds that all requests wait at most, whatever time the cloud names.
_LONGEST_PAUSE = 600.0
# How many tries are remembered of single steps.
_REMEMBERED = 10_000
#: How old an image that never got any data is when it is swept.
_ORPHAN_AGE = timedelta(days=1)


@dataclass
class Runner:
    """Does what is due for the servers of some projects.

    :param key: as for :class:`.Claims`.
    :param clock: seconds that never go back, to see how long something takes.
    :param speed: how many times faster time passes while ``tick`` is at work, for
        rehearsals.
    """

    projects: Projects
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    key: str = ""
    clock: Callable[[], float] = time.monotonic
    speed: float = 1.0
    #: Whether no more steps are to be begun.
    stopping: Callable[[], bool] = lambda: False
    # What saves requests: tries that this runner has claimed while the server was busy,
    # and those of which it knows that they are used.
    _held: dict[Try, Claim] = field(default_factory=dict)
    _used: set[Try] = field(default_factory=set)

    def tick(
        self,
        at: datetime | None = None,
        report: Callable[[StepResult], object] | None = None,
    ) -> Tick:
        """Look at everything, and do the next step of whatever is due.

        :param at: the time to decide by, None for the cloud's own.
        :param report: is called with each result as it comes.
        :raises NotOffered: if the cloud knows no server tags.
        """
        started = self.clock()
        found = look(self.projects.listing, all_projects=self.projects.all_projects)
        steps = plan_all(found, self.policy, at)
        due = (
            str(step.server.project_id) for step in steps if step.action is Action.MAKE
        )
        admission = Admission(self.limits, found.snapshots, due)
        now = at or found.now
        work = _Work(self, found, now, started, admission, _Recent(now))
        results: list[StepResult] = []

        def add(outcome: Outcome[Step, StepResult]) -> None:
            done = _result_of(outcome)
            results.append(done)
            if report is not None:
                report(done)

        idle = [step for step in steps if step.action is Action.NOTHING]
        for step in idle:
            add(Outcome(step, StepResult(step, Result.NOTHING)))
        busy = [step for step in steps if step.action is not Action.NOTHING]
        tries = {_try_of(step) for step in busy}
        self._held = {key: self._held[key] for key in tries & set(self._held)}
        self._used &= tries | {_all_tries_of(step) for step in busy}
        run(busy, work.do, add, workers=self.limits.requests)
        swept = self.sweep(found.snapshots, found.now)
        return Tick(now, found, results, swept)

    def step(
        self, server_id: str, project_id: str, at: datetime | None = None
    ) -> StepResult:
        """Look at one server of a project, and do its next step.

        The limits hold for all processes that use this.

        :param at: the time to decide by, None for the cloud's own.
        :raises NoSuchServer: if the server is gone.
        :raises UsageError: if the cloud has no image service.
        """
        cloud, started = self.projects.of(project_id), self.clock()
        found = look_at(cloud, server_id)
        images = cloud.images
        if not isinstance(images, GlanceImages):
            raise UsageError("the catalog lists no image service, which claims take")
        (step,) = plan_all(found, self.policy, at)
        if step.action is Action.NOTHING:
            return StepResult(step, Result.NOTHING)
        if len(self._used) + len(self._held) > _REMEMBERED:
            self._used.clear()
            self._held.clear()
        listing = self.projects.listing.images
        with Places(self.limits, images, listing, server_id, found.now) as places:
            now = at or found.now
            work = _Work(self, found, now, started, places, _Recent(now))
            done = _result_of(attempted(step, work.do))
            if done.result is Result.UNKNOWN:
                places.keep()
        return done

    def sweep(
        self, images: Iterable[ServerImage], now: datetime
    ) -> list[Outcome[ServerImage, bool]]:
        """Delete the images that were left behind and will never get any data.

        :returns: these images, each with whether it was deleted.
        """
        left = [image for image in images if _is_left_behind(image, now)]
        return run(left, self._sweep, workers=self.limits.requests)

    def _sweep(self, image: ServerImage) -> bool:
        """Delete an image that was left behind, unless it has got data since."""
        if self.stopping():
            return False
        cloud = self.projects.of(str(image.owner))
        try:
            image = cloud.images.get(image)
            if image.is_queued:
                delete_with_snapshots(cloud.images, lambda: cloud.volumes, image)
                return True
        except NoSuchImage:
            pass
        return False


def _is_left_behind(image: ServerImage, now: datetime) -> bool:
    """Whether a runner has made the image, and it will never get any data."""
    if not image.is_queued or image.created is None or image.owner is None:
        return False
    age = now - image.created
    if CLAIM_KEY in image.metadata:
        return age > ABANDONED_AFTER
    return made_by_run(image, str(image.server_id)) and age > _ORPHAN_AGE


def _result_of(outcome: Outcome[Step, StepResult]) -> StepResult:
    return outcome.value or StepResult(
        outcome.item, Result.FAILED, reason=str(outcome.error)
    )


#: A server's ID, a slot, and the number of the interval since that was due; None for
#: all of them.
Try = tuple[str, str, int | None]


def _try_of(step: Step) -> Try:
    return (step.server.id, step.slot.name if step.slot else "", step.attempt)


def _all_tries_of(step: Step) -> Try:
    return (step.server.id, step.slot.name if step.slot else "", None)


@dataclass
class _Recent:
    """The images that were being made when that was ``read``, for all steps."""

    read: datetime
    images: list[ServerImage] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class _Work:
    """The steps of one look, at ``time``: the runner's clock showed ``started``."""

    runner: Runner
    found: Look
    time: datetime
    started: float
    admission: Admission | Places
    recent: _Recent

    @property
    def now(self) -> datetime:
        """The present time."""
        passed = (self.runner.clock() - self.started) * self.runner.speed
        return self.time + timedelta(seconds=passed)

    @property
    def _is_fresh(self) -> bool:
        """Whether the look was a moment ago: then nothing is read again."""
        return self.now - self.time <= FRESH

    def do(self, step: Step) -> StepResult:
        """Do one step."""
        if self.runner.stopping():
            return StepResult(step, Result.LEFT)
        cloud = self._cloud(step.server.project_id)
        try:
            if step.action is Action.MAKE:
                return self._make(cloud, step)
            if step.action is Action.DISCARD:
                return self._discard(cloud, step)
            return self._retain(cloud, step)
        except NoSuchServer as error:
            # It was deleted a moment ago; its images stay, and so do all schedules.
            return StepResult(step, Result.NOTHING, reason=str(error))
        except ApiError as error:
            self._heed(cloud, error)
            raise

    def _heed(self, cloud: Cloud, error: ApiError) -> None:
        """Let all requests wait if the cloud is busy."""
        busy = error.status in (codes.too_many_requests, codes.service_unavailable)
        if busy and cloud.throttle is not None:
            named = (error.retry_after or "").strip()
            seconds = float(named) if named.isdecimal() else self.runner.limits.pause
            cloud.throttle.slow_down(min(seconds, _LONGEST_PAUSE))

    def _cloud(self, project_id: str | None) -> Cloud:
        return self.runner.projects.of(str(project_id))

    # -- making

    def _make(self, cloud: Cloud, step: Step) -> StepResult:
        if {_try_of(step), _all_tries_of(step)} & self.runner._used:
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
            self.runner._used.add(_all_tries_of(step))
        elif done.result not in (Result.LIMITED, Result.BUSY):
            self.runner._used.add(_try_of(step))
        return done

    def _make_admitted(self, cloud: Cloud, step: Step, project_id: str) -> StepResult:
        server, slot = step.server, step.slot
        assert slot is not None
        began = self.now
        making = self._making(project_id)
        if any(is_of_slot(image, server, slot) for image in making):
            return StepResult(step, Result.LEFT)
        if self.admission.is_crowded(project_id, making):
            return StepResult(step, Result.LIMITED)
        images = cloud.images
        if not isinstance(images, GlanceImages):
            raise UsageError("the catalog lists no image service, which claims take")
        claims = Claims(images, self.runner.policy, self.runner.key)
        held = self.runner._held.pop(_try_of(step), None)
        try:
            claim = claims.take(server.id, slot, self.time, self.now, held)
        except ApiError as error:
            if not _is_quota(error):
                raise
            return StepResult(step, Result.QUOTA, reason=str(error))
        if claim is NoClaim.LOST:
            return StepResult(step, Result.LEFT)
        if not isinstance(claim, Claim):
            tries = f"all {self.runner.policy.tries} tries have failed"
            return StepResult(step, Result.GIVEN_UP, reason=tries)
        if self.now - began > CLAIM_VALIDITY * self.runner.policy.stretch:
            reason = "the claim came too late: it took more than two minutes"
            return StepResult(step, Result.FAILED, reason=reason)
        return self._create(cloud, step, claims, claim)

    def _making(self, project_id: str) -> list[ServerImage]:
        """Return the images that are being made, as far as the look does not tell."""
        # Where the limits hold: for all projects, that is more than this one.
        listing = self.runner.projects.listing.images
        if self.admission.may_be_crowded(project_id):
            return list(listing.list(scheduled=True, making=True))
        with self.recent.lock:
            if self.now - self.recent.read > FRESH:
                self.recent.images = list(listing.list(scheduled=True, making=True))
                self.recent.read = self.now
            return self.recent.images

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
            now=self.now.timestamp(),
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
            self._heed(cloud, error)
            if error.status < 500:
                return self._refused(step, error, claims, claim)
            request = SnapshotRequest(None, error.request_id, str(error))
        if request.problem is None:
            return StepResult(step, Result.BEGUN, request.image_id, request.request_id)
        # It may have been begun all the same: what there is of it shows.
        image_id = self._image_of(cloud, step, metadata[RUN_KEY])
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
            self.runner._held[_try_of(step)] = claim
            return StepResult(step, Result.BUSY, reason=str(error))
        if _is_quota(error):
            with suppress(ApiError):
                claims.close(step.server.id, step.slot)
            return StepResult(step, Result.QUOTA, reason=str(error))
        return StepResult(step, Result.FAILED, reason=str(error))

    def _image_of(self, cloud: Cloud, step: Step, run_id: str) -> str | None:
        """Return the image that a request has left, None if there is none so far."""
        for image in cloud.images.list(server_id=step.server.id, scheduled=True):
            if image.metadata.get(RUN_KEY) == run_id:
                return image.id
        return None

    # -- afterwards

    def _discard(self, cloud: Cloud, step: Step) -> StepResult:
        """Delete an image that no slot needs, if it still is one."""
        assert step.image is not None
        with suppress(NoSuchImage):
            if self._is_discardable(cloud, step, step.image):
                image = cloud.images.get(step.image)
                delete_with_snapshots(cloud.images, lambda: cloud.volumes, image)
                duplicate = step.cause is Cause.DUPLICATE
                result = Result.DEDUPLICATED if duplicate else Result.DISCARDED
                return StepResult(step, result, step.image.id)
        return StepResult(step, Result.NOTHING, step.image.id)

    def _is_discardable(self, cloud: Cloud, step: Step, image: ServerImage) -> bool:
        server = step.server
        if step.cause is Cause.DUPLICATE:
            images = cloud.images.list(server_id=server.id)
            return image.id in (each.id for each in duplicates(server, images))
        state = Snapshots(cloud.compute).server(server.id)
        # By the cloud's clock, whatever the time that is rehearsed.
        return state.task_state is None and is_abandoned(
            cloud.images.get(image), server, self.found.now
        )

    def _retain(self, cloud: Cloud, step: Step) -> StepResult:
        assert step.image is not None
        images = self.found.images[step.server.id]
        server = step.server
        if not self._is_fresh:
            answer = find_server(cloud.schedules.tags.compute, server.id)
            server = read_tagged_server(answer, answer.object("server"))
        pruned = apply_retention(cloud, server, images, step.image)
        why = "; ".join(each.reason for each in pruned if each.error is not None)
        return StepResult(
            step,
            Result.RETAINED,
            step.image.id,
            reason=why or None,
            pruned=tuple(pruned),
        )


def _is_quota(error: ApiError) -> bool:
    """Whether a refusal means that the project may have no more of something."""
    told = error.status == codes.forbidden and "quota" in str(error).lower()
    return told or error.status == codes.request_entity_too_large
