"""Getting a server back: which image, what will differ, and when it must not be.

Nova itself destroys data in two ways: a rebuild makes ephemeral and swap disks anew,
and one from an image without data leaves an empty disk. Neither is ever asked for by
accident: all that decides is here, and :mod:`.operations.restore` asks again right
before it acts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from rax_scheduled_images_ext.errors import (
    InvalidValue,
    RestoreRefused,
    SnapshotsInDoubt,
)
from rax_scheduled_images_ext.model.image import (
    FACTS_KEY,
    HOOK_KEY,
    LONGEST_NAME,
    MAPPING_KEY,
    MARKER_KEY,
    OWN_KEY,
    PENDING_KEY,
    PROTECTED_KEY,
    RESTORE_KEY,
    RUN_KEY,
    SAFETY_KEY,
    SERVER_KEY,
    SLOT_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    age_order,
    inherited_copies,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, is_own_tag
from rax_scheduled_images_ext.model.server import ServerFacts, facts_of
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.model.volume_snapshots import (
    has_small_root,
    volumes_of_snapshots,
)

#: How the name of a safety image begins.
SAFETY_PREFIX = "before-restore-"
#: The marker of a safety image until then: not that of any retention.
SAFETY_MARKER = "scheduled_images_restore"
#: What a safety image might have from its server's base image, and must not keep. A
#: claim is not among them: it has no data to boot from.
_OURS = (
    SLOT_KEY,
    RUN_KEY,
    PENDING_KEY,
    OWN_KEY,
    PROTECTED_KEY,
    FACTS_KEY,
    HOOK_KEY,
    SAFETY_KEY,
)
#: For how long a restore that was cut off is taken up again.
RESUMABLE = timedelta(hours=6)
#: How old a finished safety image may be to serve a restore that is taken up again.
SAFETY_AGE = timedelta(minutes=10)
#: The states of servers that Nova rebuilds.
_REBUILDABLE = ("ACTIVE", "SHUTOFF", "ERROR")
_REBUILDING = ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MINUTE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?Z?", re.ASCII)


@dataclass(frozen=True)
class Flavor:
    """A size of server: ``ram`` and ``swap`` in MiB, ``disk`` and ``ephemeral`` in GiB.

    A ``disk`` of 0 is as large as the image.
    """

    id: str
    name: str
    ram: int
    disk: int
    ephemeral: int = 0
    swap: int = 0


@dataclass(frozen=True)
class RestoreOptions:
    """How a server is to be restored: as ``new_name``, or in place.

    Of all images the newest complete one is taken whose proof has not failed, up to
    ``at``, or ``image``, a name or an ID. ``flavor``, ``networks``, ``groups`` and
    ``key`` take the place of the server's own; None is its own, an empty ``key`` is
    none. The cloud chooses the availability zone unless ``zone`` names one.
    """

    new_name: str | None = None
    in_place: bool = False
    at: datetime | None = None
    image: str | None = None
    flavor: str | None = None
    networks: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    key: str | None = None
    zone: str | None = None
    schedule: bool = False
    safety_image: bool = True
    lose_ephemeral: bool = False

    def checked(self) -> RestoreOptions:
        """Return the same.

        :raises InvalidValue: if they do not go together.
        """
        if self.in_place == (self.new_name is not None):
            raise InvalidValue("use one of --as NAME and --in-place")
        if self.new_name is not None and not self.new_name.strip():
            raise InvalidValue("--as must not be empty")
        if self.new_name is not None and len(self.new_name) > LONGEST_NAME:
            raise InvalidValue(f"--as takes at most {LONGEST_NAME} characters")
        if self.at is not None and self.image is not None:
            raise InvalidValue("--at and --image cannot be used together")
        new = {
            "--flavor": self.flavor,
            "--network": self.networks,
            "--security-group": self.groups,
            "--key": self.key,
            "--availability-zone": self.zone,
            "--schedule": self.schedule or None,
        }
        for option, value in new.items():
            if self.in_place and value is not None:
                raise InvalidValue(f"{option} goes with --as: --in-place keeps it all")
        if not self.in_place and (self.lose_ephemeral or not self.safety_image):
            option = "--lose-ephemeral" if self.lose_ephemeral else "--no-safety-image"
            raise InvalidValue(f"{option} goes with --in-place: --as loses nothing")
        return self


def parse_restore_time(text: str) -> datetime:
    """Return the UTC time that ``text`` stands for; a day stands for its end.

    :raises InvalidValue: for anything else.
    """
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
            return day + timedelta(days=1) - timedelta(seconds=1)
        found = _MINUTE.fullmatch(text)
        if found:
            plain = f"{found[1]}{found[2] or ':00'}"
            return datetime.fromisoformat(plain).replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        pass
    raise InvalidValue(
        f"'{text}' is not a time: write 2026-01-05, or 2026-01-05T12:00 (both UTC)"
    )


@dataclass(frozen=True)
class Cut:
    """A restore in place that was cut off: ``safety`` is its safety image.

    ``rebuilt`` is whether the cloud is known to have accepted the rebuild.
    """

    safety: ServerImage
    image_id: str
    base_id: str
    rebuilt: bool = False

    def holds(self, server: ServerFacts, now: datetime) -> bool:
        """Whether the safety image makes up for one that a server in ERROR cannot have.

        Once the rebuild was accepted nothing of the disk is left but the safety image.
        """
        whole = self.safety.status == "ACTIVE" and server.status == "ERROR"
        return whole and (self.rebuilt or can_serve(self.safety, now))


@dataclass(frozen=True)
class RestorePlan:
    """What a restore does, from which image, and what will not be as before.

    ``tags`` are the new server's.
    ``differs`` are what a new server will not have in common with the old one,
    ``missing`` what the image does not hold, ``skipped`` younger images and why they
    were passed over, ``warning`` that the proof of the image has failed; all are
    sentences for people. ``gone`` is whether only images are left of the server.
    ``made_id`` is the new server that the same restore has made before, ``cut`` what it
    has begun in place.
    """

    server: ServerFacts
    options: RestoreOptions
    image: ServerImage
    flavor: Flavor | None
    gone: bool = False
    networks: tuple[str, ...] | None = None
    groups: tuple[str, ...] = ()
    key: str | None = None
    tags: tuple[str, ...] = ()
    schedule: ImageSchedule | None = None
    differs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    warning: str | None = None
    made_id: str | None = None
    cut: Cut | None = None

    @property
    def volumes(self) -> list[dict[str, Any]]:
        """The volumes to ask for, if those that the image asks for are refused.

        :raises RestoreRefused: if they cannot be told from the image.
        """
        try:
            small = has_small_root(self.image)
            return volumes_of_snapshots(self.image) if small else []
        except SnapshotsInDoubt as error:
            raise RestoreRefused(
                f"Image {self.image.name} ({self.image.id}): {error}"
            ) from None

    @property
    def in_place(self) -> bool:
        """Whether the server itself gets its disk back."""
        return self.options.in_place

    @property
    def begun(self) -> bool:
        """Whether an earlier restore has asked for all that is to be done."""
        rebuilt = self.cut is not None and self.cut.rebuilt
        return self.made_id is not None or (rebuilt and self.server.status != "ERROR")

    @property
    def schedule_by_request(self) -> bool:
        """Whether the new server gets its schedule by a request of its own."""
        return self.schedule is not None and MARKER_TAG not in self.tags


def is_volume_backed(image: ServerImage) -> bool:
    """Whether the data of an image is in volume snapshots, not in itself."""
    return MAPPING_KEY in image.metadata


def candidates(
    images: Iterable[ServerImage], server_id: str, project_id: str | None
) -> list[ServerImage]:
    """Return the images that may hold a server's data, newest first.

    Nova names the server on what it makes itself. The image of a server that boots from
    a volume may have the name of another server from its own base image.
    """
    images = [image for image in images if image.server_id == server_id]
    copies, safety = inherited_copies(images), safety_images(images)
    found = [
        image
        for image in images
        if project_id is not None
        and image.owner == project_id
        and not (image.id in copies and is_volume_backed(image))
        and image.id not in safety
        and not image.hidden
        and image.created is not None
        and image.status != "DELETED"
    ]
    return sorted(found, key=age_order, reverse=True)


def safety_images(images: Iterable[ServerImage]) -> frozenset[str]:
    """Return the IDs of the images that were made right before a restore in place."""
    images = list(images)
    done = {image.id for image in images if image.metadata.get(SAFETY_KEY) == image.id}
    return frozenset({*done, *(image.id for image, _ in _unfinished(images))})


def _unfinished(
    images: Iterable[ServerImage],
) -> list[tuple[ServerImage, tuple[str, str]]]:
    """Return the safety images of restores that are not done, oldest first.

    Each comes with the images that its server was to boot from and did boot from. What
    is younger and has the same mark has inherited it.
    """
    found: dict[str, tuple[ServerImage, tuple[str, str]]] = {}
    for image in sorted(images, key=age_order):
        parts = image.metadata.get(RESTORE_KEY, "").split(":")
        named = image.name.startswith(SAFETY_PREFIX)
        if named and len(parts) == 4 and parts[0] == image.server_id:
            found.setdefault(parts[3], (image, (parts[1], parts[2])))
    return list(found.values())


# -- the restore's own mark


def safety_name(server_name: str, now: datetime) -> str:
    """Return the name of a safety image."""
    suffix = now.strftime("-%Y%m%dT%H%M%SZ")
    room = LONGEST_NAME - len(SAFETY_PREFIX + suffix)
    return SAFETY_PREFIX + server_name[:room] + suffix


def safety_metadata(plan: RestorePlan, nonce: str) -> dict[str, str]:
    """Return the metadata of a safety image: no retention counts or deletes it.

    All that the server's base image may hand on is given anew.
    """
    server = plan.server
    return {
        **dict.fromkeys(_OURS, ""),
        SERVER_KEY: server.id,
        TYPE_KEY: SNAPSHOT,
        MARKER_KEY: SAFETY_MARKER,
        RESTORE_KEY: f"{server.id}:{plan.image.id}:{server.image_id}:{nonce}",
    }


def done_metadata(image: ServerImage) -> tuple[dict[str, str], list[str]]:
    """Return what a safety image gets, and what it loses, when the restore is done."""
    empty = [key for key in _OURS if image.metadata.get(key) == ""]
    return {SAFETY_KEY: image.id}, [
        *(key for key in empty if key != SAFETY_KEY),
        RESTORE_KEY,
        MARKER_KEY,
    ]


def find_cut(
    images: Iterable[ServerImage], server: ServerFacts, now: datetime
) -> Cut | None:
    """Return the latest restore in place of a server that was cut off, if any was."""
    found = None
    for image, (image_id, base_id) in _unfinished(images):
        if image.server_id != server.id or image.owner != server.project_id:
            continue
        if image.status in ("ERROR", "DELETED") or image.created is None:
            continue
        if now - image.created > RESUMABLE:
            continue
        there = server.image_id == image_id
        accepted = there and (base_id != image_id or is_rebuilding(server))
        found = Cut(image, image_id, base_id, accepted)
    return found


def can_serve(safety: ServerImage, now: datetime) -> bool:
    """Whether a safety image still holds what a server has, as nearly as can be."""
    if safety.status == "SAVING":
        return True
    changed = safety.updated or safety.created
    return changed is not None and now - changed <= SAFETY_AGE


def server_metadata(plan: RestorePlan, nonce: str) -> dict[str, str]:
    """Return the metadata of the new server."""
    mark = f"{plan.server.id}:{plan.image.id}:{nonce}"
    return {**plan.server.metadata, RESTORE_KEY: mark}


def restored_from(metadata: Mapping[str, str], server_id: str) -> str | None:
    """Return from which image of a server another one was made, None if it was not."""
    source, _, rest = metadata.get(RESTORE_KEY, "").partition(":")
    image_id = rest.partition(":")[0]
    return image_id or None if source == server_id else None


def restored_server(metadata: Mapping[str, str]) -> str | None:
    """Return from which server's image another one was made, None if it was not."""
    return metadata.get(RESTORE_KEY, "").partition(":")[0] or None


