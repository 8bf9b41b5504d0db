"""Getting a server back: the plan, the refusals, and what is done."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rax_scheduled_images_ext import errors
from rax_scheduled_images_ext.model.image import (
    FACTS_KEY,
    MARKER_KEY,
    MARKER_VALUE,
    OWN_KEY,
    PENDING_KEY,
    PROTECTED_KEY,
    RESTORE_KEY,
    RUN_KEY,
    SAFETY_KEY,
    SLOT_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.restore import (
    RestoreOptions,
    parse_restore_time,
)
from rax_scheduled_images_ext.model.server import ServerFacts, facts_metadata
from rax_scheduled_images_ext.model.verify import (
    Level,
    Verification,
    verified_metadata,
)
from rax_scheduled_images_ext.operations.restore import (
    Restoration,
    Restored,
    plan_restore,
)

from .restore_cloud import (
    PROJECT,
    START,
    FakeCloud,
    Image,
    Killed,
    Server,
    lost,
    uuid_of,
)

IN_PLACE = RestoreOptions(in_place=True)
AS_NEW = RestoreOptions(new_name="back")
KEYS = {
    MARKER_KEY,
    SLOT_KEY,
    RUN_KEY,
    PENDING_KEY,
    OWN_KEY,
    PROTECTED_KEY,
    FACTS_KEY,
    SAFETY_KEY,
    RESTORE_KEY,
}


@pytest.fixture
def fake() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def server(fake: FakeCloud) -> Server:
    server = fake.add_server("web")
    fake.add_image(server.id, "monday", 2)
    fake.add_image(server.id, "tuesday", 1)
    return server


def carry_out(
    fake: FakeCloud, label: str, options: RestoreOptions, *, wait: bool = True
) -> Restored:
    cloud = fake.cloud()
    plan = plan_restore(cloud, label, options)
    return Restoration(cloud, plan, fake.poller()).run(wait=wait)


def refused(fake: FakeCloud, options: RestoreOptions, label: str = "web") -> str:
    """Why a plan is refused; nothing is changed by it."""
    before = len(fake.changes())
    with pytest.raises(errors.RestoreRefused) as told:
        plan_restore(fake.cloud(), label, options)
    assert len(fake.changes()) == before
    return str(told.value)


def test_a_stopped_server_is_waited_for_until_it_is_stopped_again(
    fake: FakeCloud, server: Server
) -> None:
    """Nova shows it ACTIVE and idle for a moment."""
    server.status = "SHUTOFF"
    assert carry_out(fake, "web", IN_PLACE).status == server.status == "SHUTOFF"


def test_unless_somebody_has_started_it(fake: FakeCloud, server: Server) -> None:
    server.status = "SHUTOFF"
    fake.fails.add("stop")
    assert carry_out(fake, "web", IN_PLACE).status == server.status == "ACTIVE"


def test_in_place_a_safety_image_comes_first(fake: FakeCloud, server: Server) -> None:
    done = carry_out(fake, "web", IN_PLACE)
    assert server.disk == "tuesday"
    safety = fake.images[str(done.safety_image_id)]
    assert (safety.data, safety.status) == ("now", "active")
    assert safety.name == "before-restore-web-" + safety.name[19:]
    sent = [each.body for each in fake.changes()]
    assert sent[0]["createImage"]["metadata"].keys() >= KEYS
    assert sent[1] == {"rebuild": {"imageRef": done.plan.image.id}}
    assert [each.method for each in fake.changes()] == ["POST", "POST", "PATCH"]
    assert (done.status, done.password) == ("ACTIVE", "secret-word")
    assert "secret-word" not in repr(done)


def test_a_safety_image_has_nothing_that_a_retention_counts(
    fake: FakeCloud, server: Server
) -> None:
    server.base = {
        MARKER_KEY: MARKER_VALUE,
        SLOT_KEY: "2026-01-01",
        RUN_KEY: f"{server.id}:1",
        PENDING_KEY: "pending",
        OWN_KEY: "other:1",
    }
    carry_out(fake, "web", IN_PLACE)
    (safety,) = [i for i in fake.images.values() if i.name.startswith("before-")]
    ours = {k: v for k, v in safety.properties.items() if k in KEYS}
    assert ours == {SAFETY_KEY: safety.id}


def test_a_restore_is_undone_by_its_safety_image(
    fake: FakeCloud, server: Server
) -> None:
    done = carry_out(fake, "web", IN_PLACE)
    undo = RestoreOptions(in_place=True, image=done.safety_image_id)
    again = carry_out(fake, "web", undo)
    assert server.disk == "now"
    assert fake.images[str(again.safety_image_id)].data == "tuesday"
    # And what is restored by default is still an image that was made before.
    assert plan_restore(fake.cloud(), "web", IN_PLACE).image.name == "of-tuesday"


def test_as_new_the_old_server_is_left_alone(fake: FakeCloud, server: Server) -> None:
    server.tags[:] = ["scheduled-images", "scheduled-images:daily:7", "mine"]
    server.metadata["role"] = "web"
    done = carry_out(fake, "web", AS_NEW)
    made = fake.servers[done.server_id]
    assert (server.disk, made.disk, made.status) == ("now", "tuesday", "ACTIVE")
    assert made.tags == ["mine"]
    assert made.metadata["role"] == "web"
    assert made.body["server"]["networks"] == [{"uuid": "net-1"}]
    assert [each.method for each in fake.changes()] == ["POST"]


@pytest.mark.parametrize("options", [IN_PLACE, AS_NEW])
@pytest.mark.parametrize("by", ["name", "id"])
def test_at_most_six_requests_come_before_the_first_change(
    fake: FakeCloud, server: Server, options: RestoreOptions, by: str
) -> None:
    carry_out(fake, "web" if by == "name" else server.id, options)
    methods = [each.method for each in fake.seen]
    assert methods.index("POST") <= 6


@pytest.mark.parametrize("by", ["name", "id"])
def test_nor_for_a_server_that_is_gone(
    fake: FakeCloud, server: Server, by: str
) -> None:
    facts = ServerFacts(server.id, "web", flavor_id="1", networks=("net-1",))
    for image in fake.images.values():
        known = ServerImage(image.id, image.name, "ACTIVE", server_id=server.id)
        image.properties |= facts_metadata(known, facts, "RegionOne")
    del fake.servers[server.id]
    carry_out(fake, "web" if by == "name" else server.id, AS_NEW)
    methods = [each.method for each in fake.seen]
    assert methods.index("POST") <= 6


def test_all_images_of_a_server_that_is_gone_are_found_by_its_name(
    fake: FakeCloud, server: Server
) -> None:
    """Also what says nothing of the name; safety images are known as such."""
    facts = ServerFacts(server.id, "web", flavor_id="1", networks=("net-1",))
    monday, tuesday = fake.images.values()
    known = ServerImage(monday.id, monday.name, "ACTIVE", server_id=server.id)
    monday.properties |= facts_metadata(known, facts, "RegionOne")
    tuesday.properties |= {"image_type": "backup"}
    safety = fake.add_image(server.id, "now", 0.1)
    safety.properties |= {SAFETY_KEY: safety.id}
    del fake.servers[server.id]
    options = replace(AS_NEW, flavor="1", networks=[])
    by_name, by_id = (
        plan_restore(fake.cloud(), label, options) for label in ("web", server.id)
    )
    assert by_name.image.id == by_id.image.id == tuesday.id
    assert by_name.skipped == by_id.skipped


def test_polls_spread_out(fake: FakeCloud, server: Server) -> None:
    carry_out(fake, "web", AS_NEW)
    # It takes four seconds.
    assert len(fake.seen) - len(fake.changes()) <= 6 + 8


def test_the_schedule_goes_along_if_asked_for(fake: FakeCloud, server: Server) -> None:
    server.tags[:] = ["scheduled-images", "scheduled-images:daily:7", "mine"]
    done = carry_out(fake, "web", RestoreOptions(new_name="back", schedule=True))
    assert fake.servers[done.server_id].tags == server.tags


def test_the_newest_image_that_is_not_younger(fake: FakeCloud, server: Server) -> None:
    at = fake.now - timedelta(hours=36)
    plan = plan_restore(fake.cloud(), "web", RestoreOptions(in_place=True, at=at))
    assert plan.image.name == "of-monday"
    early = fake.now - timedelta(days=9)
    told = refused(fake, RestoreOptions(in_place=True, at=early))
    assert told == (
        "There is no complete image of server web made by 2025-12-27T00:00:00Z"
    )


def test_an_image_that_is_not_whole_is_passed_over(
    fake: FakeCloud, server: Server
) -> None:
    empty = fake.add_image(server.id, "", 0.1, size=0)
    making = fake.add_image(server.id, "", 0.1, size=None, status="saving")
    plan = plan_restore(fake.cloud(), "web", IN_PLACE)
    assert plan.image.name == "of-tuesday"
    assert len(plan.skipped) == 2
    assert {empty.id, making.id} == {each.split("(")[1][:36] for each in plan.skipped}


def proof_of(
    fake: FakeCloud, image: Image, days: float, level: Level | None
) -> Verification:
    return Verification(image.id, fake.now - timedelta(days=days), level, "No disk")


def test_an_image_whose_proof_failed_is_taken_only_by_its_name(
    fake: FakeCloud, server: Server
) -> None:
    monday, tuesday = fake.images.values()
    failed = proof_of(fake, tuesday, 0.5, None)
    tuesday.properties |= verified_metadata(tuesday.id, failed)
    plan = plan_restore(fake.cloud(), "web", AS_NEW)
    assert (plan.image.id, plan.warning) == (monday.id, None)
    why = "its proof failed at 2026-01-04T12:00:00Z (No disk)"
    (skipped,) = plan.skipped
    assert skipped == (
        f"image of-tuesday ({tuesday.id}): {why}: use --image to restore it anyway"
    )
    monday.properties |= verified_metadata(
        monday.id, replace(failed, image_id=monday.id)
    )
    assert "There is no complete image of server web (image of-t" in refused(
        fake, AS_NEW
    )
    named = replace(AS_NEW, image=tuesday.id)
    plan = plan_restore(fake.cloud(), "web", named)
    assert plan.warning == f"image of-tuesday ({tuesday.id}): {why}"
    in_place = replace(IN_PLACE, image="of-tuesday")
    assert plan_restore(fake.cloud(), "web", in_place).warning == plan.warning


def test_only_the_last_proof_of_an_image_counts_and_only_its_own(
    fake: FakeCloud, server: Server
) -> None:
    monday, tuesday = fake.images.values()
    # The next image took the record over, and the one of before is older.
    failed = proof_of(fake, tuesday, 0.9, None)
    proven = proof_of(fake, tuesday, 0.5, Level.CONSOLE)
    tuesday.properties |= verified_metadata(tuesday.id, failed)
    newer = fake.add_image(server.id, "wednesday", 0.2, size=0)
    newer.properties |= verified_metadata(newer.id, proven)
    assert plan_restore(fake.cloud(), "web", AS_NEW).image.id == tuesday.id
    # Inherited from another image, and written by another project.
    newer.properties |= verified_metadata(monday.id, proof_of(fake, tuesday, 0.1, None))
    foreign = fake.add_image(server.id, "foreign", 0.3, owner="2" * 32)
    told = proof_of(fake, tuesday, 0.1, None)
    foreign.properties |= verified_metadata(foreign.id, told)
    tuesday.properties |= verified_metadata(tuesday.id, proven)
    assert plan_restore(fake.cloud(), "web", AS_NEW).image.id == tuesday.id


def test_another_servers_copy_is_never_taken(fake: FakeCloud, server: Server) -> None:
    """A server booted to a volume hands on the name of the server it came from."""
    original = next(iter(fake.images.values()))
    mark = {RUN_KEY: f"{server.id}:run", OWN_KEY: f"{original.id}:run"}
    original.properties.update(mark)
    mapping = json.dumps(
        [{"source_type": "snapshot", "snapshot_id": uuid_of(7), "boot_index": 0}]
    )
    fake.volume_snapshots[uuid_of(7)] = "available"
    fake.add_image(
        server.id,
        "foreign",
        0.1,
        size=0,
        properties={**mark, "block_device_mapping": mapping},
    )
    plan = plan_restore(fake.cloud(), "web", AS_NEW)
    assert plan.image.name == "of-tuesday"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"locked": True}, "is locked"),
        ({"task": "resize_prep"}, "is busy (task_state: resize_prep)"),
        ({"status": "PAUSED"}, "is PAUSED"),
        ({"status": "ERROR"}, "is in ERROR"),
        ({"image_id": ""}, "boots from a volume"),
        ({"flavor_id": "2"}, "an ephemeral disk of 10 GiB"),
        ({"flavor_id": "4"}, "a swap disk of 512 MiB"),
        ({"flavor_id": "9"}, "a flavor that is gone (9)"),
        ({"project": "2" * 32}, "belongs to another project"),
    ],
)
def test_what_is_refused_in_place(
    fake: FakeCloud, server: Server, change: dict[str, Any], told: str
) -> None:
    vars(server).update(change)
    text = refused(fake, IN_PLACE)
    assert told in text
    assert "--as NAME" in text or "another project" in text


def test_losing_ephemeral_disks_must_be_asked_for(
    fake: FakeCloud, server: Server
) -> None:
    server.flavor_id = "2"
    done = carry_out(fake, "web", RestoreOptions(in_place=True, lose_ephemeral=True))
    assert "an ephemeral disk of 10 GiB: destroyed" in done.plan.missing


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"owner": "2" * 32}, "not known to belong to the server's project"),
        ({"status": "saving"}, "is SAVING, not ACTIVE: use another image"),
        ({"size": 0}, "would leave an empty disk; use another image"),
        ({"properties": {"block_device_mapping": "[]"}}, "would leave an empty disk"),
        ({"min_disk": 21}, "requires a disk of 21 GiB, and flavor small has 20 GiB"),
        ({"min_disk": 21}, ": use another image, or --as NAME with --flavor"),
    ],
)
def test_images_that_are_refused_in_place(
    fake: FakeCloud, server: Server, change: dict[str, Any], told: str
) -> None:
    image = fake.add_image(None, "x", 1)
    vars(image).update(change)
    options = RestoreOptions(in_place=True, image=image.id)
    assert told in refused(fake, options)


def test_an_image_of_anothers_does_not_take_a_name(
    fake: FakeCloud, server: Server
) -> None:
    """Anybody can publish an image that names the server."""
    fake.add_image(server.id, "forged", 0, name="of-monday", owner="2" * 32)
    options = RestoreOptions(in_place=True, image="of-monday")
    assert plan_restore(fake.cloud(), "web", options).image.owner == PROJECT


def test_a_volume_backed_image_makes_a_new_server_only(
    fake: FakeCloud, server: Server
) -> None:
    mapping = json.dumps(
        [{"source_type": "snapshot", "snapshot_id": uuid_of(7), "boot_index": 0}]
    )
    properties = {"block_device_mapping": mapping}
    image = fake.add_image(server.id, "vol", 0, size=0, properties=properties)
    new = RestoreOptions(new_name="back", image=image.id)
    assert "is not complete" in refused(fake, new)
    fake.volume_snapshots[uuid_of(7)] = "available"
    assert "empty disk" in refused(fake, RestoreOptions(in_place=True, image=image.id))
    # Nor is it what is taken by itself.
    assert "empty disk" in refused(fake, IN_PLACE)
    assert carry_out(fake, "web", new).status == "ACTIVE"


def test_a_name_that_another_server_has_is_refused(
    fake: FakeCloud, server: Server
) -> None:
    fake.add_server("back")
    assert "that this restore did not make" in refused(fake, AS_NEW)


def test_a_flavor_that_is_gone_needs_another(fake: FakeCloud, server: Server) -> None:
    server.flavor_id = "9"
    assert "no longer exists (9): use --flavor" in refused(fake, AS_NEW)
    other = RestoreOptions(new_name="back", flavor="tiny")
    assert "its flavor is tiny" in carry_out(fake, "web", other).plan.differs


@pytest.mark.parametrize("label", ["web", "id"])
def test_a_server_that_is_gone(fake: FakeCloud, server: Server, label: str) -> None:
    newest = list(fake.images.values())[-1]
    facts = {
        "image": newest.id,
        "name": "web",
        "flavor": {"id": "1"},
        "networks": ["n"],
    }
    newest.properties[FACTS_KEY] = json.dumps(facts)
    del fake.servers[server.id]
    label = server.id if label == "id" else label
    assert "no longer exists: use --as NAME" in refused(fake, IN_PLACE, label)
    done = carry_out(fake, label, AS_NEW)
    body = fake.servers[done.server_id].body["server"]
    assert body["networks"] == [{"uuid": "n"}]
    assert (body["flavorRef"], done.plan.gone) == ("1", True)


def test_what_a_copy_says_of_its_server_is_ignored(
    fake: FakeCloud, server: Server
) -> None:
    newest = list(fake.images.values())[-1]
    facts = {"image": uuid_of(5), "name": "web", "flavor": {"id": "1"}}
    newest.properties[FACTS_KEY] = json.dumps(facts)
    del fake.servers[server.id]
    assert "use --flavor" in refused(fake, AS_NEW, server.id)


def test_a_quota_ends_it_before_anything_is_changed(
    fake: FakeCloud, server: Server
) -> None:
    fake.quota = 2
    with pytest.raises(errors.ImageLost, match="HTTPOverLimit"):
        carry_out(fake, "web", IN_PLACE)
    assert server.disk == "now"
    assert len(fake.changes()) == 1


@pytest.mark.parametrize("failure", ["snapshot", "empty"])
def test_without_a_whole_safety_image_nothing_is_rebuilt(
    fake: FakeCloud, server: Server, failure: str
) -> None:
    fake.fails.add(failure)
    with pytest.raises(errors.ImageLost, match="nothing was changed"):
        carry_out(fake, "web", IN_PLACE)
    assert server.disk == "now"


def test_an_image_without_data_is_named_and_keeps_nothing_from_going_on(
    fake: FakeCloud, server: Server
) -> None:
    """Of two requests at once the loser's image stays queued for ever."""
    fake.fails.add("orphan")
    with pytest.raises(errors.ImageLost, match="may be deleted"):
        carry_out(fake, "web", IN_PLACE)
    assert server.disk == "now"
    fake.fails.clear()
    done = carry_out(fake, "web", IN_PLACE)
    assert server.disk == "tuesday"
    assert fake.images[str(done.safety_image_id)].data == "now"


