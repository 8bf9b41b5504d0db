"""Restores a server from one of its images: as a new server, or in place.

The promise: a restore never destroys data. Nothing here deletes anything. In place, the
server's disk is replaced only after a safety image of it was proven complete, and
everything that the decision depends on was read again right before. If a restore is
interrupted, the same call continues it: what it started carries a mark of the restore
in the cloud.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from rax_scheduled_images_ext.client.boot import BootRequest, Servers
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import ApiResponse, RetryPolicy
from rax_scheduled_images_ext.client.servers import date_of, looks_like_id
from rax_scheduled_images_ext.client.snapshots import (
    PASSING,
    SnapshotRequest,
    Snapshots,
)
from rax_scheduled_images_ext.errors import (
    ApiError,
    ImageLost,
    InvalidSchedule,
    MalformedTag,
    NoMatch,
    NoSchedule,
    NoSuchImage,
    NoSuchServer,
    RestoreFailed,
    RestoreRefused,
    RestoreUnknown,
    ServerDisappeared,
    SeveralMatches,
    TimeLimitReached,
)
from rax_scheduled_images_ext.model.image import (
    RESTORE_KEY,
    ServerImage,
    name_in_service_name,
)
from rax_scheduled_images_ext.model.restore import (
    Cut,
    Flavor,
    RestoreOptions,
    RestorePlan,
    can_serve,
    candidates,
    check_image,
    check_in_place,
    check_region,
    check_source,
    described_differences,
    described_flavor,
    described_losses,
    done_metadata,
    find_cut,
    is_rebuilding,
    requirements,
    restored_from,
    restored_server,
    safety_metadata,
    safety_name,
    server_metadata,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    is_own_tag,
    read_schedule_tags,
)
from rax_scheduled_images_ext.model.server import ServerFacts, facts_of, gone_server
from rax_scheduled_images_ext.model.task_states import task_state
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.model.verify import Verification, proofs_of
from rax_scheduled_images_ext.operations.gone import images_by_name
from rax_scheduled_images_ext.operations.proof import prove
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)

#: The time limit for a complete restore, in seconds.
TIME_LIMIT = 21600.0
_LOST = ("ERROR", "DELETED")
# A single 404 may come from something in between, such as a proxy.
_GONE = 2
_ONCE = RetryPolicy(tries=1)
# Seconds between two looks at the history of a server that is being rebuilt.
_ASK_EVERY = 30.0


def plan_restore(cloud: Cloud, server: str, options: RestoreOptions) -> RestorePlan:
    """Plan the restore of a server; nothing is changed.

    :param server: a name or an ID; the server may have been deleted.
    :raises InvalidValue: for options that contradict each other; nothing was sent.
    :raises NoMatch: if there is no such server, and no image of one.
    :raises SeveralMatches: if several have the name.
    :raises RestoreRefused: if that is impossible; the message says what can be done.
    """
    return _Planning(cloud.patient(), options.checked()).plan(server)


def restore(
    cloud: Cloud,
    plan: RestorePlan,
    *,
    wait: bool = True,
    time_limit: float = TIME_LIMIT,
    listener: Listener | None = None,
) -> Restored:
    """Restore a server as planned.

    :param wait: whether to wait until the server is ready; a safety image is waited for
        in any case.
    :param time_limit: in seconds.
    :param listener: receives the progress.
    :raises RestoreRefused: if it must no longer be done.
    :raises ImageLost: if the safety image failed; the server was not changed.
    :raises RestoreUnknown: if it is unknown whether the cloud has started it.
    :raises RestoreFailed: if the server is in ERROR afterwards.
    :raises ServerDisappeared: if the server has been deleted meanwhile.
    :raises TimeLimitReached: if it takes too long; the same call continues it.
    """
    limits = Timeouts(total=time_limit)
    poller = Poller(limits=limits, listener=listener or Listener())
    return Restoration(cloud, plan, poller).run(wait=wait)


@dataclass(frozen=True)
class Restored:
    """The result of a restore.

    ``server_id`` is the restored server's, ``status`` its last known status, None if it
    was not waited for. ``safety_image_id`` is the image from which a restore in place
    can be undone. ``password`` is the one that the cloud has set, if any: it is shown
    nowhere else. ``changed`` is whether anything was done: False if an earlier restore
    had done everything.
    """

    plan: RestorePlan
    server_id: str
    status: str | None = None
    safety_image_id: str | None = None
    password: str | None = field(default=None, repr=False)
    changed: bool = True


# -- planning


@dataclass
class _Planning:
    """Reads what a plan requires.

    That is at most six requests for an image with data, and one more for each flavor or
    network that has to be found by its name.
    """

    cloud: Cloud
    options: RestoreOptions

    def __post_init__(self) -> None:
        self.servers = Servers.of(self.cloud)
        self.own_project = self.cloud.compute.adapter.get_project_id()

    def plan(self, label: str) -> RestorePlan:
        options = self.options
        server, others, now, images = self._find(label)
        gone = server is None
        if images is None:
            assert server is not None
            images = list(self.cloud.images.list(server_id=server.id))
        if server is None:
            server = self._gone(label, images)
        check_source(server, self.own_project, gone=gone)
        if gone and (options.in_place or options.networks is None):
            check_region(server, self._region())
        if options.in_place:
            return self._in_place(server, images, now, gone=gone)
        return self._as_new(server, images, others, gone=gone)

    def _region(self) -> str | None:
        """Return the region, None if the user has named none of several."""
        named = self.cloud.compute.adapter.region_name
        known = [named] if named else self.cloud.regions()
        return known[0] if len(known) == 1 else None

    # -- the server

    def _find(
        self, label: str
    ) -> tuple[
        ServerFacts | None, list[ServerFacts], datetime, list[ServerImage] | None
    ]:
        """Return the server, the servers with the new name, and what else was read.

        :returns: None, with the images, for a server that is gone.
        """
        new = [self.options.new_name] if self.options.new_name is not None else []
        if looks_like_id(label):
            try:
                server, shown = self.servers.get(label)
                # The server's own name shows whether the cloud matches names as
                # patterns.
                named = self.servers.named([*new, server.name])[0] if new else []
                return server, self._new_ones(named), _now(shown), None
            except NoSuchServer:
                images = list(self.cloud.images.list(server_id=label))
                if images:
                    others = self.servers.named(new)[0] if new else []
                    return None, self._new_ones(others), _now(None), images
        found, answer = self.servers.named([label, *new])
        matching = {each.id: each for each in found if each.name == label}
        if len(matching) > 1:
            raise SeveralMatches("server", label, list(matching))
        others = self._new_ones(found)
        if matching:
            server = next(iter(matching.values()))
            left = self._images_it_replaced(server) if server in others else []
            if left:
                return None, others, _now(answer), left
            return server, others, _now(answer), None
        return None, others, _now(answer), self._images_of_name(label)

    def _new_ones(self, found: Iterable[ServerFacts]) -> list[ServerFacts]:
        return [each for each in found if each.name == self.options.new_name]

    def _images_it_replaced(self, made: ServerFacts) -> list[ServerImage]:
        """Return the images of the deleted server that was restored as this one.

        Both have the same name, so the same command finds the new one by it.
        """
        source = restored_server(made.metadata)
        if source is None:
            return []
        try:
            self.servers.get(source)
        except NoSuchServer:
            return list(self.cloud.images.list(server_id=source))
        return []

    def _images_of_name(self, name: str) -> list[ServerImage]:
        """Return the project's images of the one deleted server that had this name.

        :raises NoMatch: if there is none.
        :raises SeveralMatches: if there were several.
        """
        of_server = images_by_name(self.cloud, name)
        for server_id in list(of_server):
            try:
                server = self.servers.get(server_id)[0]
            except NoSuchServer:
                continue
            del of_server[server_id]
            if not of_server:
                raise RestoreRefused(
                    f"There is no server '{name}'; one that had this name is now"
                    f" '{server.name}' ({server.id}): use that name or ID"
                )
        if not of_server:
            raise NoMatch("server", name)
        if len(of_server) > 1:
            raise SeveralMatches("server", name, list(of_server))
        return next(iter(of_server.values()))

    def _gone(self, label: str, images: list[ServerImage]) -> ServerFacts:
        """Return a deleted server, as known from the image that is to be restored."""
        server_id = str(images[0].server_id)
        newest = candidates(images, server_id, self.own_project)
        model = newest[0] if newest else images[0]
        name = name_in_service_name(model) or label
        return replace(gone_server(server_id, name, model), project_id=self.own_project)

    # -- the image

    def _choose(
        self, server: ServerFacts, images: list[ServerImage]
    ) -> tuple[ServerImage, tuple[str, ...]]:
        """Return the image, and why newer ones are skipped.

        :raises RestoreRefused: if there is no image to restore from.
        """
        wanted = self.options.image
        if wanted is not None:
            # Anyone can publish an image with the same name as another.
            own = [i for i in images if i.owner == server.project_id]
            known = {i.id: i for i in own if wanted in (i.id, i.name)}
            if len(known) > 1 and wanted not in known:
                raise SeveralMatches("image", wanted, list(known))
            image = known.get(wanted) or next(iter(known.values()), None)
            return image or self.cloud.images.find(wanted), ()
        at = self.options.at
        image, skipped = self._newest(server, images, at)
        if image is not None:
            return image, skipped
        until = f" made by {at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
        why = f" ({'; '.join(skipped)})" if skipped else ""
        # Perhaps it was made anew by hand after the old one was deleted.
        named = [] if images else list(images_by_name(self.cloud, server.name))
        others = f"; of another one of that name there are: {', '.join(named)}"
        # Nova itself writes no server on them.
        by_hand = "; it boots from a volume: for an image made by hand, use --image"
        raise RestoreRefused(
            f"There is no complete image of server {server.name}{until}{why}"
            + (others if named else "")
            + (by_hand if server.boots_from_volume and not images else "")
        )

    def _newest(
        self, server: ServerFacts, images: list[ServerImage], at: datetime | None
    ) -> tuple[ServerImage | None, tuple[str, ...]]:
        """Return the newest complete image up to a time, and why not a newer one.

        :returns: None if there is no such image.
        """
        skipped: list[str] = []
        proofs = proofs_of(images, server.project_id)
        for image in candidates(images, server.id, server.project_id):
            if at is not None and image.created is not None and image.created > at:
                continue
            failed = failed_proof(proofs.get(image.id))
            why = failed and f"{failed}: use --image to restore it anyway"
            why = why or self._prove(image)
            if why is None:
                return image, tuple(skipped)
            skipped.append(f"{_named(image)}: {why}")
        return None, tuple(skipped)

    def _warning(
        self, image: ServerImage, server: ServerFacts, images: list[ServerImage]
    ) -> str | None:
        """Return that the proof of an image has failed, None if it has not."""
        why = failed_proof(proofs_of([image, *images], server.project_id).get(image.id))
        return why and f"{_named(image)}: {why}"

    def _prove(self, image: ServerImage) -> str | None:
        """Return why an image is not known to be complete, None if it is."""
        proof = prove(self.cloud, image)
        return None if proof.is_whole else proof.reason

    def _check(self, image: ServerImage, plan: RestorePlan) -> None:
        check_image(image, plan.server.project_id, plan.flavor, in_place=plan.in_place)
        if self.options.image is not None and (why := self._prove(image)):
            raise RestoreRefused(
                f"Image {image.name} ({image.id}) is not complete: {why}"
            )

    # -- in place

    def _in_place(
        self,
        server: ServerFacts,
        images: list[ServerImage],
        now: datetime,
        *,
        gone: bool,
    ) -> RestorePlan:
        options = self.options
        if gone:
            raise RestoreRefused(
                f"Server {server.name} no longer exists: use --as NAME for a new server"
            )
        cut = find_cut(images, server, now)
        left: tuple[str, ...] = ()
        held: Cut | None = None
        if cut is not None:
            plan = self._cut(server, images, cut, now)
            if plan is not None:
                return plan
            left = (
                f"{_named(cut.safety)}: safety image of a restore that was not"
                " finished",
            )
            if options.safety_image and cut.holds(server, now):
                held, left = cut, ()
                options = replace(options, safety_image=False)
        # Checks that need no further request come first.
        check_in_place(server, replace(options, lose_ephemeral=True), None)
        flavor = self._flavor_of(server)
        check_in_place(server, options, flavor)
        image, skipped = self._choose(server, images)
        plan = RestorePlan(
            server,
            self.options,
            image,
            flavor,
            skipped=(*skipped, *left),
            warning=self._warning(image, server, images),
            cut=held,
        )
        self._check(image, plan)
        return replace(plan, missing=described_losses(plan))

    def _cut(
        self,
        server: ServerFacts,
        images: list[ServerImage],
        cut: Cut,
        now: datetime,
    ) -> RestorePlan | None:
        """Return how an interrupted restore continues; None if it does not."""
        options = self.options
        if not options.safety_image or server.status == "ERROR":
            return None
        image = self._image_of(cut, images)
        if not self._is_chosen(cut, image, server, images):
            return None
        if cut.rebuilt:
            if not is_rebuilding(server) and not can_serve(cut.safety, now):
                # That restore was done long ago: this is another one.
                return None
            # It no longer matters whether the image still exists.
            image = image or ServerImage(cut.image_id, "", "UNKNOWN")
            plan = RestorePlan(server, options, image, None, cut=cut)
            return replace(
                plan, missing=described_losses(plan) if image.created else ()
            )
        if image is None or server.image_id not in (cut.base_id, cut.image_id):
            return None
        if not can_serve(cut.safety, now):
            return None
        # The server is busy while the safety image is being made.
        if task_state(server.task_state).snapshot:
            server = replace(server, task_state=None)
        flavor = self._flavor_of(server)
        check_in_place(server, options, flavor)
        plan = RestorePlan(server, options, image, flavor, cut=cut)
        check_image(image, server.project_id, flavor, in_place=True)
        if why := self._prove(image):
            raise RestoreRefused(
                f"Image {image.name} ({image.id}) is not complete: {why}"
            )
        return replace(plan, missing=described_losses(plan))

    def _image_of(self, cut: Cut, images: list[ServerImage]) -> ServerImage | None:
        """Return the image of an interrupted restore, None if it is gone."""
        for image in images:
            if image.id == cut.image_id:
                return image
        try:
            return self.cloud.images.get(cut.image_id)
        except NoSuchImage:
            return None

    def _is_chosen(
        self,
        cut: Cut,
        image: ServerImage | None,
        server: ServerFacts,
        images: list[ServerImage],
    ) -> bool:
        """Whether the same command started the interrupted restore.

        A restore from another image is not continued.
        """
        wanted, at = self.options.image, self.options.at
        if image is None:
            return wanted in (None, cut.image_id)
        if wanted is not None:
            return wanted in (image.id, image.name)
        # Newer images may have been made since.
        until = [each for each in (at, cut.safety.created) if each is not None]
        newest, _ = self._newest(server, images, min(until))
        return newest is not None and newest.id == image.id

    def _flavor_of(self, server: ServerFacts) -> Flavor | None:
        return self.servers.flavor(server.flavor_id) if server.flavor_id else None

    # -- as a new server

    def _as_new(
        self,
        server: ServerFacts,
        images: list[ServerImage],
        others: list[ServerFacts],
        *,
        gone: bool,
    ) -> RestorePlan:
        options, made = self.options, None
        if others:
            made, images = self._made(server, others, images)
        image, skipped = (images[0], ()) if made else self._choose(server, images)
        if gone:
            server = gone_server(server.id, server.name, image)
            server = replace(server, project_id=self.own_project)
        flavor = networks = None
        if made is None:
            flavor = self._flavor(server, image)
            networks = self._networks(server, gone=gone)
        schedule = self._schedule(server, gone=gone) if options.schedule else None
        tags = server.tags or ()
        if schedule is None:
            tags = tuple(tag for tag in tags if not is_own_tag(tag))
        if not networks and server.tags is None and options.networks is None:
            # A cloud without tags cannot make a server without networks either.
            networks = None
        if networks is None:
            # The API version with tags requires networks to be given.
            tags = ()
        if not gone and made is None:
            group = self.servers.server_group(server.id)
            server = replace(server, server_group=group)
        plan = RestorePlan(
            server,
            options,
            image,
            flavor,
            gone,
            networks,
            groups=tuple(
                (server.groups or ()) if options.groups is None else options.groups
            ),
            key=server.key_name if options.key is None else options.key or None,
            tags=tags,
            schedule=schedule,
            skipped=skipped,
            warning=self._warning(image, server, images),
            made_id=made.id if made else None,
        )
        if made is not None:
            return plan
        self._check(image, plan)
        return replace(
            plan, differs=described_differences(plan), missing=described_losses(plan)
        )

    def _made(
        self,
        server: ServerFacts,
        others: list[ServerFacts],
        images: list[ServerImage],
    ) -> tuple[ServerFacts, list[ServerImage]]:
        """Return the server that this same restore made earlier, and its image.

        :raises RestoreRefused: if the name belongs to another server.
        """
        made = others[0]
        source = restored_from(made.metadata, server.id)
        found = [image for image in images if image.id == source]
        wanted = self.options.image
        known = wanted in (None, source, *(image.name for image in found))
        if self.options.at is not None:
            newest, _ = self._newest(server, images, self.options.at)
            known = newest is not None and newest.id == source
        # It may have been rebuilt since; a volume-backed server shows no image.
        known = known and made.image_id in (None, "", source)
        if len(others) > 1 or source is None or not known:
            ids = ", ".join(each.id for each in others)
            raise RestoreRefused(
                f"There is already a server '{made.name}' ({ids}) that this restore did"
                " not make: use another name"
            )
        if made.status == "ERROR":
            raise RestoreRefused(
                f"Server {made.name} ({made.id}), which an earlier restore made, is in"
                f" ERROR ({made.fault or 'the cloud does not say why'}): delete it,"
                " then repeat the command"
            )
        if not found:
            found = [ServerImage(source, "", "ACTIVE", owner=server.project_id)]
        return made, found

    def _flavor(self, server: ServerFacts, image: ServerImage) -> Flavor:
        """Return the new server's flavor.

        :raises RestoreRefused: if the old server's flavor is unknown or gone; the text
            says which the image requires.
        """
        if self.options.flavor is not None:
            return self.servers.find_flavor(self.options.flavor)
        # Where the flavor of a server is gone, one of its name may be there.
        known = (server, facts_of(image) if image.server_id == server.id else None)
        flavors = (self.servers.flavor_of(each) for each in known if each)
        flavor = next(filter(None, flavors), None)
        if flavor is not None:
            return flavor
        was = described_flavor(server)
        state = f"no longer exists ({was})" if was else "is not known"
        raise RestoreRefused(
            f"The flavor of server {server.name} {state}: use --flavor"
            f" NAME{requirements(image)}"
        )

    def _networks(self, server: ServerFacts, *, gone: bool) -> tuple[str, ...] | None:
        wanted = self.options.networks
        if wanted is not None:
            find = self.servers.find_network
            return tuple(n if looks_like_id(n) else find(n) for n in wanted)
        return server.networks if gone else self.servers.networks(server.id)

    def _schedule(self, server: ServerFacts, *, gone: bool) -> ImageSchedule:
        """Return the schedule for the new server.

        :raises RestoreRefused: if there is none.
        """
        schedule = None
        try:
            if MARKER_TAG in (server.tags or ()):
                schedule = read_schedule_tags(server.tags or ())
            elif not gone:
                schedule = self.cloud.schedules.get(server.id)
        except NoSchedule:
            pass
        except (InvalidSchedule, MalformedTag) as error:
            raise RestoreRefused(
                f"The schedule of server {server.name} is invalid: leave out"
                f" --schedule ({error})"
            ) from None
        if schedule is None:
            known = "is not known" if gone else "does not exist"
            raise RestoreRefused(
                f"The schedule of server {server.name} {known}: leave out --schedule,"
                " and use scheduled-images-enable afterwards"
            )
        return schedule


def failed_proof(proof: Verification | None) -> str | None:
    """Return that a proof has failed, and when; None if it has not."""
    if proof is None or not proof.failed:
        return None
    return f"its proof failed at {write_time(proof.time)} ({proof.seen})"


def _named(image: ServerImage) -> str:
    return f"image {image.name} ({image.id})"


def _now(answer: ApiResponse | None) -> datetime:
    """Return the cloud's time, or this machine's if the cloud does not send it."""
    return datetime.now(timezone.utc) if answer is None else date_of(answer)


# -- acting


class Restoration:
    """One restore; what it has made can be read at any time.

    ``safety`` is the safety image, None until it is known; ``server_id`` is the
    restored server's ID.
    """

    def __init__(self, cloud: Cloud, plan: RestorePlan, poller: Poller) -> None:
        self.plan = plan
        self.safety: ServerImage | None = plan.cut.safety if plan.cut else None
        self.server_id = plan.server.id if plan.in_place else plan.made_id
        #: Whether a request that replaces the server's disk may have been accepted.
        self.requested = plan.cut is not None and plan.cut.rebuilt
        self._cloud = cloud
        self._servers = Servers.of(cloud)
        self._poller = poller
        self._begun = poller.clock()
        self._nonce = uuid.uuid4().hex
        self._password: str | None = None
        self._changed = not plan.begun
        # When the safety image was first seen to have no data, and to get none.
        self._left_since: float | None = None
        # When a server that was stopped was first seen to run, rebuilt.
        self._runs_since: float | None = None
        # The request that has begun the rebuild, when the server's history was last
        # asked about it, and whether that said that it had failed.
        self._request_id: str | None = None
        self._asked = 0.0
        self._failed = False

    def run(self, *, wait: bool) -> Restored:
        """Restore the server."""
        do = self._in_place if self.plan.in_place else self._as_new
        status = do(wait)
        assert self.server_id is not None
        return Restored(
            self.plan,
            self.server_id,
            status,
            self.safety.id if self.safety else None,
            self._password,
            self._changed,
        )

    # -- in place

    def _in_place(self, wait: bool) -> str | None:
        cut = self.plan.cut
        if not (cut and cut.rebuilt and self.plan.server.status != "ERROR"):
            if self.plan.options.safety_image:
                self._make_safety_image()
            self._check_again()
            self._rebuild()
        if not wait:
            return None
        status = self._await_server(self._is_rebuilt)
        self._done()
        return status

    def _make_safety_image(self) -> None:
        """Make, or find, a complete image of the server's present disk."""
        if self.safety is not None and not self._still_serves(self.safety.id):
            self._poller.listener.note(
                f"Safety image {self.safety.id} has no data, or is too old"
            )
            self.safety = None
        image_id = self.safety.id if self.safety else self._begin_safety_image()
        try:
            self.safety = self._await_image(image_id)
        except ImageLost:
            # The error says what has become of it.
            self.safety = None
            raise

    def _still_serves(self, image_id: str) -> bool:
        """Whether a planned restore can still use its safety image.

        The user may have thought about the plan for a long time.
        """
        if not self._is_being_made(image_id):
            return False
        if self.requested:
            return True
        get = partial(self._servers.get, self.plan.server.id)
        now = _now(self._poller.retry(get)[1])
        return can_serve(self._get_image(image_id), now)

    def _is_being_made(self, image_id: str) -> bool:
        """Whether a safety image is seen to get data within a while."""
        return self._shows(partial(self._has_data, image_id))

    def _has_data(self, image_id: str) -> bool:
        """Whether a safety image has data, or is about to get some."""
        return not self._is_left(self._cloud.images.get(image_id))

    def _is_left(self, image: ServerImage) -> bool:
        """Whether an image has no data, and its server is not making any.

        It stays so for ever if the compute service was killed meanwhile, and so does
        the second of two images that were asked for at once.
        """
        return image.is_queued and self._get_server().task_state is None

    def _begin_safety_image(self) -> str:
        server, poller = self.plan.server, self._poller
        now = datetime.now(timezone.utc)
        create = partial(
            Snapshots(self._cloud.compute).create_image,
            server.id,
            safety_name(server.name, now),
            safety_metadata(self.plan, self._nonce),
            _ONCE,
        )
        try:
            begun = poller.call(create, self._answer())
        except NoSuchServer:
            raise ServerDisappeared(server.id, server.name) from None
        except TimeoutError as error:
            begun = SnapshotRequest(None, problem=str(error))
        except ApiError as error:
            if error.status < 500:
                raise RestoreRefused(
                    f"The safety image was refused, so nothing was changed: {error}"
                ) from error
            begun = SnapshotRequest(None, problem=str(error))
        image_id = begun.image_id or self._find_safety_image(begun)
        self.safety = ServerImage(image_id, "", "SAVING")
        poller.listener.note(f"Safety image {image_id} is being created")
        return image_id

    def _find_safety_image(self, begun: SnapshotRequest) -> str:
        """Find the image that a request has started by its mark; return its ID.

        :raises ImageLost: if there is none; nothing was changed.
        """
        server = self.plan.server
        for image in self._poller.retry(
            lambda: list(self._cloud.images.list(server_id=server.id))
        ):
            mark = image.metadata.get(RESTORE_KEY, "")
            if mark.rpartition(":")[2] == self._nonce:
                return image.id
        raise ImageLost(
            f"No safety image of server {server.name} has appeared, so nothing was"
            f" changed: {begun.problem}"
        )

    def _await_image(self, image_id: str) -> ServerImage:
        """Return the safety image as soon as it is proven complete.

        :raises ImageLost: if it never will be; nothing was changed.
        :raises TimeLimitReached: if it takes too long.
        """
        gone, last = 0, "nothing"

        def look() -> ServerImage | None:
            try:
                image = self._cloud.images.get(image_id)
            except NoSuchImage:
                return None
            self._see_it_being_made(image)
            return image

        named = f"Safety image {image_id} of server {self.plan.server.name}"
        for image in self._poller.polls(look, _pace, self._left()):
            gone = gone + 1 if image is None else 0
            last = "it is gone" if image is None else image.status
            if image is not None and image.status == "ACTIVE":
                proof = prove(self._cloud, image)
                if proof.is_whole and image.size:
                    self._poller.listener.note(f"Safety image {image_id} is complete")
                    return image
                last = proof.reason or "it has no data"
                if not proof.is_whole:
                    raise ImageLost(
                        f"{named} is not complete, so nothing was changed: {last}",
                        image_id,
                    )
            self._poller.listener.progress(f"safety image {image_id}: {last}")
            if gone >= _GONE or last in _LOST:
                text = f"{named} is lost, so nothing was changed: {last}"
                raise ImageLost(text, image_id)
        raise TimeLimitReached(
            f"{named} was not complete in time, so nothing was changed (last seen:"
            f" {last}); repeat the command to continue with it"
        )

    def _see_it_being_made(self, image: ServerImage) -> None:
        """Check that a safety image has data, or may get some.

        :raises ImageLost: if not; nothing was changed.
        """
        now = self._poller.clock()
        if not self._is_left(image):
            self._left_since = None
        elif self._left_since is None:
            self._left_since = now
        elif now - self._left_since >= self._poller.limits.settling:
            raise ImageLost(
                f"Safety image {image.id} is no longer being made, so nothing was"
                " changed; it has no data, and may be deleted",
                image.id,
            )

    def _check_again(self) -> None:
        """Check, right before the rebuild, that everything is as planned.

        :raises RestoreRefused: if not.
        """
        plan, options = self.plan, self.plan.options
        if self.safety is not None:
            safety = self._get_image(self.safety.id)
            if safety.status != "ACTIVE" or not safety.size:
                raise ImageLost(
                    f"Safety image {safety.id} is {safety.status}, so nothing was"
                    " changed",
                    safety.id,
                )
            options = replace(options, safety_image=False)
        image = self._get_image(plan.image.id)
        server = self._idle_server()
        check_image(image, server.project_id, plan.flavor, in_place=True)
        if server.flavor_id != plan.server.flavor_id:
            raise RestoreRefused(
                f"Server {server.name} was resized meanwhile, so nothing was changed:"
                " repeat the command"
            )
        if server.image_id != plan.server.image_id:
            raise RestoreRefused(
                f"Server {server.name} was rebuilt meanwhile by somebody else, so"
                " nothing was changed: repeat the command"
            )
        check_in_place(server, options, plan.flavor)

    def _idle_server(self) -> ServerFacts:
        """Return the server; its snapshot may end a moment after the image is complete.

        :raises ServerDisappeared: if it is gone.
        """
        server = self.plan.server
        for server in self._poller.polls(self._get_server, _pace, self._left()):
            if not task_state(server.task_state).snapshot:
                break
        return server

    def _get_server(self) -> ServerFacts:
        server_id, plan = str(self.server_id), self.plan
        name = plan.server.name if plan.in_place else str(plan.options.new_name)
        try:
            return self._servers.get(server_id)[0]
        except NoSuchServer:
            raise ServerDisappeared(server_id, name) from None

    def _get_image(self, image_id: str) -> ServerImage:
        try:
            return self._poller.retry(partial(self._cloud.images.get, image_id))
        except NoSuchImage:
            raise ImageLost(
                f"Image {image_id} is gone, so nothing was changed", image_id
            ) from None

    def _rebuild(self) -> None:
        server, image = self.plan.server, self.plan.image
        self.requested = True
        try:
            begun = self._send(partial(self._servers.rebuild, server.id, image.id))
        except NoSuchServer:
            raise ServerDisappeared(server.id, server.name) from None
        except ApiError as error:
            self.requested = False
            raise RestoreRefused(
                f"The rebuild was refused, so nothing was changed: {error}"
            ) from error
        self._password, self._request_id = begun.password, begun.request_id
        if begun.server_id is None and not self._shows(self._is_begun):
            raise RestoreUnknown(
                f"It is not known whether the rebuild of server {server.name} was"
                f" started ({begun.problem}): check the server, and repeat the command"
            )
        self._poller.listener.note(
            f"Server {server.name} is being rebuilt from image {image.id}"
        )

    def _is_begun(self) -> bool:
        """Whether the rebuild is seen to have been accepted."""
        server = self._servers.get(self.plan.server.id)[0]
        other = self.plan.server.image_id != self.plan.image.id
        there = server.image_id == self.plan.image.id
        return there and (other or is_rebuilding(server))

    def _see_it_being_rebuilt(self, server: ServerFacts) -> None:
        """Check now and then that a rebuild goes on.

        If the compute service is killed meanwhile, the server may stay as it is for
        ever, while its history says that the rebuild has failed.

        :raises RestoreFailed: if so, at two looks in a row.
        """
        now = self._poller.clock()
        if not is_rebuilding(server) or now - self._asked < _ASK_EVERY:
            return
        begun, self._asked = not self._asked, now
        if begun:
            return
        snapshots = Snapshots(self._cloud.compute)
        why = snapshots.failure(server.id, self._request_id, ("rebuild",))
        if why is not None and self._failed:
            raise RestoreFailed(
                f"The rebuild of server {server.name} ({server.id}) has failed, and"
                f" left it {server.status} (task_state: {server.task_state or 'none'}):"
                f" {why}; an administrator can reset its state"
            )
        self._failed = why is not None

    def _is_rebuilt(self, server: ServerFacts) -> bool:
        idle = server.task_state is None and not is_rebuilding(server)
        if not idle or server.image_id != self.plan.image.id:
            return False
        if self.plan.server.status != "SHUTOFF" or server.status == "SHUTOFF":
            return True
        # Nova starts a server that was stopped, and only then stops it again. Whoever
        # has started it meanwhile wants it to run.
        now = self._poller.clock()
        if self._runs_since is None:
            self._runs_since = now
        return now - self._runs_since >= self._poller.limits.settling

    def _done(self) -> None:
        """Record on the safety image that its restore is done."""
        if self.safety is None:
            return
        try:
            image = self._poller.call(partial(self._cloud.images.get, self.safety.id))
            added, removed = done_metadata(image)
            self._poller.call(
                partial(self._cloud.images.change_metadata, image, added, removed)
            )
        except PASSING as error:
            self._poller.listener.note(
                f"The mark of the restore on safety image {self.safety.id} could not be"
                f" changed: {error}"
            )

    # -- as a new server

    def _as_new(self, wait: bool) -> str | None:
        if self.server_id is None:
            self._boot()
        assert self.server_id is not None
        schedule = self.plan.schedule
        if schedule is not None and self.plan.schedule_by_request:
            enable = partial(self._cloud.schedules.enable, self.server_id, schedule)
            self._poller.retry(enable)
        if not wait:
            return None
        return self._await_server(
            lambda server: server.status != "BUILD" and server.task_state is None
        )

    def _boot(self) -> None:
        plan = self.plan
        assert plan.flavor is not None
        server: dict[str, Any] = {
            "name": plan.options.new_name,
            "imageRef": plan.image.id,
            "flavorRef": plan.flavor.id,
            "metadata": server_metadata(plan, self._nonce),
        }
        if plan.networks is not None:
            ports = [{"uuid": network} for network in plan.networks]
            server["networks"] = ports or "none"
        further = {
            "security_groups": [{"name": name} for name in plan.groups] or None,
            "key_name": plan.key,
            "availability_zone": plan.options.zone,
            "config_drive": plan.server.config_drive or None,
            "block_device_mapping_v2": plan.volumes or None,
            "description": plan.server.description,
            "tags": list(plan.tags) or None,
        }
        server |= {key: value for key, value in further.items() if value is not None}
        group = plan.server.server_group
        hints = {"group": group} if group is not None else {}
        try:
            begun = self._send(partial(self._servers.boot, server, hints))
        except ApiError as error:
            # Nova says no more than that the key pair is invalid.
            inherited = plan.key is not None and plan.options.key is None
            hint = "; a key pair belongs to a user: use --key or --no-key"
            raise RestoreRefused(
                f"The new server was refused, so nothing was made: {error}"
                + (hint if inherited and "key" in error.message else "")
            ) from error
        self._password, self.server_id = begun.password, begun.server_id
        if self.server_id is None:
            self._shows(self._is_made)
        if self.server_id is None:
            raise RestoreUnknown(
                f"It is not known whether server {plan.options.new_name} is being made"
                f" ({begun.problem}): repeat the command to find out and continue"
            )
        self._poller.listener.note(
            f"Server {plan.options.new_name} ({self.server_id}) is being made"
        )

    def _is_made(self) -> bool:
        """Whether the new server is seen, by the mark of this restore."""
        for server in self._servers.named([str(self.plan.options.new_name)])[0]:
            mark = server.metadata.get(RESTORE_KEY, "")
            if mark.rpartition(":")[2] == self._nonce:
                self.server_id = server.id
        return self.server_id is not None

    # -- both

    def _send(self, request: Callable[[], BootRequest]) -> BootRequest:
        """Send a request, only once."""
        try:
            return self._poller.call(request, self._answer())
        except TimeoutError as error:
            return BootRequest(None, problem=str(error))

    def _shows(self, seen: Callable[[], bool]) -> bool:
        """Whether a condition is seen within a while."""
        polls = self._poller.polls(seen, _pace, self._poller.limits.quiet)
        return any(polls)

    def _await_server(self, is_there: Callable[[ServerFacts], bool]) -> str:
        """Return the status of the server as soon as it is ready.

        :raises RestoreFailed: if it is in ERROR.
        :raises ServerDisappeared: if it is gone.
        :raises TimeLimitReached: if it takes too long.
        """
        server_id, last = str(self.server_id), "nothing"
        plan = self.plan
        name = plan.server.name if plan.in_place else str(plan.options.new_name)

        for server in self._poller.polls(self._get_server, _pace, self._left()):
            last = f"{server.status}, task_state: {server.task_state or 'none'}"
            self._poller.listener.progress(f"server {name}: {last}")
            if server.status == "ERROR" and server.task_state is None:
                why = server.fault or "the cloud does not say why"
                raise RestoreFailed(f"Server {name} ({server_id}) is in ERROR: {why}")
            if plan.in_place:
                self._see_it_being_rebuilt(server)
            if is_there(server):
                self._poller.listener.note(f"Server {name} is {server.status}")
                return str(server.status)
        raise TimeLimitReached(
            f"Server {name} ({server_id}) was not ready in time (last seen: {last});"
            " repeat the command to continue with it"
        )

    def _answer(self) -> float:
        return 4 * self._poller.limits.answer

    def _left(self) -> float:
        passed = self._poller.clock() - self._begun
        return max(0.0, self._poller.limits.total - passed)


def _pace(elapsed: float) -> float:
    """Return the seconds until the next poll.

    A fortieth of the time taken so far: what is ready is noticed soon, beside how long
    it took.
    """
    return min(0.5 + elapsed / 40, 15.0)
