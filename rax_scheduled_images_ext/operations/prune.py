"""Applies the retention now: plans what to delete, and deletes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    ImageProtected,
    NoRetention,
    NoSuchImage,
    SnapshotsInDoubt,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.retention import (
    Decision,
    Reason,
    apply_policy,
    reason,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.operations.delete import NamingImages, delete_image
from rax_scheduled_images_ext.operations.gone import (
    find_one,
    still_going,
    surplus_of_gone,
)
from rax_scheduled_images_ext.operations.schedules import find_schedule
from rax_scheduled_images_ext.operations.server import decide, images_of
from rax_scheduled_images_ext.operations.space import snapshot_sizes
from rax_scheduled_images_ext.operations.targets import Servers, Target, for_each
from rax_scheduled_images_ext.operations.work_queue import (
    Outcome,
    Report,
    RunInterrupted,
    run,
)


@dataclass(frozen=True)
class PrunedImage:
    """An image of a plan, and what was or would be done with it.

    ``action`` is ``delete`` or ``skip`` in a plan, and ``deleted``, ``skipped`` or
    ``failed`` afterwards. ``error`` comes with ``failed``, and with ``deleted`` if
    volume snapshots of the image are left. ``in_doubt`` is whether an image stays
    because its volume snapshots are not known to be its own, or cannot be deleted.
    """

    server_id: str
    image: ServerImage
    action: str
    reason: str
    error: Exception | None = None
    in_doubt: bool = False


@dataclass(frozen=True)
class PrunePlan:
    """What to delete of a server, oldest first."""

    server_id: str
    decisions: Sequence[Decision]

    def within(self, others: Iterable[PrunePlan]) -> PrunePlan:
        """Return the part of this plan that is in other plans as well."""
        known = {decision.image.id for other in others for decision in other.decisions}
        kept = [decision for decision in self.decisions if decision.image.id in known]
        return replace(self, decisions=kept)

    def images(self) -> list[PrunedImage]:
        """Return what would be done with each image."""
        return [
            PrunedImage(
                self.server_id,
                decision.image,
                "skip" if decision.is_never_deleted else "delete",
                reason(decision),
            )
            for decision in self.decisions
        ]


def plan_prune(
    cloud: Cloud,
    servers: Servers,
    keep: Keep | int | None = None,
    report: Report[Target, PrunePlan] | None = None,
    *,
    gone: bool = False,
) -> list[Outcome[Target, PrunePlan]]:
    """Return the images beyond the retention of each server.

    Errors: NoRetention, NoSuchServer, NotOffered, NoMatch, SeveralMatches, and for
    servers that are gone ServerGone and NotGone.

    :param servers: those that are gone may have the last name that their images have.
    :param keep: how many images to keep, or by what rules; None for what each server's
        schedule keeps.
    :param gone: only servers that are gone, all of whose images go without ``keep``.
    :raises InvalidValue: for an invalid number or rule; nothing has been sent.
    """
    if isinstance(keep, Keep):
        keep.checked()
    elif keep is not None:
        ImageSchedule(keep).checked()

    def action(cloud: Cloud, server_id: str) -> PrunePlan:
        if gone:
            return absent(cloud, server_id)
        return PrunePlan(server_id, surplus_of(cloud, server_id, keep))

    def absent(cloud: Cloud, wanted: str) -> PrunePlan:
        found = find_one(cloud, wanted)
        surplus = surplus_of_gone(cloud, found, keep, everything=gone)
        return PrunePlan(found.id, surplus)

    return for_each(cloud, servers, action, report, absent=absent)


class PruneListener(Report[Target, PrunePlan]):
    """Receives the progress of a pruning; this one agrees to all, silently.

    ``asks`` is whether it asks a person, which may take long; ``sizes`` are those of
    the volume snapshots that the images of the plan name.
    """

    asks = False
    sizes = Sizes({})

    def agrees(self, images: Sequence[PrunedImage]) -> bool:
        """Return whether to carry out the plan for these images."""
        return True

    def pruned(self, image: PrunedImage) -> None:
        """Note what was done with an image."""

    def unknown(self, image: ServerImage) -> None:
        """Note that Ctrl-C left it unknown whether an image was deleted."""


def prune_servers(
    cloud: Cloud,
    servers: Servers,
    keep: Keep | int | None,
    listener: PruneListener,
    *,
    gone: bool = False,
    dry_run: bool = False,
) -> list[PrunedImage] | None:
    """Delete the images beyond the retention of servers, if the listener agrees.

    :param keep: as for :func:`plan_prune`, whose errors the listener receives.
    :param gone: as well.
    :param dry_run: delete nothing.
    :returns: what was done, or would be; None if the listener declined.
    :raises KeyboardInterrupt: on Ctrl-C.
    """
    plans = _plans(cloud, servers, keep, listener, gone=gone)
    planned = [image for plan in plans for image in plan.images()]
    # Before they are deleted.
    listener.sizes = snapshot_sizes(cloud, (each.image for each in planned))
    if dry_run or not planned:
        return planned
    if not listener.agrees(planned):
        return None
    if listener.asks:
        # The images must still be beyond the retention.
        now = _plans(cloud, servers, keep, listener, gone=gone)
        plans = [plan.within(plans) for plan in now]
    try:
        return prune(cloud, plans, listener.pruned)
    except RunInterrupted as interrupted:
        for decision in interrupted.unknown:
            listener.unknown(decision.image)
        raise KeyboardInterrupt from None


def _plans(
    cloud: Cloud,
    servers: Servers,
    keep: Keep | int | None,
    listener: PruneListener,
    *,
    gone: bool,
) -> list[PrunePlan]:
    """Plan for each server, once."""
    plans: dict[str, PrunePlan] = {}
    for each in plan_prune(cloud, servers, keep, listener, gone=gone):
        if each.value is not None:
            plans.setdefault(each.value.server_id, each.value)
    return list(plans.values())


def prune(
    cloud: Cloud,
    plans: Sequence[PrunePlan],
    report: Callable[[PrunedImage], object] | None = None,
) -> list[PrunedImage]:
    """Delete the images of plans that are still to be deleted; return what was done.

    Servers are pruned in parallel, the images of each one after another, oldest first.

    :param report: called with each image as soon as its result is known.
    :returns: server by server, in the order of the plans.
    :raises RunInterrupted: on Ctrl-C; ``unknown`` has the decisions whose results are
        unknown.
    """
    cloud = cloud.shared() if len(plans) > 1 else cloud
    naming = NamingImages(cloud.images)
    done: dict[str, list[PrunedImage]] = {plan.server_id: [] for plan in plans}

    def delete(decision: Decision) -> PrunedImage:
        return delete_surplus(cloud, decision, naming)

    def add(outcome: Outcome[Decision, PrunedImage]) -> None:
        image, error = outcome.item.image, outcome.error
        pruned = outcome.value or PrunedImage(
            str(image.server_id), image, "failed", str(error), error
        )
        done[pruned.server_id].append(pruned)
        if report is not None:
            report(pruned)

    for decisions in _rounds(plans):
        run(decisions, delete, Report(add))
    return [pruned for images in done.values() for pruned in images]


def surplus_of(
    cloud: Cloud, server_id: str, keep: Keep | int | None = None
) -> list[Decision]:
    """Return the images beyond the retention of one server, oldest first.

    :param keep: what to keep; None for what the server's own schedule keeps.
    :raises NoRetention: if the server has no schedule.
    :raises NoSuchServer: if there is no such server.
    :raises NotOffered: if the cloud has no scheduled images.
    """
    if keep is None:
        schedule = find_schedule(cloud, server_id)
        if schedule is None:
            raise NoRetention(server_id)
        keep = schedule.keep
    decisions = decide(cloud, server_id, keep)
    return [decision for decision in reversed(decisions) if decision.surplus]


def delete_surplus(
    cloud: Cloud, decision: Decision, naming: NamingImages
) -> PrunedImage:
    """Delete an image that is beyond the retention, if it still is.

    The server's images are read and counted again right before, and the image stays if
    it is within the retention by now. If a plan is stopped at any point, it has deleted
    only what the same plan made afresh would delete: the oldest images.

    :raises ImageProtected: for an image that the image service protects.
    """
    server_id = str(decision.image.server_id)
    try:
        gone = decision.reason is Reason.GONE
        now = (still_going if gone else _decide_again)(cloud, decision)
    except NoSuchImage:
        return PrunedImage(server_id, decision.image, "skipped", "already gone")
    if now is None:
        return PrunedImage(server_id, decision.image, "skipped", "not known to be gone")
    if not now.surplus or now.is_base:
        return PrunedImage(server_id, now.image, "skipped", reason(now))
    return delete_decided(cloud, now, naming)


def delete_decided(
    cloud: Cloud, decision: Decision, naming: NamingImages
) -> PrunedImage:
    """Delete an image that was found to be beyond the retention a moment ago.

    The volume snapshots of a volume-backed server's image are deleted after it; if some
    of them cannot be deleted, the image stays.

    :raises ImageProtected: for an image that the image service protects.
    """
    image = decision.image
    server_id = str(image.server_id)
    if image.protected:
        raise ImageProtected(image.id)
    try:
        delete_image(cloud, image, naming)
    except NoSuchImage:
        return PrunedImage(server_id, image, "skipped", "already gone")
    except SnapshotsInDoubt as error:
        return PrunedImage(server_id, image, "skipped", str(error), in_doubt=True)
    except SnapshotsLeft as error:
        return PrunedImage(server_id, image, "deleted", str(error), error)
    return PrunedImage(server_id, image, "deleted", reason(decision))


def _decide_again(cloud: Cloud, decision: Decision) -> Decision:
    """Decide on an image by all present images of its server.

    :raises NoSuchImage: if it is gone.
    """
    server_id, project_id = str(decision.image.server_id), decision.image.owner
    images = {image.id: image for image in images_of(cloud, server_id)}
    if decision.image.id not in images:
        # Gone, or no longer an image of this server: a single image always stays.
        image = cloud.images.get(decision.image)
        images = {image.id: replace(image, owner=project_id)}
    decisions = apply_policy(
        images.values(),
        server_id,
        decision.keep,
        project_id,
        rules=decision.rules,
        base_image=decision.base_image,
    )
    return next(each for each in decisions if each.image.id == decision.image.id)


def _rounds(plans: Sequence[PrunePlan]) -> Iterator[list[Decision]]:
    """Yield what may be deleted in parallel: each server's oldest, then the next."""
    for place in range(max((len(plan.decisions) for plan in plans), default=0)):
        yield [plan.decisions[place] for plan in plans if place < len(plan.decisions)]
