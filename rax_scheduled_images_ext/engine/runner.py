"""Scans everything, and does the next step of whatever is due.

A runner keeps no state that matters: any number may run side by side, and one that dies
is replaced by starting another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.engine.limits import Admission, Limits
from rax_scheduled_images_ext.engine.look import Look, look
from rax_scheduled_images_ext.engine.making import Making
from rax_scheduled_images_ext.engine.policies import Covering, PolicyWork
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.engine.results import Result, StepResult, Tick
from rax_scheduled_images_ext.engine.settling import Settling
from rax_scheduled_images_ext.engine.space import read_spaces
from rax_scheduled_images_ext.engine.sweep import (
    Leftover,
    delete_left_behind,
    is_left_behind,
    sweep_volumes,
)
from rax_scheduled_images_ext.errors import (
    ApiError,
    NoSuchImage,
    NoSuchServer,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.note import Note
from rax_scheduled_images_ext.model.plan import (
    Action,
    Cause,
    Policy,
    Step,
    duplicates,
    is_abandoned,
    is_over,
    own_images,
    plan,
)
from rax_scheduled_images_ext.model.slots import Window
from rax_scheduled_images_ext.operations.delete import NamingImages, delete_image
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.operations.work_queue import Outcome, attempted, run
from rax_scheduled_images_ext.operations.work_queue import Report as RunReport

Report = Callable[[StepResult], object]


def _ignore(image: PrunedImage) -> None:
    """Ignore a deletion."""


@dataclass
class Runner:
    """Does what is due for the servers of projects.

    :param key: as for :class:`.Claims`.
    """

    projects: Projects
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    key: str = ""
    clock: Clock = field(default_factory=Clock)
    #: Called to find out whether to start no more steps and delete nothing more.
    stopping: Callable[[], bool] = lambda: False
    #: Called with each image that the retention deleted, or could not delete.
    deleted: Callable[[PrunedImage], object] = _ignore
    finder: Finder | None = None
    policies: PolicyWork | None = None
    #: Whether images also carry the metadata and the description of their server.
    private: bool = False

    def tick(self, report: Report | None = None) -> Tick:
        """Scan everything, and do the next step of whatever is due.

        :param report: called with each result as it comes.
        :raises NotOffered: if the cloud has no server tags.
        """
        finder = self.finder or Finder(self.projects, self.policy, clock=self.clock)
        scan = self.policies and self.policies.begin(finder, self.limits, self.stopping)
        page = finder.find()
        coverage = scan.end() if scan else None
        now = self.clock.time(page.now)
        results: list[StepResult] = []

        def add(outcome: Outcome[Step, StepResult]) -> None:
            done = _result_of(outcome)
            finder.remember(outcome.item, done, now)
            results.append(done)
            if report is not None:
                report(done)

        due: list[Step] = []
        for step in _in_order(page.steps):
            known = finder.recall(step, now)
            if known is not None:
                add(Outcome(step, known))
            elif step.action is Action.NOTHING:
                add(Outcome(step, StepResult(step, Result.NOTHING)))
            else:
                due.append(step)
        make = (step for step in due if step.action is Action.MAKE)
        admission = Admission(
            self.limits,
            self.projects.listing.images,
            page.under_way,
            (str(step.server.project_id) for step in make),
            {(server.id, server.project_id) for server in finder.servers},
        )
        naming = NamingImages(self.projects.listing.images)
        work = _Work(self, admission, naming)

        def do(hint: Step) -> StepResult:
            hidden = page.open.hidden.get(hint.server.id, ())
            done = work.do(hint, hidden)
            if done is None:
                finder.forget(hint.server.id)
                return StepResult(hint, Result.NOTHING, reason="the server is gone")
            finder.note_server(done.step.server)
            return done

        run(due, do, RunReport(add), workers=self.limits.requests)
        swept = self.sweep(page.open.empty, page.now)
        left, problem = self.sweep_volume_snapshots(page.now, naming)
        newest = finder.known.newest(finder.servers)
        return Tick(
            now,
            results,
            finder.servers,
            page.under_way,
            newest,
            swept,
            left,
            problem,
            read_spaces(self.projects, page) if page.is_survey else None,
            coverage,
        )

    def step(
        self,
        server_id: str,
        project_id: str,
        note: Note | None = None,
        *,
        hidden: bool = False,
    ) -> StepResult:
        """Read one server of a project, and do its next step.

        The limits apply across all processes that use this.

        :param note: the note for the server.
        :param hidden: its hidden images: their slots count as made.
        :raises NoSuchServer: if the server is gone.
        :raises UsageError: if the cloud has no image service.
        """
        listing = self.projects.listing.images
        admission = Admission(self.limits, listing)
        work = _Work(self, admission, NamingImages(listing))
        cloud = self.projects.of(project_id)
        more = cloud.images.list(server_id=server_id, hidden=True) if hidden else ()
        found = look(cloud, server_id, self.clock, more)
        step = work.planned(found, note)
        return _result_of(attempted(step, lambda s: work.act(found, s)))

    def sweep(
        self, images: Iterable[ServerImage], now: datetime
    ) -> list[Outcome[ServerImage, bool]]:
        """Delete the images left behind that will never get any data.

        :returns: these images, each with whether it was deleted.
        """
        left = [image for image in images if is_left_behind(image, now)]
        return run(left, self._sweep, workers=self.limits.requests)

    def _sweep(self, image: ServerImage) -> bool:
        if self.stopping():
            return False
        return delete_left_behind(self.projects.of(str(image.owner)), image)

    def sweep_volume_snapshots(
        self, now: datetime, naming: NamingImages
    ) -> tuple[list[Leftover], str | None]:
        """Delete volume snapshots that should have gone with their images.

        :returns: the result for each, and why they could not be listed.
        """
        if self.stopping():
            return [], None
        try:
            return sweep_volumes(self.projects, now, naming), None
        except PASSING as error:
            return [], str(error)


def planned(
    projects: Projects,
    policy: Policy,
    clock: Clock,
    limits: Limits,
    covering: Covering | None = None,
) -> tuple[list[Step], int]:
    """Return what a tick would do for each server now, longest overdue first.

    :param covering: notes what policies would change.
    :returns: the steps, and for how many images the limits leave no room now.
    :raises NotOffered: if the cloud has no server tags.
    """
    finder = Finder(projects, policy, clock=clock)
    if covering is not None:
        covering.find_uncovered()
        finder.seen = covering.see
    page = finder.find()

    def planned_now(hint: Step) -> Step:
        if hint.action is Action.NOTHING:
            return hint
        server = hint.server
        hidden = page.open.hidden.get(server.id, ())
        cloud = projects.of(str(server.project_id))
        found = look(cloud, server.id, clock, hidden)
        return _planned(found, hint.note, policy)

    outcomes = run(_in_order(page.steps), planned_now, workers=limits.requests)
    steps = [
        each.result()
        for each in outcomes
        # The server has just been deleted.
        if not isinstance(each.error, NoSuchServer)
    ]
    taken, waiting = page.under_way.copy(), 0
    for step in steps:
        if step.action is Action.MAKE:
            project_id = str(step.server.project_id)
            if limits.free(taken, project_id) > 0:
                taken[project_id] += 1
            else:
                waiting += 1
    return steps, waiting


def _result_of(outcome: Outcome[Step, StepResult]) -> StepResult:
    return outcome.value or StepResult(
        outcome.item, Result.FAILED, reason=str(outcome.error)
    )


def _in_order(steps: Iterable[Step]) -> list[Step]:
    """Sort by when the images were due, earliest first."""
    return sorted(
        steps, key=lambda step: (str(step.slot and step.slot.due), step.server.id)
    )


def _planned(found: Look, note: Note | None, policy: Policy) -> Step:
    """Decide by the server and its images as just read."""
    notes = [note] if note is not None else []
    looked = found.time.looked
    return plan(found.server, found.images, looked, policy, notes=notes)


@dataclass(frozen=True)
class _Work:
    """Does steps, each after reading its server."""

    runner: Runner
    admission: Admission
    naming: NamingImages

    def do(self, hint: Step, hidden: Sequence[ServerImage]) -> StepResult | None:
        """Read a server, and do its next step; None if the server is gone."""
        if self.runner.stopping():
            return StepResult(hint, Result.LEFT)
        project_id = str(hint.server.project_id)
        if hint.action is Action.MAKE and not self.admission.has_room(project_id):
            return StepResult(hint, Result.LIMITED)
        cloud = self.runner.projects.of(project_id)
        try:
            found = look(cloud, hint.server.id, self.runner.clock, hidden)
            return self.act(found, self.planned(found, hint.note))
        except NoSuchServer:
            # The server has just been deleted; its images stay, as do all schedules.
            return None
        except ApiError as error:
            self.runner.limits.slow_down(cloud, error)
            raise

    def planned(self, found: Look, note: Note | None) -> Step:
        """Decide by the server and its images as just read."""
        return _planned(found, note, self.runner.policy)

    def act(self, found: Look, step: Step) -> StepResult:
        """Do a step.

        :raises NoSuchServer: if the server is gone.
        """
        if self.runner.stopping():
            return StepResult(step, Result.LEFT)
        runner = self.runner
        making = Making(
            found.cloud,
            step,
            runner.policy,
            runner.key,
            runner.limits,
            found.time,
            self.admission,
        )
        settling = Settling(
            found, self.naming, runner.stopping, runner.deleted, runner.private
        )
        if step.action is Action.NOTHING:
            policy = runner.policy.fitted(step.server.schedule)
            over = is_over(step, found.time.looked, policy)
            if over and policy.ends_before_attempts:
                return making.find_failure()
            return StepResult(step, Result.NOTHING)
        if step.action is Action.MAKE:
            done = making.make()
            if done.result is Result.QUOTA and step.unsettled:
                # The images that these replace may occupy the missing place.
                return replace(done, pruned=settling.settle(step).pruned)
            return done
        if step.action is Action.DISCARD:
            return self._discard(found, step)
        return settling.settle(step)

    def _discard(self, found: Look, step: Step) -> StepResult:
        """Delete an image that no slot needs, if that is still so."""
        assert step.image is not None
        with suppress(NoSuchImage):
            if _is_discardable(found, step, step.image, self.runner.policy.window):
                image = found.cloud.images.get(step.image)
                delete_image(found.cloud, image, self.naming)
                duplicate = step.cause is Cause.DUPLICATE
                result = Result.DEDUPLICATED if duplicate else Result.DISCARDED
                return StepResult(step, result, step.image.id)
        return StepResult(step, Result.NOTHING, step.image.id)


def _is_discardable(
    found: Look, step: Step, image: ServerImage, window: Window
) -> bool:
    cloud, server = found.cloud, step.server
    if step.cause is Cause.DUPLICATE:
        images = own_images(server, cloud.images.list(server_id=server.id))
        return image.id in (each.id for each in duplicates(server, images, window))
    state = Snapshots(cloud.compute).server(server.id)
    # By the cloud's own time, as is the image's creation time.
    return state.task_state is None and is_abandoned(
        cloud.images.get(image), server, found.now
    )