def test_a_safety_image_that_nobody_makes_any_more_is_not_waited_for(
    fake: FakeCloud, server: Server
) -> None:
    """A compute service that was killed leaves it queued, and the server idle."""
    fake.fails.add("crash")
    with pytest.raises(errors.ImageLost, match="may be deleted"):
        carry_out(fake, "web", IN_PLACE)
    assert server.disk == "now"
    assert fake.now - START < timedelta(minutes=2)
    fake.fails.clear()
    done = carry_out(fake, "web", IN_PLACE)
    assert server.disk == "tuesday"
    assert fake.images[str(done.safety_image_id)].data == "now"


def test_a_safety_image_that_is_old_does_not_serve(
    fake: FakeCloud, server: Server
) -> None:
    """What was written since is not in it."""

    def hook(_number: int, when: str, seen: Any) -> Any:
        if when == "before" and seen.body and "rebuild" in seen.body:
            raise Killed

    fake.hook = hook
    with pytest.raises(Killed):
        carry_out(fake, "web", IN_PLACE)
    fake.hook = FakeCloud().hook
    fake.pass_time(1200)
    server.disk = "later"
    done = carry_out(fake, "web", IN_PLACE)
    assert fake.images[str(done.safety_image_id)].data == "later"
    (left,) = done.plan.skipped
    assert left.endswith("safety image of a restore that was not finished")


