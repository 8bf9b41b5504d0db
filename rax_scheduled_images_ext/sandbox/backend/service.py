"""The scheduled images service: does what is due as time passes.

Snapshots and rebuilds end, images become due, retention is applied: each at its own
time, in order, however far the clock has moved. :mod:`.model.plan` decides what to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.errors import SnapshotsInDoubt
from rax_scheduled_images_ext.model import retention
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import (
    LONGEST_NAME,
    MAPPING_KEY,
    PENDING_KEY,
    SERVER_KEY,
    ServerImage,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.plan import Action, Cause, Policy, Step, plan
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.volume_snapshots import (
    LONGEST_IMAGE_NAME,
    VolumeSnapshot,
    ids_in_mapping,
    own_snapshots,
)
from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Image,
    ImageQuery,
    NotFound,
    OverQuota,
    Server,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.region.snapshots import WAS_LOST
from rax_scheduled_images_ext.sandbox.backend.state import CloudState
from rax_scheduled_images_ext.sandbox.backend.store import Row

POLICY = Policy()
# Seconds until the service next processes a server that cannot be imaged.
_LOOK_AGAIN = timedelta(minutes=5)


def settle(
    cloud: CloudState,
    region: Callable[[str], Region],
    now: float,
    *,
    scheduled: bool,
    steps: float = math.inf,
) -> None:
    """Do everything that is due up to ``now``, in order.

    :param region: returns a region by its name.
    :param scheduled: whether the cloud has scheduled images.
    :param steps: the maximum number of events.
    :raises ValueError: if there would be more.
    """
    while steps > 0:
        steps -= 1
        snapshot = cloud.store.first(
            "SELECT * FROM snapshots WHERE due <= ? ORDER BY due LIMIT 1", now
        )
        rebuild = cloud.store.first(
            "SELECT * FROM rebuilds WHERE due <= ? ORDER BY due LIMIT 1", now
        )
        run = scheduled and cloud.store.first(
            "SELECT region, id, next_run AS due FROM servers WHERE next_run <= ?"
            " ORDER BY next_run LIMIT 1",
            now,
        )
        due = [each for each in (snapshot, rebuild, run) if each]
        if not due:
            return
        first = min(due, key=lambda each: float(each["due"]))
        cloud.now, place = first["due"], region(first["region"])
        if first is snapshot:
            _snapshot_due(cloud, place, first)
        elif first is rebuild:
            place.rebuilds.step(first)
        else:
            _look(cloud, place, first["id"])
    raise ValueError("cannot advance that far at once: too much happens in that time")


def as_server_image(image: Image) -> ServerImage:
    """Return the image in the form that the rules require."""
    return ServerImage(
        id=image.id,
        name=image.name,
        status=image.compute_status,
        created=_time(image.created),
        size=image.size,
        server_id=image.properties.get(SERVER_KEY),
        owner=image.owner,
        protected=image.protected,
        metadata=image.properties,
        is_queued=image.status == "queued",
        hidden=image.hidden,
    )


def _snapshot_due(cloud: CloudState, region: Region, snapshot: Row) -> None:
    came_to = region.snapshots.step(snapshot)
    server_id, scheduled = snapshot["server_id"], snapshot["scheduled"]
    if not scheduled or region.servers.get(server_id).schedule is None:
        return
    if came_to == WAS_LOST:
        _look_later(cloud, region, server_id, POLICY.interval)
    elif came_to is not None:
        _look(cloud, region, server_id)


def _look(cloud: CloudState, region: Region, server_id: str) -> None:
    """Do what is due for a server, and plan when to process it next."""
    server, schedule = region.servers.get(server_id), region.schedules.get(server_id)
    images = _images(region, server_id)
    since = _time(schedule.enabled_at)
    step = plan(_inventory_server(server), images, _time(cloud.now), POLICY, since)
    assert step.slot is not None
    assert step.next_slot is not None
    # The number of attempts is known here; other services count their claims.
    tried = schedule.attempt if schedule.slot == step.slot.name else 0
    if step.action is Action.DISCARD:
        assert step.image is not None
        region.images.delete(step.image.id)
        _look_later(cloud, region, server_id, _LOOK_AGAIN)
        return
    # Before the next image is made: snapshots may take longer than the interval.
    if step.unsettled:
        _retain(region, server, step.unsettled, images)
    if step.action is Action.MAKE and tried < POLICY.attempts:
        tried += 1
        made = _make(cloud, region, server, step)
        cloud.store.update(
            "servers", region.name, server_id, slot=step.slot.name, attempt=tried
        )
        if not made and tried < POLICY.attempts:
            _look_later(cloud, region, server_id, POLICY.interval)
            return
        if made and server.boots_from_volume:
            # The image is already ACTIVE, and no later event will settle it.
            _look_later(cloud, region, server_id, timedelta())
            return
    elif step.cause in (Cause.BUSY, Cause.SLOW, Cause.STATUS):
        _look_later(cloud, region, server_id, _LOOK_AGAIN)
        return
    due = step.next_slot.due.timestamp()
    cloud.store.update("servers", region.name, server_id, next_run=due)


def _make(cloud: CloudState, region: Region, server: Server, step: Step) -> bool:
    """Start the image of a slot; return whether it was started."""
    assert step.slot is not None
    schedule = region.schedules.get(server.id)
    longest = LONGEST_IMAGE_NAME if server.boots_from_volume else LONGEST_NAME
    name = scheduled_image_name(
        server.name,
        weekly=schedule.day_of_week is not None,
        now=cloud.now,
        longest=longest,
    )
    metadata = run_metadata(server.id, step.slot.name, cloud.new_id())
    try:
        region.snapshots.create(
            server.id, name, metadata, user_id=server.user_id, scheduled=True
        )
    except (Conflict, OverQuota) as refusal:
        region.servers.record(server, "createImage", message=str(refusal))
        return False
    return True


def _retain(
    region: Region,
    server: Server,
    unsettled: Iterable[ServerImage],
    images: list[ServerImage],
) -> None:
    """Apply the retention, since these images are complete."""
    assert server.schedule is not None
    for image in retention.surplus(
        images,
        server.id,
        server.schedule.retention,
        server.project_id,
        # It emulates Rackspace's own service.
        rules=retention.Rules.RACKSPACE,
    ):
        if not image.protected:
            _delete(region, image)
    for image in unsettled:
        properties = dict(image.metadata)
        del properties[PENDING_KEY]
        region.images.update(image.id, properties=properties)


def _delete(region: Region, image: ServerImage) -> None:
    """Delete an image and its own volume snapshots; if in doubt, keep it."""
    own: list[VolumeSnapshot] = []
    if MAPPING_KEY in image.metadata:
        needed: set[str] = set()
        for other in map(as_server_image, region.images.select(ImageQuery())):
            if other.id != image.id:
                needed |= ids_in_mapping(other)
        try:
            own = own_snapshots(
                image, needed.__contains__, lambda wanted: _find(region, wanted)
            )
        except SnapshotsInDoubt:
            return
    region.images.delete(image.id)
    for snapshot in own:
        if snapshot.is_going:
            continue
        region.volumes.delete_snapshot(snapshot.id)


def _find(region: Region, snapshot_id: str) -> VolumeSnapshot | None:
    try:
        found = region.volumes.snapshot(snapshot_id)
    except NotFound:
        return None
    return VolumeSnapshot(found.id, found.name, found.status, found.project_id)


def _look_later(
    cloud: CloudState, region: Region, server_id: str, wait: timedelta
) -> None:
    due = cloud.now + wait.total_seconds()
    cloud.store.update("servers", region.name, server_id, next_run=due)


def _images(region: Region, server_id: str) -> list[ServerImage]:
    found = region.images.select(ImageQuery(properties={SERVER_KEY: server_id}))
    return [as_server_image(image) for image in found]


def _inventory_server(server: Server) -> InventoryServer:
    """Return the server in the form that the rules require."""
    assert server.schedule is not None
    return InventoryServer(
        server.id,
        server.name,
        _time(server.created),
        ImageSchedule(server.schedule.retention, server.schedule.day_of_week),
        project_id=server.project_id,
        status=server.status,
        task_state=server.task_state,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