def is_rebuilding(server: ServerFacts) -> bool:
    """Whether a server is being rebuilt."""
    return server.task_state in _REBUILDING or server.status == "REBUILD"


# -- refusals


def check_source(server: ServerFacts, own_project: str | None, *, gone: bool) -> None:
    """See that a server is one that this user's project can restore.

    :raises RestoreRefused: if not.
    """
    if not gone and (own_project is None or server.project_id != own_project):
        raise RestoreRefused(
            f"Server {server.name} belongs to another project"
            f" ({server.project_id}): restore it as a member of that"
        )


def check_region(server: ServerFacts, region: str | None) -> None:
    """See that a server that is not here was in this region, as far as its image says.

    Regions may share their images, and it may be there in another one.

    :raises RestoreRefused: if not.
    """
    if server.region not in (None, region):
        raise RestoreRefused(
            f"Server {server.name} was in region {server.region}, and may be there:"
            " name that region, or use --as NAME with --network to restore it in this"
            " one"
        )


def check_in_place(
    server: ServerFacts, options: RestoreOptions, flavor: Flavor | None
) -> None:
    """See that a server can get its disk back in place.

    :raises RestoreRefused: if not; the text names the way that works.
    """
    named, other = f"Server {server.name}", "use --as NAME for a new server beside it"
    if server.image_id is None:
        raise RestoreRefused(f"{named} does not show what it boots from: {other}")
    if server.boots_from_volume:
        raise RestoreRefused(
            f"{named} boots from a volume, which cannot be replaced in place: {other}"
        )
    if server.locked:
        raise RestoreRefused(f"{named} is locked: unlock it, or {other}")
    if server.task_state is not None:
        raise RestoreRefused(
            f"{named} is busy (task_state: {server.task_state}): wait until that is"
            f" over, or {other}"
        )
    if server.status not in _REBUILDABLE:
        raise RestoreRefused(
            f"{named} is {server.status}, and only ACTIVE and SHUTOFF servers can be"
            f" restored in place: {other}"
        )
    if server.status == "ERROR" and options.safety_image:
        raise RestoreRefused(
            f"{named} is in ERROR, so that no safety image of it can be made: {other},"
            " or --no-safety-image if nothing on its disk is needed"
        )
    if options.lose_ephemeral:
        return
    if flavor is None:
        raise RestoreRefused(
            f"{named} has a flavor that is gone ({server.flavor_id}); if that has"
            f" ephemeral or swap disks, a rebuild destroys them: {other}, or"
            " --lose-ephemeral"
        )
    if flavor.ephemeral or flavor.swap:
        raise RestoreRefused(
            f"{named} has {_scratch(flavor)}, which a rebuild destroys and no image"
            f" holds: {other}, or --lose-ephemeral"
        )


