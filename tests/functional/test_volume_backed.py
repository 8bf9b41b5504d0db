"""Images of volume-backed servers, which retention deletes with their snapshots."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.engine.results import Result, Tick
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model.image import MAPPING_KEY, PENDING_KEY
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image

from ..serviceshell import Service
from .fleet import NOBODY, add_image, id_of, project_of, sent
from .interceptor import DROPPED, Interceptor, json_answer, page
from .runners import results, runner_of, schedule
from .test_service import events

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
        return [each.id for each in region.volume_snapshots(project_id)][::-1]


def named(image: Image) -> list[str]:
    """The volume snapshots that an image names."""
    return [each["snapshot_id"] for each in json.loads(image.properties[MAPPING_KEY])]


def a_day(cloud: Sandbox, runner: Runner) -> Tick:
    """Make the image of the next day; return the tick after that."""
    cloud.advance("1d")
    assert results(runner.tick()) == ["BEGUN"]
    return runner.tick()


def two_images(cloud: Sandbox, runner: Runner) -> tuple[Image, Image]:
    """Let two images be there, of which the older one is surplus."""
    a_day(cloud, runner)
    cloud.advance("1d")
    runner.tick()
    older, newer = images(cloud)
    return older, newer


def change(cloud: Sandbox, image: Image, **properties: str) -> None:
    """Change an image's properties behind everybody's back."""
    with cloud.region() as region:
        whole = {**image.properties, **properties}
        region.update_image(image.id, properties=whole)


@plain
class TestTheEngine:
    def test_a_day(self, cloud: Sandbox, runner: Runner) -> None:
        cloud.advance("1d")
        assert results(runner.tick()) == ["BEGUN"]
        with cloud.region() as region:
            assert region.server(SERVER).task_state is None
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
        assert results(runner_of(cloud).tick()) == ["BEGUN"]
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
            owner = region.server(SERVER)
            more: dict[str, Any] = {
                "project_id": owner.project_id,
                "user_id": owner.user_id,
            }
            volume = region.add_volume(size=3, **more)
            region._store.update(
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
            (volume,) = region.volumes_of(SERVER)
            own = region.add_volume_snapshot(
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
            region.update_image(image.id, attributes=attributes)
        cloud.advance("11m")
        assert results(runner.tick()) == ["DISCARDED"]
        assert images(cloud) == []
        assert snapshots(cloud) == []

    def test_an_unreachable_service_is_tried_again(
        self, cloud: Sandbox, runner: Runner
    ) -> None:
        older, _ = two_images(cloud, runner)
        cloud.fault("GET /snapshots/ 503 x1")
        (result,) = runner.tick().failures
        assert [each.action for each in result.pruned] == ["failed"]
        assert "HTTP 503" in str(result.reason)
        assert len(images(cloud)) == len(snapshots(cloud)) == 2
        assert results(runner.tick()) == ["RETAINED"]
        assert older.id not in [each.id for each in images(cloud)]
        assert len(snapshots(cloud)) == 1

    def test_a_snapshot_that_is_left_is_told(
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
        # It is not told for ever: the image is gone, and the retention was applied.
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

    def test_a_snapshot_that_is_left_is_told(
        self, cloud: Sandbox, surplus: Image, tmp_path: Path
    ) -> None:
        cloud.fault("DELETE /snapshots/ 503")
        told = tmp_path / "told.json"
        hook = f"sh -c {shlex.quote(f'cat > {told}')}"
        argv = ("--on-failure", hook, "--log-format", "json")
        tick = Service(cloud)("tick", *argv)
        assert tick.status == 1
        _, deleted = events(tick)
        (left,) = named(surplus)
        why = f"Image {surplus.id} is deleted, but these volume snapshots of it are not"
        assert (deleted["event"], deleted["level"]) == ("image deleted", "ERROR")
        assert deleted["reason"].startswith(f"{why}: {left}: Service Unavailable")
        assert json.loads(told.read_text())["reason"] == deleted["reason"]

    def test_an_image_that_stays_is_told(self, cloud: Sandbox, surplus: Image) -> None:
        with cloud.region() as region:
            region.update_image(surplus.id, attributes={"name": "before"})
        tick = Service(cloud)("tick", "--log-format", "json")
        assert tick.status == 0
        _, skipped = events(tick)
        assert (skipped["event"], skipped["image"]) == ("image skipped", surplus.id)
        (own,) = named(surplus)
        assert skipped["reason"].startswith(f"its volume snapshot {own} is called")


@plain
class TestPrune:
    @pytest.fixture
    def surplus(self, cloud: Sandbox, surplus: Image) -> Image:
        """An image that is to go since a newer one is known to be whole."""
        _, newer = images(cloud)
        properties = dict(newer.properties)
        del properties[PENDING_KEY]
        with cloud.region() as region:
            region.update_image(newer.id, properties=properties)
        return surplus

    def prune(self, nova: Any, status: int = 0) -> tuple[list[dict[str, Any]], str]:
        """Prune; return the rows and what was written on stderr."""
        argv = ("scheduled-images-prune", "--yes", "database", "--format", "json")
        result = nova(*argv)
        assert result.status == status, result
        return json.loads(result.out), result.err

    def test_the_snapshots_go_too(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        rows, err = self.prune(nova)
        assert [(row["id"], row["action"]) for row in rows] == [(surplus.id, "deleted")]
        assert err == ""
        (image,) = images(cloud)
        assert snapshots(cloud) == named(image)

    def stays(self, nova: Any, cloud: Sandbox, image: Image, why: str) -> None:
        """The image and all snapshots stay, and it is told why."""
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
        why = "there is no block storage service to delete its volume snapshots by"
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
            region.update_image(surplus.id, attributes={"name": "before"})
        (own,) = named(surplus)
        called = f"is called 'snapshot for {surplus.name}', not 'snapshot for before'"
        self.stays(nova, cloud, surplus, f"its volume snapshot {own} {called}")

    def test_a_snapshot_that_cannot_be_deleted_now(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        (own,) = named(surplus)
        with cloud.region() as region:
            region.set_volume_snapshot_status(own, "backing-up")
        why = f"its volume snapshot {own} is backing-up, not available"
        self.stays(nova, cloud, surplus, why)

    def test_a_snapshot_of_another_project(
        self, nova: Any, cloud: Sandbox, surplus: Image, front: Interceptor
    ) -> None:
        """As an administrator sees it."""
        ours = project_of(cloud).encode()
        front.change("GET", "/snapshots/", lambda c: c.replace(ours, b"theirs"))
        why = f"its volume snapshot {named(surplus)[0]} is not known to belong to the"
        self.stays(nova, cloud, surplus, f"{why} project of the image")

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
            region.update_image(copy, attributes={"hidden": hidden})
        rows, _ = self.prune(nova)
        assert [row["action"] for row in rows] == ["deleted"]
        assert surplus.id not in [each.id for each in images(cloud)]
        assert named(surplus)[0] in snapshots(cloud)

    def test_an_inherited_mapping_takes_nothing_away(
        self, nova: Any, cloud: Sandbox, surplus: Image
    ) -> None:
        """The image whose snapshot it was is gone by now."""
        with cloud.region() as region:
            region.delete_image(surplus.id)
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
            region.delete_volume_snapshot(named(surplus)[0])
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
        "there is no block storage service to delete its volume snapshots by",
    )


def test_the_sandboxs_own_service(nova: Any, cloud: Sandbox) -> None:
    cloud.boot("database", server_id=SERVER, volume_size=8)
    nova.ok("scheduled-images-enable", "database", "3")
    cloud.advance("10d")
    found = images(cloud)
    assert len(found) == 3
    assert not any(PENDING_KEY in image.properties for image in found)
    assert snapshots(cloud) == [own for image in found for own in named(image)]
