"""The sandbox's cloud over virtual time, without HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.sandbox.backend.clock import Clock
from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Image,
    ImageQuery,
    NoSchedule,
    NotFound,
    Schedule,
    Server,
    ServerQuery,
    Unusable,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.seed_data import (
    MYSERVER,
    seed_cloud,
)
from rax_scheduled_images_ext.sandbox.backend.state import Timings
from rax_scheduled_images_ext.sandbox.backend.store import Store

MONDAY = datetime(2026, 1, 5, 12, tzinfo=timezone.utc).timestamp()
HOUR, DAY = 3600, 86400

_opened: list[Cloud] = []


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().store.close()


def new_cloud(
    path: str | None = None, *, start: float = MONDAY, seed: int = 1, **seeds: Any
) -> Cloud:
    cloud = Cloud(Store(path), Clock(start=start, speed=0), seed=seed)
    _opened.append(cloud)
    seed_cloud(cloud, project_id="demo", user_id="admin", **seeds)
    return cloud


@pytest.fixture
def cloud() -> Cloud:
    return new_cloud()


@pytest.fixture
def region(cloud: Cloud) -> Region:
    return cloud.region("RegionOne")


def enable(cloud: Cloud, retention: int, day: str | None = None) -> Schedule:
    with cloud.transaction():
        return cloud.region("RegionOne").schedules.set(MYSERVER, retention, day)


def images(cloud: Cloud, *, deleted: bool = False) -> list[Image]:
    """The server's images, newest first."""
    query = ImageQuery(properties={"instance_uuid": MYSERVER}, deleted=deleted)
    with cloud.transaction():
        return cloud.region("RegionOne").images.select(query)


def unmark(cloud: Cloud, image: Image) -> None:
    kept = {k: v for k, v in image.properties.items() if k != MARKER_KEY}
    with cloud.transaction():
        cloud.region("RegionOne").images.update(image.id, properties=kept)


def task_state(cloud: Cloud) -> str | None:
    with cloud.transaction():
        return cloud.region("RegionOne").servers.get(MYSERVER).task_state


def test_ten_days_leave_the_seven_newest_images(cloud: Cloud) -> None:
    enable(cloud, 7)
    cloud.advance(10 * DAY)
    kept, gone = images(cloud), images(cloud, deleted=True)
    assert len(kept) == 7
    assert len(gone) == 3
    assert max(i.created for i in gone) < min(i.created for i in kept)
    for image in kept:
        assert image.name == f"Daily-myserver-{int(image.created)}"
        assert image.status == "active"
        assert image.properties[MARKER_KEY] == MARKER_VALUE
        assert image.properties["instance_uuid"] == MYSERVER


def test_an_unmarked_image_is_kept_for_good_and_not_counted(cloud: Cloud) -> None:
    enable(cloud, 7)
    cloud.advance(3 * DAY)
    mine = images(cloud)[0]
    unmark(cloud, mine)
    cloud.advance(37 * DAY)
    left = images(cloud)
    assert mine.id in {i.id for i in left}
    assert len(left) == 8


def test_a_lower_retention_waits_for_the_next_active_image(
    cloud: Cloud, region: Region
) -> None:
    enable(cloud, 7)
    cloud.advance(10 * DAY)
    due = enable(cloud, 2).next_run
    cloud.advance(due - cloud.clock.now() + Timings().until_active - 1)
    assert [i.status for i in images(cloud)] == ["saving"] + ["active"] * 7
    cloud.advance(1)
    assert [i.status for i in images(cloud)] == ["active"] * 2


def test_a_weekly_schedule_keeps_to_its_utc_day(cloud: Cloud) -> None:
    enable(cloud, 4, "SATURDAY")
    cloud.advance(6 * 7 * DAY)
    left = images(cloud)
    assert len(left) == 4
    for image in left:
        assert image.name.startswith("Weekly-myserver-")
        assert datetime.fromtimestamp(image.created, timezone.utc).weekday() == 5


def test_a_refused_image_is_tried_three_times(cloud: Cloud, region: Region) -> None:
    due = enable(cloud, 7).next_run
    cloud.advance(due - MONDAY - 60)
    with cloud.transaction():
        region.servers.hold(MYSERVER, True)
    cloud.advance(60 + 2 * HOUR)
    with cloud.transaction():
        tries = [a for a in region.servers.actions(MYSERVER) if a.message]
        schedule = region.schedules.get(MYSERVER)
    assert [a.started for a in reversed(tries)] == [due, due + HOUR, due + 2 * HOUR]
    assert schedule.next_run == due + DAY
    assert schedule.retention == 7


