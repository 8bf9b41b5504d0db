"""Images of volume-backed servers, which retention deletes with their snapshots."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1.exceptions import ClientException
from requests import Response

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.engine import settling
from rax_scheduled_images_ext.engine.projects import OneProject
from rax_scheduled_images_ext.engine.results import Result, Tick
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.engine.sweep import (
    Leftover,
    delete_leftovers,
    left_snapshots,
    sweep_volumes,
)
from rax_scheduled_images_ext.errors import ScheduledImagesError, SnapshotsLeft
from rax_scheduled_images_ext.model import plan, retention
from rax_scheduled_images_ext.model.image import (
    MAPPING_KEY,
    MARKER_KEY,
    OWN_KEY,
    PENDING_KEY,
    SERVER_KEY,
    run_metadata,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    FATE_KEY,
    GOES,
    IMAGE_KEY,
    STAYS,
    WHOLE,
    Proof,
    VolumeSnapshot,
)
from rax_scheduled_images_ext.operations.delete import NamingImages, delete_image
from rax_scheduled_images_ext.operations.proof import prove
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery

from ..serviceshell import Service
from .actors import Actor, Command
from .fleet import MARKED, NOBODY, add_image, id_of, project_of, sent
from .interceptor import DROPPED, Interceptor, json_answer, page
from .raw import START
from .runners import connected, results, runner_of, schedule
from .test_service import events

pytestmark = pytest.mark.flow

plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
SERVER = "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"
IN_USE = '{"badRequest": {"code": 400, "message": "Snapshot is in use"}}'
GONE = '{"itemNotFound": {"code": 404, "message": "could not be found"}}'


@pytest.fixture
def runner(cloud: Sandbox) -> Runner:
    """A runner for a server that boots from a volume and keeps one daily image."""
    cloud.boot("database", server_id=SERVER, volume_size=8)
    schedule(cloud, 1, server_id=SERVER)
    return runner_of(cloud)


def images(cloud: Sandbox) -> list[Image]:
    """The server's images, oldest first."""
    return cloud.images(SERVER)[::-1]


def snapshots(cloud: Sandbox) -> list[str]:
    """The IDs of all volume snapshots, oldest first."""
    project_id = project_of(cloud)
    with cloud.region() as region:
        return [each.id for each in region.volumes.snapshots(project_id)][::-1]


def named(image: Image) -> list[str]:
    """The volume snapshots that an image names."""
    return [each["snapshot_id"] for each in json.loads(image.properties[MAPPING_KEY])]


def a_day(cloud: Sandbox, runner: Runner) -> Tick:
    """Make the image of the next day; return the tick after that."""
    cloud.advance("1d")
    assert results(runner.tick()) == ["STARTED"]
    return runner.tick()


def two_images(cloud: Sandbox, runner: Runner) -> tuple[Image, Image]:
    """Let two images be there, of which the older one is surplus."""
    a_day(cloud, runner)
    cloud.advance("1d")
    runner.tick()
    older, newer = images(cloud)
    return older, newer


def now_of(cloud: Sandbox) -> datetime:
    return datetime.fromtimestamp(cloud.advance(0), timezone.utc)


def sweep(cloud: Sandbox, client: Cloud | None = None) -> list[Leftover]:
    """Delete what is left behind, as a later look does."""
    client = client or connected(cloud)
    assert client.volumes is not None
    naming = NamingImages(client.images)
    return sweep_volumes(OneProject(client), now_of(cloud), naming)


def change(cloud: Sandbox, image: Image, **properties: str) -> None:
    """Change an image's properties behind everybody's back."""
    with cloud.region() as region:
        whole = {**image.properties, **properties}
        region.images.update(image.id, properties=whole)


