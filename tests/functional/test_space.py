"""How much space images take: in lists, in the status, in the metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client import generate_latest

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.model.image import claim_metadata, run_metadata
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service.metrics import Metrics

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..serviceshell import Service
from .fleet import MYSERVER, add_image, project_of, sent
from .gone import make_images
from .runners import advance_to_slot, runner_of, schedule
from .test_volume_backed import SERVER

plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
limited = pytest.mark.parametrize(
    "cloud", [{"extension": False, "image_quota": 6}], indirect=True
)
LIST = ("scheduled-images-list", "--enabled", "--long")


def gib(cloud: Sandbox) -> float:
    """The GiB of the images of myserver, as the cloud knows them."""
    sizes = [image.size or 0 for image in cloud.images(MYSERVER)]
    return round(sum(sizes) / 2**30, 3)


@not_beside_novaclient_7
@limited
def test_lists(cloud: Sandbox, nova: Nova, openstack: OpenStack) -> None:
    make_images(cloud, 3)
    (row,) = json.loads(nova.ok(*LIST, "--price", "0.5", "--format", "json"))
    assert row["gib"] == gib(cloud)
    assert row["month_cost"] == pytest.approx(gib(cloud) / 2, abs=0.01)
    result = nova(*LIST, "--price", "0.5")
    total = f"In all: {gib(cloud):.3f} GiB in 3 images of 1 server, "
    assert result.err.startswith(f"{total}{row['month_cost']:.2f} a month.\n")
    assert "The project's quota of 6 images is reached about " in result.err
    argv = ("server", "image", "schedule", "list", "--enabled", "--long")
    (other,) = openstack.json(*argv, "--price", "0.5")
    assert (other["GiB"], other["Cost A Month"]) == (row["gib"], row["month_cost"])
    assert "Cost" not in nova(*LIST).out


@plain
def test_the_status(cloud: Sandbox) -> None:
    make_images(cloud, 2)
    service = Service(cloud)
    (row,) = json.loads(service.ok("status", "--price", "2", "--format", "json"))
    assert row["gib"] == gib(cloud)
    assert row["month_cost"] == pytest.approx(2 * gib(cloud), abs=0.01)
    result = service("status")
    assert f"In all: {gib(cloud):.3f} GiB in 2 images of 1 server." in result.err


@limited
def test_the_metrics(cloud: Sandbox) -> None:
    schedule(cloud)
    runner = runner_of(cloud)
    runner.finder = Finder(runner.projects, runner.policy, newest=True)
    metrics = Metrics(regions=["RegionOne"])
    for _ in range(3):
        advance_to_slot(cloud)
        metrics.add("RegionOne", runner.tick(), 1.0)
        cloud.advance("5m")
        metrics.add("RegionOne", runner.tick(), 1.0)
    for _ in range(2):
        cloud.advance("12h")
        sent(cloud)
        metrics.add("RegionOne", runner.tick(), 1.0)
    # The day is over after this one.
    assert not [line for line in sent(cloud) if line.startswith("GET /info/usage")]
    metrics.add("RegionOne", runner.tick(), 1.0)
    assert [line for line in sent(cloud) if line.startswith("GET /info/usage")]
    project = project_of(cloud)
    of = {"region": "RegionOne", "project": project}
    value = metrics.registry.get_sample_value
    taken = value("scheduled_images_space_bytes", {**of, "server": MYSERVER})
    assert taken == sum(image.size or 0 for image in cloud.images(MYSERVER))
    full = value(
        "scheduled_images_quota_full_timestamp_seconds", {**of, "limit": "images"}
    )
    assert full is not None
    assert 0 < full - cloud.advance(0) < 10 * 86400
    metrics.add("RegionOne", runner.tick(), 1.0)
    assert not [line for line in sent(cloud) if line.startswith("GET /info/usage")]
    assert value("scheduled_images_space_bytes", {**of, "server": MYSERVER}) == taken
    assert b"server=" in generate_latest(metrics.registry)


def three_days(cloud: Sandbox, retention: int) -> None:
    """Boot a server from a volume, and let three of its images be made."""
    cloud.boot("database", server_id=SERVER, volume_size=8)
    schedule(cloud, retention, server_id=SERVER)
    runner = runner_of(cloud)
    for _ in range(3):
        cloud.advance("1d")
        runner.tick()
        runner.tick()


@plain
def test_the_images_of_a_server_that_boots_from_a_volume(
    cloud: Sandbox, nova: Nova
) -> None:
    """They are empty: their volume snapshots count, read in one request."""
    three_days(cloud, 2)
    sent(cloud)
    (row,) = json.loads(nova.ok(*LIST, "--format", "json"))
    assert (row["counted"], row["gib"]) == (2, 16.0)
    lists = [line for line in sent(cloud) if "/snapshots" in line]
    assert len(lists) == 1
    nova.ok("scheduled-images-list")
    assert not [line for line in sent(cloud) if "/snapshots" in line]
    cloud.fault("GET /snapshots/detail 503")
    result = nova(*LIST)
    assert "In all: at least 0.000 GiB in 2 images of 1 server.\n" in result.err
    assert "The size of 2 images is not known.\n" in result.err
    assert result.status == 0


@not_beside_novaclient_7
@plain
def test_each_image_of_a_volume(
    cloud: Sandbox, nova: Nova, openstack: OpenStack
) -> None:
    """Whatever lists it shows the size of its snapshots, and deleting it as well."""
    three_days(cloud, 3)
    snapshot = ("server", "snapshot")
    prune = ("scheduled-images-prune", "--keep", "2", SERVER)
    dry = ("--dry-run", "--format", "json")
    change = nova.ok("scheduled-images-enable", "--dry-run", SERVER, "1")
    assert "8.0 GiB" in change
    for rows in (
        json.loads(nova.ok("scheduled-images-image-list", SERVER, *dry[1:])),
        json.loads(nova.ok(*prune, *dry)),
    ):
        assert {row["size"] for row in rows} == {8 * 2**30}
    for rows in (
        openstack.json(*snapshot, "list", SERVER),
        openstack.json(*snapshot, "prune", "--keep", "2", "--dry-run", SERVER),
        openstack.json(*snapshot, "prune", "--keep", "2", "--yes", SERVER),
    ):
        assert {row["Size"] for row in rows} == {8 * 2**30}
    done = nova.ok("scheduled-images-prune", "--keep", "1", "--yes", SERVER)
    assert "8.0 GiB" in done


@plain
def test_the_status_asks_for_the_quota_only_to_show_it(cloud: Sandbox) -> None:
    make_images(cloud, 1)
    service = Service(cloud)
    for form, asked in (("json", 0), ("csv", 0), ("table", 1)):
        sent(cloud)
        assert service("status", "--format", form).status == 0
        lines = [line for line in sent(cloud) if line.startswith("GET /info/usage")]
        assert len(lines) == asked


@plain
def test_what_was_left_behind(cloud: Sandbox) -> None:
    service = Service(cloud)
    assert service.ok("leftovers") == ""
    assert service.ok("leftovers", "--format", "json") == "[]\n"
    cloud.boot("database", server_id=SERVER, volume_size=8)
    schedule(cloud, 2, server_id=SERVER)
    runner = runner_of(cloud)
    for _ in range(2):
        cloud.advance("1d")
        runner.tick()
        runner.tick()
    assert service.ok("leftovers") == ""
    project = project_of(cloud)
    older, newer = cloud.images(SERVER)[::-1]
    claim: dict[str, Any] = claim_metadata(SERVER, "c")
    claimed = add_image(cloud, "claim", **claim)
    run: dict[str, Any] = run_metadata(SERVER, "2026-01-01", "n")
    lost = add_image(cloud, "lost", **run)
    with cloud.region() as region:
        region.images.update(claimed, attributes={"status": "queued"})
        region.images.update(lost, attributes={"status": "saving"})
        # One that is gone without its snapshot, and a volume made from that.
        region.images.drop(older.id)
        (snapshot,) = (
            each
            for each in region.volumes.snapshots(project)
            if (each.name or "").endswith(older.name)
        )
        volume = region.volumes.add(
            project_id=project,
            user_id=older.owner,
            name="left",
            size=8,
            snapshot_id=snapshot.id,
        )
    cloud.advance("7h")
    rows = json.loads(service.ok("leftovers", "--format", "json"))
    found = {row["id"]: row for row in rows}
    assert set(found) == {claimed, lost, snapshot.id, volume.id}
    assert found[claimed]["kind"] == "claim"
    assert found[claimed]["effect"] == "the next tick deletes it"
    assert found[lost]["effect"].startswith(
        "if its snapshot is lost, deleting it frees"
    )
    assert found[snapshot.id]["kind"] == "volume snapshot"
    assert found[snapshot.id]["effect"] == "it frees 8 GiB, and no image needs it"
    assert found[volume.id]["kind"] == "volume"
    assert snapshot.id in found[volume.id]["reason"]
    result = service("status")
    assert f"warning: volume {volume.id}: made from volume snapshot" in result.err
    assert newer.id not in result.err