def check_image(
    image: ServerImage,
    project_id: str | None,
    flavor: Flavor | None,
    *,
    in_place: bool,
) -> None:
    """See that an image can be booted, or a server rebuilt to it.

    :param project_id: that of the server.
    :raises RestoreRefused: if not.
    """
    named = f"Image {image.name or image.id} ({image.id})"
    if project_id is None or image.owner != project_id:
        raise RestoreRefused(
            f"{named} is not known to belong to the server's project: only an image of"
            " that project is restored"
        )
    if image.status != "ACTIVE":
        raise RestoreRefused(
            f"{named} is {image.status}, not ACTIVE: use another image"
        )
    if in_place and is_volume_backed(image):
        raise RestoreRefused(
            f"{named} is that of a server that boots from a volume: a rebuild from it"
            " would leave an empty disk; use --as NAME for a new server"
        )
    if in_place and not image.size:
        raise RestoreRefused(
            f"{named} is not known to hold data: a rebuild from it would leave an"
            " empty disk; use another image"
        )
    if flavor is None:
        return
    sized = not is_volume_backed(image) and flavor.disk
    way = (
        "use another image, or --as NAME with --flavor" if in_place else "use --flavor"
    )
    if sized and image.min_disk > flavor.disk:
        raise RestoreRefused(
            f"{named} requires a disk of {image.min_disk} GiB, and flavor"
            f" {flavor.name} has {flavor.disk} GiB: {way}"
        )
    if image.min_ram > flavor.ram:
        raise RestoreRefused(
            f"{named} requires {image.min_ram} MiB of RAM, and flavor {flavor.name}"
            f" has {flavor.ram} MiB: {way}"
        )