def test_a_new_server_is_found_although_its_image_is_gone(
    fake: FakeCloud, server: Server
) -> None:
    first = carry_out(fake, "web", AS_NEW, wait=False)
    del fake.images[first.plan.image.id]
    assert carry_out(fake, "web", AS_NEW).server_id == first.server_id


def test_a_rebuild_that_fails_is_gone_on_with(fake: FakeCloud, server: Server) -> None:
    fake.fails.add("rebuild")
    with pytest.raises(errors.RestoreFailed):
        carry_out(fake, "web", IN_PLACE)
    fake.fails.clear()
    done = carry_out(fake, "web", IN_PLACE)
    assert server.disk == "tuesday"
    assert fake.images[str(done.safety_image_id)].data == "now"
    assert len([i for i in fake.images.values() if i.name.startswith("before-")]) == 1


def kill_at_rebuild(fake: FakeCloud, when: str, options: RestoreOptions) -> None:
    """Kill the program before or after it has a server rebuilt."""

    def hook(_number: int, at: str, seen: Any) -> Any:
        if at == when and seen.body and "rebuild" in seen.body:
            raise Killed

    fake.hook = hook
    with pytest.raises(Killed):
        carry_out(fake, "web", options)
    fake.hook = FakeCloud().hook
    fake.pass_time(100)


