"""Settles ACTIVE images: each is proven complete, then counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from requests import codes

from rax_scheduled_images_ext.client.boot import networks_of
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.engine.look import Look
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.errors import (
    ApiError,
    ImageProtected,
    NoSuchImage,
    NoSuchServer,
    SnapshotsInDoubt,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.model.freshness import decide_on
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    PENDING_KEY,
    SLOT_KEY,
    ServerImage,
    own_metadata,
)
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.server import ServerFacts, facts_metadata
from rax_scheduled_images_ext.model.verify import (
    Verification,
    last_verification,
    verified_metadata,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    Proof,
    Wholeness,
)
from rax_scheduled_images_ext.operations.delete import NamingImages, delete_image
from rax_scheduled_images_ext.operations.proof import prove
from rax_scheduled_images_ext.operations.prune import PrunedImage, delete_decided


@dataclass
class Settling:
    """Settles the images of one server that are not yet known to be complete.

    A complete image replaces older ones: those beyond the retention are deleted, oldest
    first. Server and images are read again before each deletion, so that changes take
    effect, and without a valid schedule nothing is deleted. Only then is the image
    marked as complete, so that after a kill the next runner applies the retention.

    :param stopping: returns whether to delete nothing more.
    :param report: called with each deletion as it happens.
    :param private: whether images also carry metadata and description of the server.
    """

    found: Look
    naming: NamingImages
    stopping: Callable[[], bool]
    report: Callable[[PrunedImage], object]
    private: bool = False
    _pruned: list[PrunedImage] = field(default_factory=list)
    _proven: Verification | None = None

    def settle(self, step: Step) -> StepResult:
        """Settle the images of a step."""
        proofs = [
            (image, proof)
            for image in step.unsettled
            # An image that its owner keeps for good stays, even if it is broken.
            if (proof := prove(self.found.cloud, image)).is_whole or image.scheduled
        ]
        whole = [image for image, proof in proofs if proof.is_whole]
        result = StepResult(step, Result.NOTHING)
        for image, proof in proofs:
            result = StepResult(step, Result.UNPROVEN, image.id, reason=proof.reason)
            if proof.wholeness is Wholeness.BROKEN:
                try:
                    result = self._discard(step, image, proof)
                except PASSING:
                    # Reported by the next scan, when the others count.
                    if not whole:
                        raise
            if result.result is Result.BROKEN:
                return result
        # An image that stays does not hold up the others.
        if not whole:
            return result
        whole = _first_of_slots(whole)
        # Before the image that carries it may be deleted.
        found = self.found
        self._proven = last_verification(found.images, found.server.project_id)
        if self._apply_retention({image.id for image in whole}):
            facts = self._facts()
            for image in whole:
                self._note_whole(image, facts)
        errors = [each.reason for each in self._pruned if each.error is not None]
        return StepResult(
            step,
            Result.RETAINED,
            whole[-1].id,
            reason="; ".join(errors) or None,
            pruned=tuple(self._pruned),
        )

    def _discard(self, step: Step, image: ServerImage, proof: Proof) -> StepResult:
        """Delete an image that will never be complete: another attempt follows."""
        reason = proof.reason
        try:
            found = self.found.cloud.images.get(image)
            if found.protected:
                reason = f"{reason}; it stays: it is protected"
                return StepResult(step, Result.UNPROVEN, image.id, reason=reason)
            if PENDING_KEY not in found.metadata or not found.scheduled:
                return StepResult(step, Result.NOTHING, image.id)
            delete_image(self.found.cloud, found, self.naming)
        except NoSuchImage:
            pass
        except SnapshotsInDoubt as error:
            reason = f"{reason}; it stays: {error}"
            return StepResult(step, Result.UNPROVEN, image.id, reason=reason)
        except SnapshotsLeft as error:
            reason = f"{reason}; {error}"
        return StepResult(step, Result.BROKEN, image.id, reason=reason)

    def _apply_retention(self, proven: set[str]) -> bool:
        """Delete the images beyond the retention; return whether none is left."""
        fresh, done = self.found.time.is_fresh, set[str]()
        while True:
            decision = self._next(proven, done)
            if decision is None:
                break
            if self.stopping():
                return False
            if not fresh:
                # Raising a retention that was lowered by mistake saves the rest.
                try:
                    self.found = self.found.again()
                except NoSuchServer:
                    return False
                fresh = True
                continue
            done.add(decision.image.id)
            pruned = self._delete(decision)
            self._pruned.append(pruned)
            self.report(pruned)
            # For a protected image nothing is sent.
            fresh = bool(decision.image.protected)
        failed = (each.error for each in self._pruned if each.action == "failed")
        return not any(error and not _is_refusal(error) for error in failed)

    def _next(self, proven: set[str], done: set[str]) -> Decision | None:
        """Return the oldest image beyond the retention."""
        server = self.found.server
        if server.schedule is None:
            return None
        decisions = decide_on(
            server, self.found.images, server.schedule.keep, proven=proven
        )
        left = (d for d in reversed(decisions) if d.surplus and d.image.id not in done)
        return next(left, None)

    def _delete(self, decision: Decision) -> PrunedImage:
        """Delete an image; one that cannot be deleted does not hold up the others."""
        image, server_id = decision.image, self.found.server.id
        try:
            return delete_decided(self.found.cloud, decision, self.naming)
        except ImageProtected as error:
            return PrunedImage(server_id, image, "skipped", str(error))
        except PASSING as error:
            return PrunedImage(server_id, image, "failed", str(error), error)

    def _facts(self) -> ServerFacts:
        """Return what to record on images about the server and its networks."""
        facts = self.found.facts
        # Not every user may see the networks, and nothing may fail because of that.
        with suppress(*PASSING):
            compute = self.found.cloud.schedules.tags.compute
            facts = replace(facts, networks=networks_of(compute, facts.id))
        return facts

    def _note_whole(self, image: ServerImage, facts: ServerFacts) -> None:
        cloud = self.found.cloud
        images, region = cloud.images, cloud.compute.adapter.region_name
        about = facts_metadata(image, facts, region, private=self.private)
        own = {**own_metadata(image), **about}
        if self._proven is not None:
            own |= verified_metadata(image.id, self._proven)
        # If the image was deleted, there is nothing to mark.
        with suppress(NoSuchImage):
            if image.scheduled:
                images.change_metadata(image, own, [PENDING_KEY])
            else:
                # The service rewrites all metadata: this may bring the marker back.
                images.ensure_metadata(image, own, [PENDING_KEY, MARKER_KEY])


def _first_of_slots(images: Iterable[ServerImage]) -> list[ServerImage]:
    """Return the first image of each slot; the others are duplicates."""
    found: dict[str | None, ServerImage] = {}
    for image in images:
        found.setdefault(image.metadata.get(SLOT_KEY), image)
    return list(found.values())


def _is_refusal(error: Exception) -> bool:
    """Whether the same request would be refused again."""
    return isinstance(error, ApiError) and error.status in (
        codes.forbidden,
        codes.conflict,
    )