# -- what people are told


def requirements(image: ServerImage) -> str:
    """Return what a flavor must have for an image, as words to follow it.

    Nova writes the disk of the server's own flavor on its images.
    """
    disk = f"a disk of at least {image.min_disk} GiB" if image.min_disk else ""
    ram = f"at least {image.min_ram} MiB of RAM" if image.min_ram else ""
    needed = " and ".join(filter(None, (disk, ram)))
    return f" with {needed}" if needed else ""


def described_flavor(server: ServerFacts) -> str | None:
    """Return what is known of the flavor of a server, None for nothing."""
    sizes = "; ".join(f"{key} {size}" for key, size in server.sizes.items() if size)
    named = server.flavor_name or server.flavor_id
    return f"{named}; {sizes}" if named and sizes else named


def described_differences(plan: RestorePlan) -> tuple[str, ...]:
    """Return what a new server will not have in common with the old one."""
    server, options, flavor = plan.server, plan.options, plan.flavor
    other = flavor is not None and (
        server.flavor_id not in (None, flavor.id)
        or server.flavor_name not in (None, flavor.name)
    )
    sizes = {} if flavor is None or other else server.sizes
    resized = any(getattr(flavor, key, size) != size for key, size in sizes.items())
    private = server.metadata or server.description
    lost = bool(set(server.tags or ()) - set(plan.tags) - set(_own(server.tags)))
    told: tuple[tuple[bool, str], ...] = (
        (True, "its ID and its addresses are new"),
        (True, "user data is not taken over"),
        (
            plan.gone and server.region is not None and options.networks is not None,
            f"the old one was in region {server.region}",
        ),
        (other, f"its flavor is {flavor and flavor.name}"),
        (resized, f"its flavor has other sizes now; it was {described_flavor(server)}"),
        (options.networks is not None, "its networks are those of --network"),
        (
            plan.networks is None,
            "the cloud chooses its networks: those of the old one are not known",
        ),
        (options.groups is not None, "its security groups are those named"),
        (
            options.groups is None and server.groups is None,
            "its security group is the default one: those of the old one are not known",
        ),
        (
            bool(plan.volumes),
            f"its root volume has {plan.image.min_disk} GiB: the cloud requires the"
            " image's minimum disk size",
        ),
        (bool(options.key), f"its key is {options.key}"),
        (options.key == "", "it has no key pair"),
        (
            options.zone not in (None, server.zone),
            f"its availability zone is {options.zone}",
        ),
        (
            options.zone is None and server.zone is not None,
            f"the cloud chooses its availability zone (it was {server.zone})",
        ),
        (
            plan.gone,
            ("" if private else "metadata, description and ")
            + "tags of the old one are not known",
        ),
        (lost or (not plan.gone and server.tags is None), "tags are not taken over"),
        (
            not options.schedule,
            "it has no schedule of images: "
            + ("use scheduled-images-enable" if plan.gone else "see --schedule"),
        ),
    )
    return tuple(text for applies, text in told if applies)