def safety_images_of(fake: FakeCloud) -> list[str]:
    return [i.data for i in fake.images.values() if i.name.startswith("before-")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "monday",
    [
        replace(IN_PLACE, image="of-monday"),
        replace(IN_PLACE, at=START - timedelta(hours=36)),
    ],
)
def test_only_what_the_same_command_has_begun_is_taken_up(
    fake: FakeCloud, server: Server, when: str, monday: RestoreOptions
) -> None:
    kill_at_rebuild(fake, when, monday)
    carry_out(fake, "web", monday)
    assert (server.disk, safety_images_of(fake)) == ("monday", ["now"])
    kill_at_rebuild(fake, when, monday)
    assert carry_out(fake, "web", IN_PLACE).plan.image.name == "of-tuesday"
    assert server.disk == "tuesday"


def test_an_image_of_another_server_is_taken_up_by_its_name(
    fake: FakeCloud, server: Server
) -> None:
    fake.add_image(None, "golden", 5)
    golden = replace(IN_PLACE, image="of-golden")
    kill_at_rebuild(fake, "before", golden)
    carry_out(fake, "web", golden)
    assert (server.disk, safety_images_of(fake)) == ("golden", ["now"])


def test_what_was_undone_is_restored_again(fake: FakeCloud, server: Server) -> None:
    first = carry_out(fake, "web", IN_PLACE, wait=False)
    fake.pass_time(100)
    carry_out(fake, "web", replace(IN_PLACE, image=first.safety_image_id), wait=False)
    fake.pass_time(100)
    assert server.disk == "now"
    assert carry_out(fake, "web", IN_PLACE).changed
    assert server.disk == "tuesday"


