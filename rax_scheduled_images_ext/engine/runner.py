"""One look at everything, and the next step of whatever is due.

A runner remembers nothing that matters: any number may run side by side, and one that
dies is replaced by starting another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.errors import (
    ApiError,
    NoSuchImage,
    NoSuchServer,
    UsageError,
)
from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.schedules.tags import read_tagged_server
from rax_scheduled_images_ext.client.servers import find_server
from rax_scheduled_images_ext.client.snapshots import Snapshots
from rax_scheduled_images_ext.engine.limits import Admission, Limits
from rax_scheduled_images_ext.engine.look import (
    Look,
    LookTime,
    look,
    look_at,
    plan_all,
)
from rax_scheduled_images_ext.engine.making import Making
from rax_scheduled_images_ext.engine.places import Places
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.engine.results import Result, StepResult, Tick
from rax_scheduled_images_ext.engine.retention import apply_retention
from rax_scheduled_images_ext.engine.sweep import delete_left_behind, is_left_behind
from rax_scheduled_images_ext.engine.tries import Tries
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.plan import (
    Action,
    Cause,
    Policy,
    Step,
    duplicates,
    is_abandoned,
)
from rax_scheduled_images_ext.operations.volume_snapshots import delete_with_snapshots
from rax_scheduled_images_ext.operations.work_queue import Outcome, attempted, run


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
    _tries: Tries = field(default_factory=Tries)

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
        work = self._work(found, now, started, admission)
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
        self._tries.forget_others(busy)
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
        self._tries.forget_many()
        listing = self.projects.listing.images
        with Places(self.limits, images, listing, server_id, found.now) as places:
            work = self._work(found, at or found.now, started, places)
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
        left = [image for image in images if is_left_behind(image, now)]
        return run(left, self._sweep, workers=self.limits.requests)

    def _sweep(self, image: ServerImage) -> bool:
        if self.stopping():
            return False
        return delete_left_behind(self.projects.of(str(image.owner)), image)

    def _work(
        self,
        found: Look,
        looked: datetime,
        started: float,
        admission: Admission | Places,
    ) -> _Work:
        """Return what does the steps of a look.

        :param looked: the time to decide by.
        :param started: what the clock showed then.
        """
        time = LookTime(looked, started, self.clock, self.speed)
        listing = self.projects.listing.images
        making = Making(
            self.policy, self.key, self.limits, listing, self._tries, time, admission
        )
        return _Work(self, found, time, making)


def _result_of(outcome: Outcome[Step, StepResult]) -> StepResult:
    return outcome.value or StepResult(
        outcome.item, Result.FAILED, reason=str(outcome.error)
    )


@dataclass(frozen=True)
class _Work:
    """The steps of one look."""

    runner: Runner
    found: Look
    time: LookTime
    making: Making

    def do(self, step: Step) -> StepResult:
        """Do one step."""
        if self.runner.stopping():
            return StepResult(step, Result.LEFT)
        cloud = self.runner.projects.of(str(step.server.project_id))
        try:
            if step.action is Action.MAKE:
                return self.making.make(cloud, step)
            if step.action is Action.DISCARD:
                return self._discard(cloud, step)
            return self._retain(cloud, step)
        except NoSuchServer as error:
            # It was deleted a moment ago; its images stay, and so do all schedules.
            return StepResult(step, Result.NOTHING, reason=str(error))
        except ApiError as error:
            self.runner.limits.heed(cloud, error)
            raise

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
        if not self.time.is_fresh(self.time.looked):
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