def _own(tags: Iterable[str] | None) -> list[str]:
    """Return the tags that are a schedule."""
    return [tag for tag in tags or () if is_own_tag(tag)]


def described_losses(plan: RestorePlan) -> tuple[str, ...]:
    """Return what the image does not hold."""
    server, image = plan.server, plan.image
    text = [f"all that was written after {write_time(image.created)}"]
    volumes = server.volumes
    if plan.gone:
        volumes = (facts_of(image) or server).volumes
    elif server.boots_from_volume and is_volume_backed(image):
        volumes = ()
    if volumes:
        stay = "they stay attached" if plan.in_place else "attach them yourself"
        if plan.gone:
            stay = "they were attached to it"
        text.append(f"the attached volumes {', '.join(volumes)}: {stay}")
    if plan.flavor is not None and (plan.flavor.ephemeral or plan.flavor.swap):
        end = "destroyed" if plan.in_place else "empty"
        text.append(f"{_scratch(plan.flavor)}: {end}")
    if image.server_id != server.id:
        text.append(
            f"anything of server {server.name}: the image is of server"
            f" {image.server_id or 'none'}"
        )
    return tuple(text)


def _scratch(flavor: Flavor) -> str:
    found = []
    if flavor.ephemeral:
        found.append(f"an ephemeral disk of {flavor.ephemeral} GiB")
    if flavor.swap:
        found.append(f"a swap disk of {flavor.swap} MiB")
    return " and ".join(found)