def test_a_restore_that_was_done_long_ago_is_done_again(
    fake: FakeCloud, server: Server
) -> None:
    carry_out(fake, "web", IN_PLACE, wait=False)
    fake.pass_time(100)
    assert not carry_out(fake, "web", IN_PLACE, wait=False).changed
    fake.pass_time(3600)
    server.disk = "broken"
    assert carry_out(fake, "web", IN_PLACE).changed
    assert server.disk == "tuesday"
    assert safety_images_of(fake) == ["now", "broken"]


def test_a_safety_image_is_too_old_when_a_person_has_thought_for_long(
    fake: FakeCloud, server: Server
) -> None:
    kill_at_rebuild(fake, "before", IN_PLACE)
    plan = plan_restore(fake.cloud(), "web", IN_PLACE)
    assert plan.cut is not None
    fake.pass_time(3600)
    server.disk = "later"
    Restoration(fake.cloud(), plan, fake.poller()).run(wait=True)
    assert (server.disk, safety_images_of(fake)) == ("tuesday", ["now", "later"])


def test_a_rebuild_that_fails_is_undone(fake: FakeCloud, server: Server) -> None:
    fake.fails.add("rebuild")
    with pytest.raises(errors.RestoreFailed):
        carry_out(fake, "web", IN_PLACE)
    fake.fails.clear()
    fake.pass_time(3600)
    (safety,) = [i for i in fake.images.values() if i.name.startswith("before-")]
    carry_out(fake, "web", replace(IN_PLACE, image=safety.id))
    assert (server.disk, safety_images_of(fake)) == ("now", ["now"])