def test_a_busy_server_is_imaged_as_soon_as_its_task_ends(
    cloud: Cloud, region: Region
) -> None:
    cloud.timings = Timings(upload=4 * HOUR)
    due = enable(cloud, 7).next_run
    cloud.advance(due - MONDAY - 60)
    with cloud.transaction():
        mine = region.snapshots.create(MYSERVER, "mine", {}, user_id="admin")
    cloud.advance(60 + 5 * HOUR)
    (made,) = (image for image in images(cloud) if image.id != mine.id)
    assert 4 * HOUR <= made.created - due < 4 * HOUR + 600


def test_a_server_in_error_is_not_imaged_and_not_tried(
    cloud: Cloud, region: Region
) -> None:
    due = enable(cloud, 7).next_run
    cloud.advance(due - MONDAY - 60)
    with cloud.transaction():
        region.servers.reset_state(MYSERVER, "error")
    cloud.advance(60 + 13 * HOUR)
    with cloud.transaction():
        assert not [a for a in region.servers.actions(MYSERVER) if a.message]
        assert region.schedules.get(MYSERVER).next_run == due + DAY
        region.servers.reset_state(MYSERVER, "active")
    # It is late by more than half a day: the next one is due tomorrow.
    cloud.advance(due + DAY - cloud.clock.now())
    assert [image.created for image in images(cloud)] == [due + DAY]


def test_a_retry_makes_the_image_as_soon_as_it_can(
    cloud: Cloud, region: Region
) -> None:
    due = enable(cloud, 7).next_run
    with cloud.transaction():
        region.servers.hold(MYSERVER, True)
    cloud.advance(due - MONDAY + 60)
    with cloud.transaction():
        region.servers.hold(MYSERVER, False)
    cloud.advance(DAY - 120)
    assert [i.created for i in images(cloud)] == [due + HOUR]


def test_disable_keeps_the_images(cloud: Cloud, region: Region) -> None:
    enable(cloud, 7)
    cloud.advance(3 * DAY)
    with cloud.transaction():
        region.schedules.delete(MYSERVER)
    cloud.advance(3 * DAY)
    assert len(images(cloud)) == 3
    with cloud.transaction(), pytest.raises(NoSchedule, match=MYSERVER):
        region.schedules.get(MYSERVER)


def test_deleting_the_server_ends_schedule_and_snapshot_but_keeps_images(
    cloud: Cloud, region: Region
) -> None:
    enable(cloud, 7)
    cloud.advance(2 * DAY)
    with cloud.transaction():
        half = region.snapshots.create(MYSERVER, "half", {}, user_id="admin")
        region.servers.delete(MYSERVER)
    cloud.advance(3 * DAY)
    left = images(cloud)
    assert len(left) == 2
    assert half.id not in {i.id for i in left}
    with cloud.transaction():
        assert region.servers.select(ServerQuery(scheduled=True)) == []
        with pytest.raises(NotFound):
            region.schedules.get(MYSERVER)


def test_a_snapshot_passes_through_its_task_states(
    cloud: Cloud, region: Region
) -> None:
    with cloud.transaction():
        image = region.snapshots.create(
            MYSERVER, "mine", {"why": "test"}, user_id="admin"
        )
        with pytest.raises(Conflict, match="task_state image_snapshot_pending"):
            region.snapshots.create(MYSERVER, "second", {}, user_id="admin")
    seen: list[tuple[str | None, str]] = []
    for _ in range(130):
        state = (task_state(cloud), images(cloud)[0].status)
        if not seen or seen[-1] != state:
            seen.append(state)
        cloud.advance(1)
    assert seen == [
        ("image_snapshot_pending", "queued"),
        ("image_snapshot", "queued"),
        ("image_pending_upload", "queued"),
        ("image_uploading", "saving"),
        ("image_uploading", "active"),
        (None, "active"),
    ]
    assert images(cloud)[0].id == image.id
    assert images(cloud)[0].properties["why"] == "test"


def test_a_marker_is_inherited_from_the_base_image(
    cloud: Cloud, region: Region
) -> None:
    enable(cloud, 7)
    cloud.advance(DAY)
    with cloud.transaction():
        child = region.servers.boot(
            project_id="demo",
            user_id="admin",
            name="child",
            image_id=region.images.select(
                ImageQuery(properties={MARKER_KEY: MARKER_VALUE})
            )[0].id,
            flavor_id="2",
        )
        image = region.snapshots.create(child.id, "by hand", {}, user_id="admin")
    assert image.properties[MARKER_KEY] == MARKER_VALUE
    assert image.properties["instance_uuid"] == child.id