@plain
class TestTheEngine:
    def test_a_day(self, cloud: Sandbox, runner: Runner) -> None:
        cloud.advance("1d")
        assert results(runner.tick()) == ["STARTED"]
        with cloud.region() as region:
            assert region.servers.get(SERVER).task_state is None
        (image,) = images(cloud)
        assert (image.status, image.size) == ("active", 0)
        assert named(image) == snapshots(cloud)
        # Nothing is copied, so the retention can be applied at once.
        assert results(runner.tick()) == ["RETAINED"]
        assert results(runner.tick()) == ["NOTHING"]

    def test_a_server_with_a_very_long_name(self, cloud: Sandbox) -> None:
        """Nova puts "snapshot for " before the name: 255 characters are allowed."""
        cloud.boot("n" * 255, server_id=SERVER, volume_size=1)
        schedule(cloud, 1, server_id=SERVER)
        cloud.advance("1d")
        assert results(runner_of(cloud).tick()) == ["STARTED"]
        (image,) = images(cloud)
        assert len(image.name) == 255 - len("snapshot for ")

    def test_the_snapshots_go_after_the_image(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, newer = two_images(cloud, runner)
        sent(cloud)
        (result,) = runner.tick().results
        (pruned,) = result.pruned
        assert (pruned.action, pruned.image.id) == ("deleted", older.id)
        (gone,), kept = named(older), named(newer)
        changes = [line for line in sent(cloud) if line.startswith(("DELETE", "POST"))]
        assert changes == [
            f"POST /volume/v3/snapshots/{gone}/metadata 200",
            f"DELETE /images/{older.id} 204",
            f"DELETE /volume/v3/snapshots/{gone} 202",
        ]
        assert images(cloud) == [each for each in cloud.images() if each.id == newer.id]
        assert snapshots(cloud) == kept

    def test_a_week_leaves_one_of_each(self, cloud: Sandbox, runner: Runner) -> None:
        for _ in range(7):
            a_day(cloud, runner)
        (image,) = images(cloud)
        assert snapshots(cloud) == named(image)

    def test_a_server_with_two_volumes(self, cloud: Sandbox, runner: Runner) -> None:
        with cloud.region() as region:
            owner = region.servers.get(SERVER)
            more: dict[str, Any] = {
                "project_id": owner.project_id,
                "user_id": owner.user_id,
            }
            volume = region.volumes.add(size=3, **more)
            region.cloud.store.update(
                *("volumes", region.name, volume.id),
                server_id=SERVER,
                device="/dev/vdb",
            )
        for _ in range(3):
            a_day(cloud, runner)
        (image,) = images(cloud)
        assert sorted(snapshots(cloud)) == sorted(named(image))
        assert len(named(image)) == 2

    def test_snapshots_of_others_are_not_looked_at(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        with cloud.region() as region:
            (volume,) = region.volumes.of_server(SERVER)
            own = region.volumes.add_snapshot(
                volume.id, user_id=volume.user_id, name="by hand", in_use=True
            )
        for _ in range(3):
            a_day(cloud, runner)
        assert own.id in snapshots(cloud)
        assert not [each for each in sent(cloud) if own.id in each]

    def test_one_without_data_is_discarded_with_its_snapshots(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        """Nova has died before the image was ACTIVE."""
        cloud.advance("1d")
        runner.tick()
        (image,) = images(cloud)
        with cloud.region() as region:
            attributes = {"status": "queued", "size": None}
            region.images.update(image.id, attributes=attributes)
        cloud.advance("11m")
        assert results(runner.tick()) == ["DISCARDED"]
        assert images(cloud) == []
        assert snapshots(cloud) == []

    def test_an_image_whose_snapshots_failed_is_made_again(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        """Nova calls it ACTIVE: it replaces none, and goes with its snapshots."""
        a_day(cloud, runner)
        (older,) = images(cloud)
        cloud.fault("fail-volume x1")
        cloud.advance("1d")
        assert results(runner.tick()) == ["STARTED"]
        tick = runner.tick()
        assert results(tick) == ["BROKEN"]
        assert "error, not available" in str(tick.failures[0].reason)
        assert [each.id for each in images(cloud)] == [older.id]
        assert snapshots(cloud) == named(older)
        # The next try is that of the next hour.
        assert results(runner.tick()) == ["LEFT"]
        cloud.advance("1h")
        assert results(runner.tick()) == ["STARTED"]
        assert results(runner.tick()) == ["RETAINED"]
        assert len(images(cloud)) == len(snapshots(cloud)) == 1

    @pytest.mark.parametrize("fails", [True, False])
    def test_of_two_images_of_a_slot_one_that_is_whole_stays(
        self, cloud: Sandbox, runner: Runner, fails: bool
    ) -> None:
        """The younger one goes only once the older one is known to be whole."""
        if fails:
            cloud.fault("fail-volume x1")
        cloud.advance("1d")
        (result,) = runner.tick().results
        assert result.step.slot is not None
        # A request that was held up on its way arrives.
        late = run_metadata(SERVER, result.step.slot.name, "1-late")
        cloud.advance(60)
        with cloud.region() as region:
            name = "Daily-database-1767225600"
            region.snapshots.create(SERVER, name, late, user_id="someone")
        older, younger = images(cloud)
        expected = ["BROKEN", "RETAINED"] if fails else ["RETAINED", "DEDUPLICATED"]
        came = [results(runner.tick()) for _ in range(3)]
        assert came == [[expected[0]], [expected[1]], ["NOTHING"]]
        assert [each.id for each in images(cloud)] == [(older, younger)[fails].id]

    def test_broken_images_push_no_good_one_out(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        a_day(cloud, runner)
        (good,) = images(cloud)
        cloud.fault("fail-volume")
        told = 0
        for _ in range(3 * 24 - 9):
            cloud.advance("1h")
            tick = runner_of(cloud).tick()
            told += len(tick.failures)
            assert good.id in [each.id for each in images(cloud)]
        # Three tries a day for two days, and that all are used.
        assert told == 8
        # And the schedule goes on.
        cloud.clear_faults()
        for _ in range(25):
            cloud.advance("1h")
            runner_of(cloud).tick()
        (newest,) = images(cloud)
        assert newest.id != good.id
        assert snapshots(cloud) == named(newest)

    def test_without_a_proof_a_broken_image_would_push_a_good_one_out(
        self, cloud: Sandbox, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settling, "prove", lambda *arguments: WHOLE)
        a_day(cloud, runner)
        (good,) = images(cloud)
        cloud.fault("fail-volume x1")
        a_day(cloud, runner)
        assert good.id not in [each.id for each in images(cloud)]

    def test_snapshots_that_are_being_made_are_waited_for(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        a_day(cloud, runner)
        cloud.fault("hang-volume x1")
        cloud.advance("1d")
        assert results(runner.tick()) == ["STARTED"]
        tick = runner.tick()
        assert results(tick) == ["UNPROVEN"]
        assert not tick.failures
        assert tick.overdue(owners=True) == []
        cloud.advance("3h")
        tick = runner.tick()
        assert tick.overdue(owners=True) == tick.left == tick.results
        assert "creating" in str(tick.left[0].reason)
        assert len(images(cloud)) == 2
        # It keeps no later one back, and is settled at last.
        cloud.advance("21h")
        assert results(runner.tick()) == ["STARTED"]
        _, hung, _ = images(cloud)
        (snapshot,) = named(hung)
        with cloud.region() as region:
            region.volumes.set_snapshot_status(snapshot, "available")
        assert results(runner.tick()) == ["RETAINED"]
        assert len(images(cloud)) == len(snapshots(cloud)) == 1

    def test_an_image_without_data_or_mapping_never_counts(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, newer = two_images(cloud, runner)
        properties = dict(newer.properties)
        del properties[MAPPING_KEY]
        with cloud.region() as region:
            region.images.update(newer.id, properties=properties)
        assert results(runner.tick()) == ["BROKEN"]
        assert [each.id for each in images(cloud)] == [older.id]

    def test_a_mapping_that_cannot_be_read_proves_nothing(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, newer = two_images(cloud, runner)
        change(cloud, newer, **{MAPPING_KEY: "?"})
        assert results(runner.tick()) == ["UNPROVEN"]
        assert {older.id, newer.id} == {each.id for each in images(cloud)}

    def test_a_broken_image_that_its_owner_keeps_stays(
        self, cloud: Sandbox, runner: Runner, nova: Any
    ) -> None:
        cloud.fault("fail-volume x1")
        cloud.advance("1d")
        assert results(runner.tick()) == ["STARTED"]
        (image,) = images(cloud)
        nova.ok("scheduled-images-protect", image.id)
        assert results(runner.tick()) == ["NOTHING"]
        assert [each.id for each in images(cloud)] == [image.id]

    def test_snapshots_of_a_server_booted_from_an_image_push_none_out(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        """Nova lets them name the old server, with all that its image carries."""
        a_day(cloud, runner)
        (own,) = images(cloud)
        child = cloud.boot("child", image_id=own.id, volume_size=1)
        copies = [by_hand(cloud, child.id) for _ in range(2)]
        for copy in copies:
            assert copy.properties[SERVER_KEY] == SERVER
            assert copy.properties[MARKER_KEY]
        for _ in range(3):
            a_day(cloud, runner)
        *left, own = images(cloud)
        assert [each.id for each in left] == [copy.id for copy in copies]
        assert own.properties[OWN_KEY].startswith(own.id)

    def test_without_a_look_for_copies_they_would_push_it_out(
        self, cloud: Sandbox, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_day(cloud, runner)
        (own,) = images(cloud)
        child = cloud.boot("child", image_id=own.id, volume_size=1)
        copy = by_hand(cloud, child.id)
        for module in (plan, retention):
            monkeypatch.setattr(module, "inherited_copies", lambda images: frozenset())
        a_day(cloud, runner)
        assert copy.id not in [each.id for each in images(cloud)]

    def test_an_unreachable_service_is_tried_again(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, _ = two_images(cloud, runner)
        cloud.fault("GET /snapshots/ 503 x1")
        (result,) = runner.tick().left
        # Nobody knows whether the newer one is whole, so it replaces none.
        assert result.result is Result.UNPROVEN
        assert "HTTP 503" in str(result.reason)
        assert len(images(cloud)) == len(snapshots(cloud)) == 2
        assert results(runner.tick()) == ["RETAINED"]
        assert older.id not in [each.id for each in images(cloud)]
        assert len(snapshots(cloud)) == 1

    def test_a_snapshot_that_is_left_is_reported(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, _ = two_images(cloud, runner)
        cloud.fault("DELETE /snapshots/ 503")
        tick = runner.tick()
        (result,) = tick.failures
        assert result.result is Result.RETAINED
        (pruned,) = result.pruned
        (left,) = named(older)
        assert pruned.action == "deleted"
        assert f"not: {left}: Service Unavailable" in pruned.reason
        assert result.reason == pruned.reason
        assert left in snapshots(cloud)
        # It is not reported for ever: the image is gone, and the retention was applied.
        assert PENDING_KEY not in images(cloud)[0].properties

    def test_an_image_whose_deletion_got_no_answer(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, newer = two_images(cloud, runner)
        cloud.fault(f"DELETE /images/{older.id} lose-answer")
        (result,) = runner.tick().results
        assert [each.action for each in result.pruned] == ["deleted"]
        assert snapshots(cloud) == named(newer)

    def test_an_image_whose_deletion_was_not_done(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, _ = two_images(cloud, runner)
        cloud.fault(f"DELETE /images/{older.id} drop x1")
        (result,) = runner.tick().failures
        assert [each.action for each in result.pruned] == ["failed"]
        assert len(images(cloud)) == len(snapshots(cloud)) == 2


@pytest.fixture
def surplus(cloud: Sandbox, runner: Runner) -> Image:
    """An image that is to go."""
    older, _ = two_images(cloud, runner)
    return older


@plain
class TestTheService:
    @pytest.fixture(autouse=True)
    def due(self, surplus: Image) -> None:
        """A retention that a tick is to apply."""

    def test_a_snapshot_that_is_left_is_reported(
        self, cloud: Sandbox, surplus: Image, tmp_path: Path
    ) -> None:
        cloud.fault("DELETE /snapshots/ 503")
        told = tmp_path / "told.json"
        hook = f"sh -c {shlex.quote(f'cat > {told}')}"
        argv = ("--on-failure", hook, "--log-format", "json")
        tick = Service(cloud)("tick", *argv)
        assert tick.status == 1
        deleted, _, swept = events(tick)
        (left,) = named(surplus)
        assert (swept["event"], swept["snapshot"]) == ("volume snapshot left", left)
        why = f"Image {surplus.id} is deleted, but these volume snapshots of it are not"
        assert (deleted["event"], deleted["level"]) == ("image deleted", "ERROR")
        assert deleted["reason"].startswith(f"{why}: {left}: Service Unavailable")
        assert json.loads(told.read_text())["reason"] == deleted["reason"]

    def test_an_image_that_stays_is_reported(
        self, cloud: Sandbox, surplus: Image
    ) -> None:
        with cloud.region() as region:
            region.images.update(surplus.id, attributes={"name": "before"})
        tick = Service(cloud)("tick", "--log-format", "json")
        assert tick.status == 4
        skipped, _ = events(tick)
        assert (skipped["event"], skipped["image"]) == ("image skipped", surplus.id)
        assert skipped["level"] == "WARNING"
        (own,) = named(surplus)
        assert skipped["reason"].startswith(f"its volume snapshot {own} is called")


@plain
def test_volume_snapshots_that_cannot_be_listed_are_reported_once(
    cloud: Sandbox, runner: Runner
) -> None:
    cloud.fault("GET /snapshots/detail 503")
    service = Service(cloud)
    tick = service("tick", "--log-format", "json")
    (told,) = events(tick)
    assert (told["event"], told["level"]) == ("volume snapshots not listed", "WARNING")
    assert service("tick").err == ""
    status = service("status")
    assert "warning: what is left behind cannot be listed: " in status.err


@pytest.fixture
def replaced(cloud: Sandbox, surplus: Image) -> Image:
    """An image that is to go since a newer one is known to be whole."""
    _, newer = images(cloud)
    properties = dict(newer.properties)
    del properties[PENDING_KEY]
    with cloud.region() as region:
        region.images.update(newer.id, properties=properties)
    return surplus


@plain
class TestPrune:
    @pytest.fixture
    def surplus(self, replaced: Image) -> Image:
        """An image that is to go."""
        return replaced

    def prune(self, nova: Any, status: int = 0) -> tuple[list[dict[str, Any]], str]:
        """Prune; return the rows and what was written on stderr."""
        argv = ("scheduled-images-prune", "--yes", "database", "--format", "json")
        result = nova(*argv)
        assert result.status == status, result
        return json.loads(result.out), result.err

    def test_the_images_are_listed_once(self, nova: Any, cloud: Sandbox) -> None:
        cloud.boot("database", server_id=SERVER, volume_size=1)
        other = cloud.boot("other", volume_size=1)
        for server_id in (SERVER, other.id):
            for _ in range(3):
                image_of(cloud, server_id)
        argv = ("scheduled-images-prune", "--yes", "--keep", "1", "database", "other")
        sent(cloud)
        nova.ok(*argv)
        lines = sent(cloud)
        assert len([line for line in lines if line.startswith("DELETE /images/")]) == 4
        listed = [line for line in lines if line.startswith("GET /images?limit=1000 ")]
        assert len(listed) == 1
        assert len(snapshots(cloud)) == 2

    def test_the_snapshots_go_too(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        rows, err = self.prune(nova)
        assert [(row["id"], row["action"]) for row in rows] == [(surplus.id, "deleted")]
        assert err == ""
        (image,) = images(cloud)
        assert snapshots(cloud) == named(image)

    def stays(self, nova: Any, cloud: Sandbox, image: Image, why: str) -> None:
        """The image and all snapshots stay, and the reason is reported."""
        before = snapshots(cloud)
        rows, err = self.prune(nova)
        assert [(row["action"], row["reason"]) for row in rows] == [("skipped", why)]
        assert err == ""
        assert image.id in [each.id for each in images(cloud)]
        assert snapshots(cloud) == before

    def test_no_block_storage_service(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        front.change("POST", "/tokens$", lambda c: c.replace(b'"block-', b'"no-'))
        why = "no block storage service in the catalog to delete its volume snapshots"
        self.stays(nova, cloud, surplus, why)

    def test_a_catalog_of_older_clouds(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        old = b'"volumev3"'
        front.change("POST", "/tokens$", lambda c: c.replace(b'"block-storage"', old))
        self.prune(nova)
        assert len(snapshots(cloud)) == 1

    @pytest.mark.parametrize(
        "mapping", ["none", '[{"source_type": "tape"}]', "{}", "[]"]
    )
    def test_an_image_of_nothing_does_not_count(
        self, nova: Any, cloud: Sandbox, surplus: Image, mapping: str
    ) -> None:
        change(cloud, images(cloud)[1], **{MAPPING_KEY: mapping})
        assert self.prune(nova) == ([], "There is nothing to delete.\n")
        argv = ("scheduled-images-image-list", "database", "--format", "json")
        empty, whole = json.loads(nova.ok(*argv))
        assert (empty["code"], empty["counted"]) == ("empty", False)
        assert (whole["id"], whole["counted"]) == (surplus.id, True)

    def test_a_renamed_image(self, nova: Any, cloud: Sandbox, surplus: Image) -> None:
        with cloud.region() as region:
            region.images.update(surplus.id, attributes={"name": "before"})
        (own,) = named(surplus)
        called = f"is called 'snapshot for {surplus.name}', not 'snapshot for before'"
        self.stays(nova, cloud, surplus, f"its volume snapshot {own} {called}")

    def test_a_snapshot_that_cannot_be_deleted_now(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        (own,) = named(surplus)
        with cloud.region() as region:
            region.volumes.set_snapshot_status(own, "backing-up")
        why = f"its volume snapshot {own} is backing-up, not available"
        self.stays(nova, cloud, surplus, why)

    def test_a_snapshot_of_another_project(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        """As an administrator sees it."""
        ours = project_of(cloud).encode()
        front.change("GET", "/snapshots/", lambda c: c.replace(ours, b"theirs"))
        why = f"its volume snapshot {named(surplus)[0]} is not known to belong to the"
        self.stays(nova, cloud, surplus, f"{why} image's project")

    def test_a_user_who_may_not_look_at_snapshots(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        cloud.fault("GET /snapshots/ refuse")
        (own,) = named(surplus)
        text = "Forbidden (a fault of the sandbox: GET /snapshots/ refuse) (HTTP 403)"
        before = snapshots(cloud)
        rows, _ = self.prune(nova)
        assert rows[0]["action"] == "skipped"
        assert rows[0]["reason"].startswith(f"its volume snapshot {own}: {text}")
        assert snapshots(cloud) == before

    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_snapshot_that_another_image_names_stays(
        self, nova: Any, cloud: Sandbox, surplus: Image, hidden: bool
    ) -> None:
        mapping: dict[str, Any] = {MAPPING_KEY: surplus.properties[MAPPING_KEY]}
        copy = add_image(cloud, "copy", **mapping)
        with cloud.region() as region:
            region.images.update(copy, attributes={"hidden": hidden})
        rows, _ = self.prune(nova)
        assert [row["action"] for row in rows] == ["deleted"]
        assert surplus.id not in [each.id for each in images(cloud)]
        assert named(surplus)[0] in snapshots(cloud)

    def test_an_inherited_mapping_takes_nothing_away(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        """The image whose snapshot it was is gone by now."""
        with cloud.region() as region:
            region.images.delete(surplus.id)
        heir: dict[str, Any] = dict(surplus.properties)
        add_image(cloud, "made of its child", **heir)
        argv = ("scheduled-images-prune", "--yes", "--keep", "1", "database")
        result = nova(*argv, "--format", "json")
        assert {row["action"] for row in json.loads(result.out)} <= {
            "skipped",
            "deleted",
        }
        assert named(surplus)[0] in snapshots(cloud)

    def test_snapshots_that_are_gone_already(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        with cloud.region() as region:
            region.volumes.delete_snapshot(named(surplus)[0])
        rows, err = self.prune(nova)
        assert ([row["action"] for row in rows], err) == (["deleted"], "")

    def test_a_snapshot_that_goes_meanwhile(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        front.answer("DELETE", "/snapshots/", json_answer("404 Not Found", GONE))
        rows, err = self.prune(nova)
        assert ([row["action"] for row in rows], err) == (["deleted"], "")

    def test_a_404_that_is_not_the_services(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        front.answer("GET", "/snapshots/", page("404 Not Found"))
        rows, err = self.prune(nova, status=1)
        assert [row["action"] for row in rows] == ["failed"]
        assert f"Delete for image {surplus.id} failed: " in err
        assert len(images(cloud)) == len(snapshots(cloud)) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            json_answer("400 Bad Request", IN_USE),
            json_answer("409 Conflict", IN_USE.replace("400", "409")),
            page("502 Bad Gateway"),
            DROPPED,
        ],
    )
    def test_a_snapshot_that_is_left_is_named(
        self,
        nova: Any,
        cloud: Sandbox,
        surplus: Image,
        front: Interceptor,
        answer: Any,
    ) -> None:
        front.answer("DELETE", "/snapshots/", answer)
        rows, err = self.prune(nova, status=1)
        (left,) = named(surplus)
        assert [row["action"] for row in rows] == ["deleted"]
        assert err.startswith(
            f"Image {surplus.id} is deleted, but these volume snapshots of it are not:"
            f" {left}: "
        )
        assert err.count("\n") == 1
        assert left in snapshots(cloud)

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_user_who_may_not_change_snapshots(
        self, nova: Any, cloud: Sandbox, surplus: Image, status: int
    ) -> None:
        """Nothing would find them again once the image is gone."""
        cloud.fault(f"POST /snapshots/ {status}")
        (own,) = named(surplus)
        before = snapshots(cloud)
        (row,), err = self.prune(nova)
        assert row["action"] == "skipped"
        assert row["reason"].startswith(f"its volume snapshot {own}: ")
        assert f"(HTTP {status})" in row["reason"]
        assert err == ""
        assert surplus.id in [each.id for each in images(cloud)]
        assert snapshots(cloud) == before

    def test_a_mark_that_is_not_kept(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        """No error is not success."""
        front.answer("POST", "/metadata$", json_answer("200 OK", '{"metadata": {}}'))
        rows, err = self.prune(nova, status=1)
        assert [row["action"] for row in rows] == ["failed"]
        assert "without the metadata that was set" in err
        assert len(images(cloud)) == len(snapshots(cloud)) == 2

    def test_a_404_of_a_proxy_does_not_prove_that_an_image_is_gone(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        front.answer("DELETE", f"/images/{surplus.id}$", DROPPED)
        front.answer("GET", f"/images/{surplus.id}$", page("404 Not Found"))
        rows, _ = self.prune(nova, status=1)
        assert [row["action"] for row in rows] == ["failed"]
        assert len(images(cloud)) == len(snapshots(cloud)) == 2


def image_of(cloud: Sandbox, server_id: str = SERVER) -> Image:
    """Make an image of a server, as the service does."""
    metadata = {SERVER_KEY: server_id, "image_type": "snapshot", **MARKED}
    return by_hand(cloud, server_id, metadata)


def by_hand(
    cloud: Sandbox, server_id: str, metadata: dict[str, str] | None = None
) -> Image:
    """Make an image of a server, as anybody can."""
    with cloud.region() as region:
        number = len(region.images.select(ImageQuery()))
        user_id = region.servers.get(server_id).user_id
        image = region.snapshots.create(
            server_id, f"image {number}", metadata or {}, user_id=user_id
        )
    cloud.advance("1m")
    return image


@plain
class TestProof:
    @pytest.fixture(autouse=True)
    def backed(self, cloud: Sandbox) -> None:
        """A server that boots from a volume."""
        cloud.boot("database", server_id=SERVER, volume_size=8)

    def proof(self, cloud: Sandbox, image: Image, client: Cloud | None = None) -> Proof:
        client = client or connected(cloud)
        return prove(client, client.images.get(image.id))

    def test_one_request_a_snapshot(self, cloud: Sandbox) -> None:
        image = image_of(cloud)
        client = connected(cloud)
        found = client.images.get(image.id)
        sent(cloud)
        assert prove(client, found).is_whole
        (own,) = named(image)
        assert sent(cloud) == [f"GET /volume/v3/snapshots/{own} 200"]

    def test_an_image_with_data_takes_none(self, cloud: Sandbox) -> None:
        image_id = add_image(cloud, "data")
        client = connected(cloud)
        found = client.images.get(image_id)
        sent(cloud)
        assert prove(client, found).is_whole
        assert sent(cloud) == []

    @pytest.mark.parametrize(
        ("fault", "wholeness", "status"),
        [
            ("fail-volume", "broken", "error"),
            ("hang-volume of database x1", "waiting", "creating"),
            ("fail-volume of another", "whole", None),
        ],
    )
    def test_nova_makes_it_active_even_if_its_snapshots_fail(
        self, cloud: Sandbox, fault: str, wholeness: str, status: str | None
    ) -> None:
        cloud.fault(fault)
        image = image_of(cloud)
        assert (image.status, image.size) == ("active", 0)
        proof = self.proof(cloud, image)
        assert proof.wholeness.value == wholeness
        why = f"its volume snapshot {named(image)[0]} is {status}, not available"
        assert proof.reason == (why if status else "")
        cloud.clear_faults()
        # What hung goes on, what failed does not.
        again = "whole" if wholeness == "waiting" else wholeness
        assert self.proof(cloud, image).wholeness.value == again

    def test_a_snapshot_that_is_gone(self, cloud: Sandbox) -> None:
        image = image_of(cloud)
        (own,) = named(image)
        with cloud.region() as region:
            region.volumes.delete_snapshot(own)
        proof = self.proof(cloud, image)
        # Another service than the one that made it would say the same.
        assert proof.wholeness.value == "unprovable"
        assert proof.reason == f"its volume snapshot {own} is gone"

    def test_an_image_without_data_and_without_a_mapping(self, cloud: Sandbox) -> None:
        image = image_of(cloud)
        with cloud.region() as region:
            properties = dict(image.properties)
            del properties[MAPPING_KEY]
            region.images.update(image.id, properties=properties)
        assert self.proof(cloud, image).wholeness.value == "broken"

    @pytest.mark.parametrize(
        "fault", ["refuse", "401", "404 html", "500", "502 html", "truncate", "drop"]
    )
    def test_what_cannot_be_read_proves_nothing(
        self, cloud: Sandbox, fault: str
    ) -> None:
        image = image_of(cloud)
        cloud.fault(f"GET /snapshots/ {fault}")
        proof = self.proof(cloud, image)
        assert proof.wholeness.value == "unprovable"
        assert proof.reason.startswith(f"its volume snapshot {named(image)[0]}: ")

    def test_no_block_storage_service(self, cloud: Sandbox, front: Interceptor) -> None:
        image = image_of(cloud)
        front.change("POST", "/tokens$", lambda c: c.replace(b'"block-', b'"no-'))
        proof = self.proof(cloud, image)
        assert proof.wholeness.value == "unprovable"
        assert "no block storage service" in proof.reason

    def test_an_image_of_another_project(self, cloud: Sandbox) -> None:
        """Its snapshots are not shown there: that does not mean they are gone."""
        image = image_of(cloud)
        with cloud.region() as region:
            region.images.update(image.id, attributes={"visibility": "public"})
        proof = self.proof(cloud, image, connected(cloud, "stranger"))
        assert proof.wholeness.value == "unprovable"
        assert proof.reason.endswith("may be in another project")


@plain
class TestLeftovers:
    @pytest.fixture
    def surplus(self, replaced: Image) -> Image:
        """An image that is to go."""
        return replaced

    @pytest.fixture
    def kept(self, cloud: Sandbox, surplus: Image, nova: Any) -> str:
        """A snapshot whose deletion was accepted and not done, and its image is gone.

        So it is on RBD where a volume was cloned from it.
        """
        cloud.fault("keep-volume")
        nova.ok("scheduled-images-prune", "--yes", "database")
        (own,) = named(surplus)
        assert surplus.id not in [each.id for each in images(cloud)]
        assert own in snapshots(cloud)
        return own

    def test_one_listing_finds_it(
        self, cloud: Sandbox, surplus: Image, kept: str
    ) -> None:
        client = connected(cloud)
        assert client.volumes is not None
        sent(cloud)
        (left,) = left_snapshots(OneProject(client), now_of(cloud))
        (line,) = sent(cloud)
        query = f"metadata=%7B%27{FATE_KEY}%27%3A+%27{GOES}%27%7D"
        assert line.startswith(f"GET /volume/v3/snapshots/detail?{query}&")
        assert (left.id, left.image_id, left.status) == (kept, surplus.id, "available")
        assert left.project_id == project_of(cloud)
        assert left.changed == now_of(cloud)

    def test_a_service_that_cannot_filter(self, cloud: Sandbox, kept: str) -> None:
        client = connected(cloud)
        assert client.volumes is not None
        old = replace(client.volumes, lists=client.volumes.transport)
        sent(cloud)
        assert [each.id for each in old.with_metadata(FATE_KEY, GOES)] == [kept]

    def test_it_is_tried_again_until_it_is_gone(
        self, cloud: Sandbox, kept: str
    ) -> None:
        (left,) = sweep(cloud)
        assert (left.deleted, left.orphaned) == (False, True)
        assert left.reason == "it is available, and not deleted again within an hour"
        cloud.advance("1h")
        sent(cloud)
        (left,) = sweep(cloud)
        # Accepted is not done.
        assert (left.deleted, left.orphaned) == (True, True)
        assert f"DELETE /volume/v3/snapshots/{kept} 202" in sent(cloud)
        assert kept in snapshots(cloud)
        assert [each.deleted for each in sweep(cloud)] == [False]
        cloud.clear_faults()
        cloud.advance("1h")
        assert [each.deleted for each in sweep(cloud)] == [True]
        assert kept not in snapshots(cloud)
        assert sweep(cloud) == []

    @pytest.mark.parametrize("status", ["error_deleting", "deleting", "backing-up"])
    def test_one_that_cannot_be_deleted_is_reported(
        self, cloud: Sandbox, kept: str, status: str
    ) -> None:
        with cloud.region() as region:
            region.volumes.set_snapshot_status(kept, status)
        cloud.advance("1h")
        sent(cloud)
        (left,) = sweep(cloud)
        assert left.reason == f"it is {status}, not available"
        assert left.orphaned
        assert not [line for line in sent(cloud) if line.startswith("DELETE")]

    def test_one_that_another_image_names_stays(
        self, cloud: Sandbox, surplus: Image, kept: str
    ) -> None:
        mapping: dict[str, Any] = {MAPPING_KEY: surplus.properties[MAPPING_KEY]}
        copy = add_image(cloud, "copy", **mapping)
        cloud.clear_faults()
        cloud.advance("1h")
        (left,) = sweep(cloud)
        assert (left.deleted, left.reason) == (False, "another image names it")
        with cloud.region() as region:
            assert region.volumes.snapshot(kept).metadata[FATE_KEY] == STAYS
            region.images.delete(copy)
        # It now belongs to that image, whatever happens to it.
        assert sweep(cloud) == []
        assert kept in snapshots(cloud)

    def test_its_image_is_gone_only_if_the_service_says_so(
        self, cloud: Sandbox, surplus: Image, kept: str
    ) -> None:
        cloud.clear_faults()
        cloud.advance("1h")
        for fault in ("404 html", "500", "drop", "refuse"):
            cloud.fault(f"GET /images/{surplus.id} {fault}")
            (left,) = sweep(cloud)
            assert not left.deleted
            assert not left.orphaned
            assert left.reason
            cloud.clear_faults()
        assert kept in snapshots(cloud)

    def test_an_image_that_was_not_deleted_after_all(
        self, cloud: Sandbox, surplus: Image, nova: Any
    ) -> None:
        cloud.fault(f"DELETE /images/{surplus.id} 409")
        result = nova("scheduled-images-prune", "--yes", "database")
        assert result.status == 1
        cloud.clear_faults()
        cloud.advance("1d")
        (left,) = sweep(cloud)
        assert left.reason == f"its image {surplus.id} is still there"
        assert not left.orphaned
        (own,) = named(surplus)
        assert own in snapshots(cloud)
        # The mark does no harm, and the next deletion goes on.
        sent(cloud)
        nova.ok("scheduled-images-prune", "--yes", "database")
        assert not [line for line in sent(cloud) if line.startswith("POST /volume")]
        assert own not in snapshots(cloud)

    def test_marks_that_others_write(self, cloud: Sandbox, surplus: Image) -> None:
        """A user's own mark goes no further than his own snapshots."""
        (own,) = named(surplus)
        for image_id in ("../images", "", surplus.id):
            with cloud.region() as region:
                mark = {FATE_KEY: GOES, IMAGE_KEY: image_id}
                region.volumes.set_snapshot_metadata(own, mark)
            cloud.advance("1h")
            assert not any(each.deleted for each in sweep(cloud))
        assert own in snapshots(cloud)
        client = connected(cloud, "stranger")
        assert client.volumes is not None
        assert left_snapshots(OneProject(client), now_of(cloud)) == []
        foreign = VolumeSnapshot(
            *(own, None, "available", project_of(cloud)),
            metadata={FATE_KEY: GOES, IMAGE_KEY: NOBODY},
        )
        naming = NamingImages(client.images)
        (left,) = delete_leftovers(client, [foreign], naming, now_of(cloud))
        assert left.reason == "it may belong to another project"

    def test_two_who_delete_the_same(
        self, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        """Losing a race is not a failure."""
        (own,) = named(surplus)
        with cloud.region() as region:
            region.volumes.set_snapshot_status(own, "deleting")
        client = connected(cloud)
        image = client.images.get(surplus.id)
        delete_image(client, image)
        with cloud.region() as region:
            assert region.volumes.snapshot(own).metadata[IMAGE_KEY] == surplus.id


class Blind:
    """Who sees nothing of a runner's requests."""

    def waits(self, method: str, path: str) -> None: ...

    def sends(self, method: str, path: str) -> None: ...

    def answered(self, method: str, path: str, response: Response) -> None: ...

    def leave(self, path: str, body: Any) -> bool:
        return False


COMMANDS = (Command.KILL, Command.KILL_AFTER, Command.LOSE, Command.CUT, Command.REFUSE)


def cut_off(sandbox: Sandbox, act: Any, number: int, command: Command) -> bool:
    """Let somebody act, and meet a command at a request; return whether there was one.

    Whoever is not killed goes on.
    """
    actor = Actor(connected(sandbox, workers=1), act, Blind())
    # The first step comes to the first request.
    for _ in range(number + 1):
        actor.step()
    there = not actor.done
    actor.step(command)
    actor.finish()
    expected = (ScheduledImagesError, ClientException, OSError)
    if actor.error is not None and not isinstance(actor.error, expected):
        raise actor.error
    return there


def check_names(sandbox: Sandbox) -> None:
    """No image names what is gone."""
    with sandbox.region() as region:
        every = region.images.select(ImageQuery())
    there = set(snapshots(sandbox))
    for image in every:
        if MAPPING_KEY in image.properties:
            assert set(named(image)) <= there


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("keeps", [False, True])
def test_whatever_happens_to_a_deletion_nothing_is_left_in_the_end(
    command: Command, keeps: bool
) -> None:
    """At each of its requests; and likewise when what is left is deleted."""
    requests = 0
    while deletion_is_cut_off(command, requests, keeps=keeps):
        requests += 1
    assert requests >= 6


def deletion_is_cut_off(command: Command, number: int, *, keeps: bool) -> bool:
    with Sandbox(speed=0, start=START, extension=False) as sandbox:
        sandbox.boot("database", server_id=SERVER, volume_size=8)
        older, copied, newer = (image_of(sandbox) for _ in range(3))
        mapping: dict[str, Any] = {MAPPING_KEY: copied.properties[MAPPING_KEY]}
        add_image(sandbox, "copy", **mapping)
        with sandbox.region() as region:
            (volume,) = region.volumes.of_server(SERVER)
            mine = region.volumes.add_snapshot(
                volume.id, user_id=volume.user_id, name="by hand", in_use=True
            ).id
        if keeps:
            sandbox.fault("keep-volume x1")

        def delete(cloud: Cloud) -> None:
            naming = NamingImages(cloud.images)
            for image in (older, copied):
                with suppress(SnapshotsLeft):
                    delete_image(cloud, cloud.images.get(image.id), naming)

        met = cut_off(sandbox, delete, number, command)
        check_names(sandbox)
        sandbox.advance("2h")
        # So is the runner that deletes what is left.
        cut_off(sandbox, lambda cloud: sweep(sandbox, cloud), number % 5, command)
        check_names(sandbox)
        for _ in range(2):
            sandbox.advance("2h")
            assert all(each.deleted for each in sweep(sandbox) if each.orphaned)
        check_names(sandbox)
        assert not [each for each in sweep(sandbox) if each.orphaned]
        with sandbox.region() as region:
            left = region.images.select(ImageQuery())
        needed = {
            each for i in left if MAPPING_KEY in i.properties for each in named(i)
        }
        assert {*named(copied), *named(newer), mine} <= set(snapshots(sandbox))
        assert set(snapshots(sandbox)) == {*needed, mine}
        return met


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_without_an_image_service_either(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    """Compute's proxy of an image service shows the mapping as JSON, not as text."""
    front.without_image_service()
    nova.ok("scheduled-images-enable", "web1", "2")
    cloud.advance("2d")
    older, _ = cloud.images(id_of(cloud, "web1"))[::-1]
    device = {"source_type": "snapshot", "snapshot_id": NOBODY}
    change(cloud, older, **{MAPPING_KEY: json.dumps([device])})
    argv = ("scheduled-images-prune", "--yes", "--keep", "1", "web1", "--format")
    (row,) = json.loads(nova.ok(*argv, "json"))
    assert (row["action"], row["reason"]) == (
        "skipped",
        "no block storage service in the catalog to delete its volume snapshots",
    )


def test_the_sandboxs_own_service(nova: Any, cloud: Sandbox) -> None:
    cloud.boot("database", server_id=SERVER, volume_size=8)
    nova.ok("scheduled-images-enable", "database", "3")
    cloud.advance("10d")
    found = images(cloud)
    assert len(found) == 3
    assert not any(PENDING_KEY in image.properties for image in found)
    assert snapshots(cloud) == [own for image in found for own in named(image)]