def test_a_rebuild_from_the_same_image_that_fails_is_gone_on_with(
    fake: FakeCloud, server: Server
) -> None:
    carry_out(fake, "web", IN_PLACE)
    fake.pass_time(3600)
    server.disk = "later"
    fake.fails.add("rebuild")
    with pytest.raises(errors.RestoreFailed):
        carry_out(fake, "web", IN_PLACE)
    fake.fails.clear()
    carry_out(fake, "web", IN_PLACE)
    assert (server.disk, safety_images_of(fake)) == ("tuesday", ["now", "later"])


def test_a_repeated_restore_finds_its_server(fake: FakeCloud, server: Server) -> None:
    first = carry_out(fake, "web", AS_NEW, wait=False)
    again = carry_out(fake, "web", AS_NEW)
    assert (again.server_id, again.status) == (first.server_id, "ACTIVE")
    assert not again.changed
    assert len(fake.servers) == 2


@pytest.mark.parametrize("hours", [36, 24 * 9])
def test_a_server_from_another_image_is_not_what_was_asked_for(
    fake: FakeCloud, server: Server, hours: int
) -> None:
    carry_out(fake, "web", AS_NEW)
    older = replace(AS_NEW, at=fake.now - timedelta(hours=hours))
    assert "that this restore did not make" in refused(fake, older)
    same = replace(AS_NEW, at=fake.now - timedelta(hours=12))
    assert not carry_out(fake, "web", same).changed