def test_backups_rotate(cloud: Cloud, region: Region) -> None:
    for number in range(4):
        with cloud.transaction():
            region.snapshots.create_backup(
                MYSERVER, f"b{number}", "daily", 2, {}, user_id="admin"
            )
            assert region.servers.get(MYSERVER).task_state == "image_backup"
        cloud.advance(HOUR)
    assert [i.name for i in images(cloud)] == ["b3", "b2"]


def test_long_names_are_cut_in_the_middle(cloud: Cloud, region: Region) -> None:
    with cloud.transaction():
        region.servers.update(MYSERVER, name="é" * 255)
    enable(cloud, 1, "MONDAY")
    cloud.advance(8 * DAY)
    name = images(cloud)[0].name
    assert len(name) == 255
    assert name == f"Weekly-{'é' * 237}-{int(images(cloud)[0].created)}"


def test_same_seed_and_same_calls_give_the_same_cloud() -> None:
    def history(seed: int) -> tuple[list[Image], list[Image]]:
        cloud = new_cloud(seed=seed, servers=3, images_per_server=2)
        enable(cloud, 2)
        cloud.advance(5 * DAY)
        return images(cloud), images(cloud, deleted=True)

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_a_fleet_is_seeded_with_its_images() -> None:
    cloud = new_cloud(servers=5, images_per_server=3)
    with cloud.transaction():
        region = cloud.region("RegionOne")
        fleet = region.servers.select(ServerQuery(name="^server-", scheduled=True))
        found = region.images.select(ImageQuery(properties={MARKER_KEY: MARKER_VALUE}))
    assert {s.name for s in fleet} == {f"server-{n:05d}" for n in range(1, 6)}
    assert len(found) == 15
    cloud.advance(DAY + HOUR)
    with cloud.transaction():
        found = region.images.select(ImageQuery(properties={MARKER_KEY: MARKER_VALUE}))
    assert len(found) == 15
    assert max(i.created for i in found) > MONDAY


@pytest.mark.parametrize("sort", [(("name", "asc"), ("id", "desc")), None])
def test_pages_join_up_without_gaps(sort: tuple[tuple[str, str], ...] | None) -> None:
    cloud = new_cloud(servers=10, images_per_server=1)
    every = ServerQuery(sort=sort) if sort else ServerQuery()
    with cloud.transaction():
        region = cloud.region("RegionOne")
        whole = region.servers.select(every)
        seen: list[Server] = []
        while page := region.servers.select(
            replace(every, limit=3, marker=seen[-1].id if seen else None)
        ):
            seen += page
    assert seen == whole
    assert len(seen) == 14


def test_a_store_goes_on_where_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "cloud")
    first = new_cloud(path)
    enable(first, 3)
    first.advance(5 * DAY)
    before = images(first)
    first.store.close()
    second = new_cloud(path, start=0)
    assert images(second) == before
    assert second.clock.now() == MONDAY + 5 * DAY
    second.advance(DAY)
    assert len(images(second)) == 3
    assert images(second)[0].created > before[0].created


def test_a_store_is_for_one_process_and_for_this_program(tmp_path: Path) -> None:
    path = str(tmp_path / "cloud")
    first = new_cloud(path)
    with pytest.raises(Unusable, match="locked"):
        Store(path)
    first.store.close()
    text = tmp_path / "text"
    text.write_text("not a database, but long enough to be looked at" * 20)
    with pytest.raises(Unusable, match="not a database"):
        Store(str(text))


def test_a_failed_request_leaves_nothing_behind(cloud: Cloud, region: Region) -> None:
    def fail() -> None:
        with cloud.transaction():
            region.servers.delete(MYSERVER)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with cloud.transaction():
        assert region.servers.get(MYSERVER).status == "ACTIVE"


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(st.floats(0, 2 * DAY), max_size=8))
def test_steps_of_time_do_not_matter(steps: list[float]) -> None:
    """However the time passed, what happened in it is the same."""

    def history(parts: list[float]) -> list[tuple[str, float]]:
        cloud = new_cloud()
        enable(cloud, 2)
        for part in parts:
            cloud.advance(part)
        cloud.advance(10 * DAY - sum(parts) if sum(parts) < 10 * DAY else 0)
        return [(i.name, i.created) for i in images(cloud)]

    parts = [min(step, DAY) for step in steps]
    assert history(parts) == history([])


def test_a_clock_never_goes_back() -> None:
    wall = [100.0]
    clock = Clock(start=1000, speed=2, wall=lambda: wall[0])
    wall[0] = 110
    assert clock.now() == 1020
    wall[0] = 50
    assert clock.now() == 1020
    wall[0] = 51
    assert clock.advance(5) == 1027
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