def test_a_new_server_that_was_rebuilt_since_is_not_restored(
    fake: FakeCloud, server: Server
) -> None:
    made = carry_out(fake, "web", AS_NEW)
    fake.servers[made.server_id].image_id = uuid_of(77)
    assert "that this restore did not make" in refused(fake, AS_NEW)


def test_a_server_that_is_gone_is_gone_on_with_under_its_name(
    fake: FakeCloud, server: Server
) -> None:
    newest = list(fake.images.values())[-1]
    facts = {
        "image": newest.id,
        "name": "web",
        "flavor": {"id": "1"},
        "networks": ["n"],
    }
    newest.properties[FACTS_KEY] = json.dumps(facts)
    del fake.servers[server.id]
    same = RestoreOptions(new_name="web")
    first = carry_out(fake, "web", same, wait=False)
    again = carry_out(fake, "web", same)
    assert (again.server_id, again.status) == (first.server_id, "ACTIVE")
    assert list(fake.servers) == [first.server_id]


def test_a_new_server_in_error_is_named_and_stays(
    fake: FakeCloud, server: Server
) -> None:
    fake.fails.add("boot")
    with pytest.raises(errors.RestoreFailed, match="back"):
        carry_out(fake, "web", AS_NEW)
    with pytest.raises(
        errors.RestoreRefused, match="delete it, then repeat the command"
    ):
        plan_restore(fake.cloud(), "web", AS_NEW)


def test_a_lost_answer_is_looked_for(fake: FakeCloud, server: Server) -> None:
    def hook(_number: int, when: str, seen: Any) -> Any:
        return lost() if when == "after" and seen.method == "POST" else None

    fake.hook = hook
    done = carry_out(fake, "web", IN_PLACE)
    assert (server.disk, done.password) == ("tuesday", None)
    assert fake.servers[carry_out(fake, "web", AS_NEW).server_id].disk == "tuesday"


@pytest.mark.parametrize(
    "options",
    [
        RestoreOptions(),
        RestoreOptions(new_name="x", in_place=True),
        RestoreOptions(new_name=""),
        RestoreOptions(in_place=True, flavor="1"),
        RestoreOptions(in_place=True, schedule=True),
        RestoreOptions(new_name="x", lose_ephemeral=True),
        RestoreOptions(new_name="x", safety_image=False),
        RestoreOptions(new_name="x", image="i", at=parse_restore_time("2026-01-01")),
    ],
)
def test_options_that_do_not_go_together_send_nothing(
    fake: FakeCloud, options: RestoreOptions
) -> None:
    with pytest.raises(errors.InvalidValue):
        plan_restore(fake.cloud(), "web", options)
    assert not fake.seen


def test_moments() -> None:
    for text, moment in {
        "2026-01-05": "2026-01-05 23:59:59+00:00",
        "2026-01-05T12:30": "2026-01-05 12:30:00+00:00",
        "2026-01-05T12:30:01Z": "2026-01-05 12:30:01+00:00",
    }.items():
        assert str(parse_restore_time(text)) == moment
    for text in ("", "yesterday", "2026-02-30", "2026-01-05T25:00"):
        with pytest.raises(errors.InvalidValue):
            parse_restore_time(text)


def test_it_belongs_to_the_project(fake: FakeCloud) -> None:
    assert fake.cloud().compute.adapter.get_project_id() == PROJECT
